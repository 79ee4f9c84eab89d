"""Fields of a frozen dataclass with their ranges beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, fields
from typing import Any


def ranged(default: object, check: Callable, *allowed: object, **limits: object) -> Any:
    """A field with its range, which is a function of `rdlite.guards.checks` and its arguments."""
    return field(default=default, metadata={"check": lambda n, v: check(n, v, *allowed, **limits)})


def check_ranges(made: object) -> None:
    """Every `ranged` field of ``made`` is in its range, or None where that is the default."""
    for one in fields(made):
        value = getattr(made, one.name)
        if "check" in one.metadata and (value is not None or one.default is not None):
            one.metadata["check"](one.name, value)
