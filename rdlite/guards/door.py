"""Checks at the door that a user calls, of a formula or a dataclass; what lies inside trusts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import field, fields
from typing import Any

from torch import Tensor

from rdlite.guards import checks


def checked(formula: Callable, **vectors: Callable[[str, Tensor], None]) -> Callable:
    """A formula of logits (B, m), targets (B, m) and (m,) vectors, behind the checks of all three.

    A loop that has checked them before takes the formula alone: ``formula.__wrapped__``.

    Args:
        formula: called below its definition, as ``make mutate`` spoils no decorated function.
        vectors: name of an argument -> the check of its values; None as the argument passes.
    """
    signature = inspect.signature(formula)

    @functools.wraps(formula)
    def guarded(*args: object, **kwargs: object) -> Tensor:
        given = signature.bind(*args, **kwargs).arguments
        checks.logits_and_targets(given["logits"], given["targets"])
        for name, check in vectors.items():
            if given.get(name) is not None:
                checks.vector(name, given[name], given["logits"].shape[1])
                check(name, given[name])
        return formula(*args, **kwargs)

    return guarded


def ranged(default: object, check: Callable, *allowed: object, **limits: object) -> Any:
    """A field with its range, which is a function of `rdlite.guards.checks` and its arguments."""
    return field(default=default, metadata={"check": lambda n, v: check(n, v, *allowed, **limits)})


def check_ranges(made: object) -> None:
    """Every `ranged` field of ``made`` is in its range, or None where that is the default."""
    for one in fields(made):
        value = getattr(made, one.name)
        if "check" in one.metadata and (value is not None or one.default is not None):
            one.metadata["check"](one.name, value)
