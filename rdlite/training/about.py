"""What was trained, in words and numbers that a checkpoint can hold and compare."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn


def hashed(parts: Sequence[Tensor]) -> str:
    """The bytes of all ``parts`` in 16 letters."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def flat(nested: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Keys joined by dots, values that a checkpoint can hold.

    >>> flat({"config": {"epochs": 8, "rounds": None}, "classes": ("cat", "dog")})
    {'config.epochs': 8, 'config.rounds': None, 'classes': "('cat', 'dog')"}
    """
    found = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            value = _named(value) if callable(value) else value
            plain = value is None or isinstance(value, (bool, int, float, str))
            found[prefix + name] = value if plain else str(value)
    return found


def _named(function: Callable) -> str:
    """By its name and settings, as its address differs from run to run."""
    if isinstance(function, partial):
        return f"{_named(function.func)} of {function.args} and {function.keywords}"
    if isinstance(function, nn.Module):
        return str(function)
    return getattr(function, "__qualname__", type(function).__name__)


def totals(rows: Tensor, one_hot: Tensor) -> Tensor:
    """The sum of P, and of its part on the images' own labels: (2, m) float64, CPU."""
    return torch.stack([part.double().sum(0).cpu() for part in (rows, rows * one_hot)])
