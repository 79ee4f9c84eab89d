"""Argument checks: every message names the argument, what came and what would do.

Shapes are always checked. Values are checked on the CPU only, because reading a value from a GPU
would make the host wait for it in the middle of an epoch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

ROOM = 4  # a difference of two logits may overflow though neither does: they keep this far away


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless ``condition`` holds."""
    if not condition:
        raise ValueError(message)


def expect(good: bool, name: str, wanted: str, got: object, cure: str = "") -> None:
    """Unless ``good``, a ValueError: ``name`` must ``wanted``, got ``got``, and what would do."""
    require(good, f"{name} must {wanted}, got {got}{cure}")


def choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """``value`` is one of ``allowed``; the message suggests the nearest one."""
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        wanted = f"be one of {', '.join(map(repr, allowed))}"
        expect(False, name, wanted, repr(value), nearest(value, allowed))


def nearest(value: object, allowed: Iterable[str]) -> str:
    """The end of a message that suggests the nearest name; empty if none is near.

    >>> nearest("Robsut", ["standard", "robust"])
    "; did you mean 'robust'?"
    """
    names = {one.lower(): one for one in allowed}
    near = difflib.get_close_matches(str(value).lower(), names, n=1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def instance(name: str, value: object, kind: type, hint: str = "") -> None:
    """``value`` is of a type; ``hint`` says how to get one."""
    if not isinstance(value, kind):
        known = {Tensor: "torch.Tensor", torch.nn.Module: "torch.nn.Module"}
        article = "an" if kind.__name__[0] in "AEIO" else "a"
        expect(False, name, f"be {article} {known.get(kind, kind.__name__)}", shown(value), hint)


def shown(value: object) -> str:
    """What came, in a few words: a short value itself, of others the type."""
    text = repr(value)
    return text if len(text) <= 80 and "\n" not in text else f"a {type(value).__name__}"


def kind_of(array: Tensor | np.ndarray) -> str:
    """Type and shape of a tensor or an array."""
    return f"{array.dtype} {tuple(array.shape)}"


def tensor(name: str, value: object) -> None:
    """``value`` is a tensor; lists and arrays are not taken for one."""
    instance(name, value, Tensor, f", a {type(value).__name__}; use torch.as_tensor({name})")


def numbers(name: str, values: object) -> Tensor:
    """``values``, a tensor, an array or lists, as a float64 tensor on the CPU, without a graph.

    >>> numbers("prior", [[1, 2], [3]])
    Traceback (most recent call last):
    ValueError: prior must be numbers in one shape, got [[1, 2], [3]]
    """
    try:
        if not isinstance(values, Tensor) and hasattr(values, "__array__"):
            values = np.array(values)  # a copy, because memory may be read-only
        return torch.as_tensor(values, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"{name} must be numbers in one shape, got {shown(values)}") from None


def device(name: str, value: object) -> None:
    """``value`` is a device on which this machine can compute."""
    try:
        torch.empty(1, device=value)
        reason = "it holds no numbers" if torch.device(value).type == "meta" else ""
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
    got = f"{str(value)!r} ({reason}); use {name} cpu"
    expect(not reason, name, "be one that this machine has", got)


def number(
    name: str, value: object, *, low: float = -math.inf, high: float = math.inf, above: bool = False
) -> None:
    """``value`` is a finite number in [low, high], or in (low, high] where ``above`` is set."""
    finite = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    inside = finite and (low < value if above else low <= value) and value <= high
    interval = f"{'(' if above else '['}{low:g}, {high:g}]"
    expect(inside, name, f"be a number in {interval}", repr(value))


def integer(name: str, value: object, *, low: int, high: float = math.inf) -> None:
    """``value`` is a whole number of at least ``low`` and at most ``high``."""
    good = isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high
    upper = "" if high == math.inf else f" and at most {high:g}"
    expect(good, name, f"be a whole number of at least {low}{upper}", repr(value))


def flag(name: str, value: object) -> None:
    """``value`` is True or False."""
    expect(isinstance(value, bool), name, "be true or false", repr(value))


def class_indices(name: str, values: Tensor, classes: int | None = None) -> None:
    """Every entry of ``values`` is a whole number in 0..m-1; of any m if none is given."""
    tensor(name, values)
    good = not values.is_floating_point() and values.dtype != torch.bool
    expect(good, name, "be class indices", values.dtype, f"; use {name}.long()")
    low, high = (int(values.min()), int(values.max())) if values.numel() else (0, 0)
    last = "m-1" if classes is None else classes - 1
    good = low >= 0 and (classes is None or high < classes)
    expect(good, name, f"be in 0..{last}", f"{low}..{high}")


def rows_and_labels(name: str, rows: Tensor, labels: Tensor) -> int:
    """``rows`` is (n, m) and ``labels`` (n,), class indices below m; returns m."""
    tensor(name, rows)
    tensor("labels", labels)
    good = rows.ndim == 2 and labels.shape == rows.shape[:1]
    got = f"{tuple(rows.shape)} and {tuple(labels.shape)}"
    expect(good, name, "be (n, m) and labels (n,)", got)
    class_indices("labels", labels, rows.shape[1])
    return rows.shape[1]


def floating(name: str, values: Tensor, what: str = "numbers") -> None:
    """``values`` is a tensor of floating point numbers."""
    tensor(name, values)
    good, cure = values.is_floating_point(), f"; use {name}.float()"
    expect(good, name, f"be floating point {what}", values.dtype, cure)


def finite(name: str, values: Tensor) -> None:
    """No NaN or infinity in ``values``."""
    tensor(name, values)
    bad = int((~torch.isfinite(values)).sum()) if values.is_cpu else 0
    expect(bad == 0, name, "be finite", f"{bad} NaN or infinite of {values.numel()} values")


def scores(name: str, values: Tensor) -> None:
    """``values`` is finite floating point numbers whose differences are finite, too."""
    floating(name, values)
    finite(name, values)
    if values.is_cpu and values.numel():
        limit, largest = torch.finfo(values.dtype).max / ROOM, float(values.abs().max())
        why = f"so that their differences do not overflow in {values.dtype}"
        wanted, cure = f"be at most {limit:.1g} in size, {why}", f"; use {name}.double()"
        expect(largest <= limit, name, wanted, f"{largest:.1g}", cure)


def row_stochastic(name: str, targets: Tensor, classes: int, rows: int | None = None) -> None:
    """``targets`` is (n, m), non-negative, each row summing to 1 (within 1e-3)."""
    tensor(name, targets)
    good = targets.ndim == 2 and targets.shape[1] == classes and rows in (None, targets.shape[0])
    wanted = f"have shape ({'n' if rows is None else rows}, {classes})"
    expect(good and len(targets) > 0, name, wanted, tuple(targets.shape))
    floating(name, targets, "probabilities")
    finite(name, targets)
    if targets.is_cpu:
        low, off = float(targets.min()), float((targets.sum(1) - 1).abs().max())
        got = f"a smallest entry of {low:g} and a row sum off by {off:g}"
        good, cure = low >= 0 and off <= 1e-3, "; use torch.softmax(logits, 1)"
        expect(good, name, "have non-negative rows that sum to 1", got, cure)


def logits_and_targets(logits: Tensor, targets: Tensor) -> None:
    """``logits`` is (B, m), B >= 1, m >= 2, finite; ``targets`` is (B, m), row-stochastic."""
    tensor("logits", logits)
    tensor("targets", targets)
    shape = tuple(logits.shape)
    good = logits.ndim == 2 and shape[0] >= 1 and shape[1] >= 2
    expect(good, "logits", "have shape (B, m) with B >= 1 images and m >= 2 classes", shape)
    good, cure = targets.shape == logits.shape, "; see torch.nn.functional.one_hot"
    expect(good, "targets", f"have the shape of logits, {shape}", tuple(targets.shape), cure)
    scores("logits", logits.detach())
    row_stochastic("targets", targets.detach(), shape[1])


def vector(name: str, values: Tensor, classes: int) -> None:
    """``values`` is (m,)."""
    tensor(name, values)
    wanted = f"have shape ({classes},), one number a class"
    expect(values.shape == (classes,), name, wanted, tuple(values.shape))


def positive(name: str, values: Tensor) -> None:
    """Every entry is finite and above 0."""
    finite(name, values)
    if values.is_cpu and not bool((values > 0).all()):
        first = int((values <= 0).nonzero()[0])
        expect(False, name, "be above 0 for every class", f"{values[first]:g} for class {first}")


def counts(name: str, values: Tensor, *, of_1: bool = False) -> None:
    """Every entry is finite and at least 0; the sum is above 0, or 1 (within 1e-3) if ``of_1``."""
    finite(name, values)
    if values.is_cpu:
        low, total = float(values.min()), float(values.sum())
        good = low >= 0 and (abs(total - 1) <= 1e-3 if of_1 else total > 0)
        wanted = f"be non-negative {'and sum to 1' if of_1 else 'with a positive sum'}"
        got = f"a smallest entry of {low:g} and a sum of {total:g}"
        expect(good, name, wanted, got, "; divide by the sum" if of_1 else "")


def simplex(name: str, values: Tensor) -> None:
    """Every entry is finite and at least 0, and their sum is 1 (within 1e-3)."""
    counts(name, values, of_1=True)


def apart(name: str, trained: torch.nn.Module, other_name: str, other: torch.nn.Module) -> None:
    """No weight or running statistic that ``trained`` learns is one of ``other``; frozen may be."""
    theirs = {one.data_ptr() for one in (*other.parameters(), *other.buffers())}
    learned = {key: one for key, one in trained.named_parameters() if one.requires_grad}
    for key, module in trained.named_modules():
        mean = getattr(module, "running_mean", None)
        if mean is not None and (module.training or not trained.training):
            learned[f"{key}.running_mean"] = mean
    common = [key for key, one in learned.items() if one.numel() and one.data_ptr() in theirs]
    wanted = f"learn none of the weights of the {other_name}"
    cure = f"; train a copy.deepcopy of it, or freeze them in the {name}: requires_grad_(False)"
    expect(not common, name, wanted, ", ".join(common[:3]), f"{cure} and eval()")
