"""Argument checks: every message names the argument, what came and what would do.

Shapes are always checked. Values are checked on the CPU only, because reading a value from a GPU
would make the host wait for it in the middle of an epoch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real

import torch
from torch import Tensor


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless ``condition`` holds."""
    if not condition:
        raise ValueError(message)


def choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """``value`` is one of ``allowed``; the message suggests the nearest one.

    >>> choice("heldout_labels", "techer", ["teacher", "one-hot"])
    Traceback (most recent call last):
    ValueError: heldout_labels must be one of 'teacher', 'one-hot', got 'techer'; \
did you mean 'teacher'?
    """
    allowed = list(allowed)
    if value in allowed:
        return
    near = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}{hint}")


def number(
    name: str, value: object, *, low: float = -math.inf, high: float = math.inf, above: bool = False
) -> None:
    """``value`` is a finite number in [low, high], or in (low, high] where ``above`` is set."""
    finite = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    inside = finite and (low < value if above else low <= value) and value <= high
    left = "(" if above else "["
    require(inside, f"{name} must be a number in {left}{low:g}, {high:g}], got {value!r}")


def whole(name: str, value: object, *, low: int, high: float = math.inf) -> None:
    """``value`` is a whole number of at least ``low`` and at most ``high``."""
    good = isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high
    upper = "" if high == math.inf else f" and at most {high:g}"
    require(good, f"{name} must be a whole number of at least {low}{upper}, got {value!r}")


def class_indices(name: str, values: Tensor, classes: int) -> None:
    """Every entry of ``values`` is a whole number in 0..m-1."""
    require(
        not values.is_floating_point() and values.dtype != torch.bool,
        f"{name} must be class indices, got {values.dtype}; use {name}.long()",
    )
    low, high = (int(values.min()), int(values.max())) if values.numel() else (0, 0)
    require(low >= 0 and high < classes, f"{name} must be in 0..{classes - 1}, got {low}..{high}")


def finite(name: str, values: Tensor) -> None:
    """No NaN or infinity in ``values``."""
    if values.is_cpu and not bool(torch.isfinite(values).all()):
        bad = int((~torch.isfinite(values)).sum())
        raise ValueError(
            f"{name} must be finite, got {bad} NaN or infinite of {values.numel()} values"
        )


def logits_and_targets(logits: Tensor, targets: Tensor) -> None:
    """``logits`` is (B, m), B >= 1, m >= 2, finite; ``targets`` is (B, m), row-stochastic."""
    require(
        logits.ndim == 2 and logits.shape[0] >= 1 and logits.shape[1] >= 2,
        "logits must have shape (B, m) with B >= 1 images and m >= 2 classes, "
        f"got {tuple(logits.shape)}",
    )
    require(
        targets.shape == logits.shape,
        f"targets must have the shape of logits, {tuple(logits.shape)}, "
        f"got {tuple(targets.shape)}; see torch.nn.functional.one_hot",
    )
    finite("logits", logits.detach())
    row_stochastic("targets", targets.detach(), logits.shape[1])


def row_stochastic(name: str, targets: Tensor, classes: int, rows: int | None = None) -> None:
    """``targets`` is (n, m), non-negative, each row summing to 1 (within 1e-3)."""
    wanted = f"({'n' if rows is None else rows}, {classes})"
    good = targets.ndim == 2 and targets.shape[1] == classes and rows in (None, targets.shape[0])
    good = good and len(targets) > 0
    require(good, f"{name} must have shape {wanted}, got {tuple(targets.shape)}")
    require(
        targets.is_floating_point(),
        f"{name} must be floating point probabilities, got {targets.dtype}; use {name}.float()",
    )
    finite(name, targets)
    if targets.is_cpu:
        low, off = float(targets.min()), float((targets.sum(1) - 1).abs().max())
        require(
            low >= 0 and off <= 1e-3,
            f"{name} must have non-negative rows that sum to 1, got a smallest entry of {low:g} "
            f"and a row sum off by {off:g}; use torch.softmax(logits, 1)",
        )


def vector(name: str, values: Tensor, classes: int) -> None:
    """``values`` is (m,)."""
    require(
        values.shape == (classes,),
        f"{name} must have shape ({classes},), one number a class, got {tuple(values.shape)}",
    )


def positive(name: str, values: Tensor) -> None:
    """Every entry is finite and above 0."""
    finite(name, values)
    if values.is_cpu and not bool((values > 0).all()):
        first = int((values <= 0).nonzero()[0])
        raise ValueError(
            f"{name} must be above 0 for every class, got {values[first]:g} for class {first}"
        )


def simplex(name: str, values: Tensor) -> None:
    """Every entry is at least 0 and they sum to 1 (within 1e-3)."""
    finite(name, values)
    if values.is_cpu:
        low, total = float(values.min()), float(values.sum())
        require(
            low >= 0 and abs(total - 1) <= 1e-3,
            f"{name} must be non-negative and sum to 1, got a smallest entry of {low:g} "
            f"and a sum of {total:g}; divide by the sum",
        )
