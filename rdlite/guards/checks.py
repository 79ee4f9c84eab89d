"""Argument checks: every message names the argument, what came and what would do.

Shapes are always checked. Values are checked on the CPU only, because reading a value from a GPU
would make the host wait for it in the middle of an epoch.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real

import numpy as np
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
    if not (isinstance(value, str) and value in allowed):
        listed = ", ".join(map(repr, allowed))
        raise ValueError(f"{name} must be one of {listed}, got {value!r}{nearest(value, allowed)}")


def nearest(value: object, allowed: Iterable[str]) -> str:
    """The end of a message that suggests the nearest name; empty if none is near.

    >>> nearest("Robsut", ["standard", "robust"])
    "; did you mean 'robust'?"
    """
    names = {one.lower(): one for one in allowed}
    near = difflib.get_close_matches(str(value).lower(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def instance(name: str, value: object, kind: type, hint: str = "") -> None:
    """``value`` is of a type; ``hint`` says how to get one.

    >>> instance("config", {"epochs": 3}, Iterable)
    >>> instance("train", 3, Tensor, "; use torch.as_tensor(train)")
    Traceback (most recent call last):
    ValueError: train must be a torch.Tensor, got 3; use torch.as_tensor(train)
    """
    if not isinstance(value, kind):
        wanted = {Tensor: "torch.Tensor", torch.nn.Module: "torch.nn.Module"}
        article = "an" if kind.__name__[0] in "AEIO" else "a"
        raise ValueError(
            f"{name} must be {article} {wanted.get(kind, kind.__name__)}, got {shown(value)}{hint}"
        )


def shown(value: object) -> str:
    """What came, in a few words: a short value itself, of others the type."""
    text = repr(value)
    return text if len(text) <= 80 and "\n" not in text else f"a {type(value).__name__}"


def tensor(name: str, value: object) -> None:
    """``value`` is a tensor; lists and arrays are not taken for one."""
    instance(name, value, Tensor, f", a {type(value).__name__}; use torch.as_tensor({name})")


def numbers(name: str, values: object) -> Tensor:
    """``values``, a tensor, an array or lists, as a float64 tensor on the CPU.

    >>> numbers("prior", [[1, 2], [3]])
    Traceback (most recent call last):
    ValueError: prior must be numbers in one shape, got [[1, 2], [3]]
    """
    try:
        if not isinstance(values, Tensor) and hasattr(values, "__array__"):
            values = np.array(values)  # a copy, because memory may be read-only
        return torch.as_tensor(values, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"{name} must be numbers in one shape, got {shown(values)}") from None


def device(name: str, value: object) -> None:
    """``value`` is a device on which this machine can compute."""
    try:
        torch.empty(1, device=value)
        reason = "it holds no numbers" if torch.device(value).type == "meta" else ""
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
    require(
        not reason,
        f"{name} must be one that this machine has, got {str(value)!r} ({reason}); use {name} cpu",
    )


def number(
    name: str, value: object, *, low: float = -math.inf, high: float = math.inf, above: bool = False
) -> None:
    """``value`` is a finite number in [low, high], or in (low, high] where ``above`` is set."""
    finite = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    inside = finite and (low < value if above else low <= value) and value <= high
    left = "(" if above else "["
    require(inside, f"{name} must be a number in {left}{low:g}, {high:g}], got {value!r}")


def integer(name: str, value: object, *, low: int, high: float = math.inf) -> None:
    """``value`` is a whole number of at least ``low`` and at most ``high``."""
    good = isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high
    upper = "" if high == math.inf else f" and at most {high:g}"
    require(good, f"{name} must be a whole number of at least {low}{upper}, got {value!r}")


def class_indices(name: str, values: Tensor, classes: int | None = None) -> None:
    """Every entry of ``values`` is a whole number in 0..m-1; of any m if none is given."""
    tensor(name, values)
    require(
        not values.is_floating_point() and values.dtype != torch.bool,
        f"{name} must be class indices, got {values.dtype}; use {name}.long()",
    )
    low, high = (int(values.min()), int(values.max())) if values.numel() else (0, 0)
    last = "m-1" if classes is None else classes - 1
    require(
        low >= 0 and (classes is None or high < classes),
        f"{name} must be in 0..{last}, got {low}..{high}",
    )


def floating(name: str, values: Tensor) -> None:
    """``values`` is a tensor of floating point numbers."""
    tensor(name, values)
    require(
        values.is_floating_point(),
        f"{name} must be floating point numbers, got {values.dtype}; use {name}.float()",
    )


def finite(name: str, values: Tensor) -> None:
    """No NaN or infinity in ``values``."""
    tensor(name, values)
    if values.is_cpu and not bool(torch.isfinite(values).all()):
        bad = int((~torch.isfinite(values)).sum())
        raise ValueError(
            f"{name} must be finite, got {bad} NaN or infinite of {values.numel()} values"
        )


ROOM = 4  # a difference of two logits may overflow though neither does: they keep this far away


def scores(name: str, values: Tensor) -> None:
    """``values`` is finite floating point numbers whose differences are finite, too."""
    floating(name, values)
    finite(name, values)
    if values.is_cpu and values.numel():
        limit, largest = torch.finfo(values.dtype).max / ROOM, float(values.abs().max())
        require(
            largest <= limit,
            f"{name} must be at most {limit:.1g} in size, so that their differences do not "
            f"overflow in {values.dtype}, got {largest:.1g}; use {name}.double()",
        )


def logits_and_targets(logits: Tensor, targets: Tensor) -> None:
    """``logits`` is (B, m), B >= 1, m >= 2, finite; ``targets`` is (B, m), row-stochastic."""
    tensor("logits", logits)
    tensor("targets", targets)
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
    scores("logits", logits.detach())
    row_stochastic("targets", targets.detach(), logits.shape[1])


def door(**vectors: Callable[[str, Tensor], None]) -> Callable[[Callable], Callable]:
    """A formula of logits (B, m), targets (B, m) and (m,) vectors, behind the checks of all three.

    A loop that has checked them before takes the formula alone: `formula.__wrapped__`.

    Args:
        vectors: name of an argument -> the check of its values; None as the argument passes.
    """

    def decorated(formula: Callable) -> Callable:
        signature = inspect.signature(formula)

        @functools.wraps(formula)
        def checked(*args: object, **kwargs: object) -> Tensor:
            given = signature.bind(*args, **kwargs).arguments
            logits_and_targets(given["logits"], given["targets"])
            for name, check in vectors.items():
                if given.get(name) is not None:
                    vector(name, given[name], given["logits"].shape[1])
                    check(name, given[name])
            return formula(*args, **kwargs)

        return checked

    return decorated


def row_stochastic(name: str, targets: Tensor, classes: int, rows: int | None = None) -> None:
    """``targets`` is (n, m), non-negative, each row summing to 1 (within 1e-3)."""
    tensor(name, targets)
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
    tensor(name, values)
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


def counts(name: str, values: Tensor) -> None:
    """Every entry is finite and at least 0, and one is above 0."""
    finite(name, values)
    if values.is_cpu:
        low, total = float(values.min()), float(values.sum())
        require(
            low >= 0 and total > 0,
            f"{name} must be non-negative with a positive sum, got a smallest entry of {low:g} "
            f"and a sum of {total:g}",
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
