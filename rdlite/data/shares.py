"""What a user asks of own images: parts as numbers or as shares, of which some stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real

import torch
from torch import Tensor

from rdlite.data import protocol
from rdlite.data.splits import Split, Splits
from rdlite.guards import checks
from rdlite.guards.door import ranged

SHARE = 0.2  # of each class, where nothing else is said


def _part(name: str, value: object) -> None:
    """``value`` is a number of images or a share of them."""
    real = isinstance(value, Real) and not isinstance(value, bool) and value >= 0
    good = real and (isinstance(value, Integral) or value < 1)
    wanted = "be a whole number of at least 0, or a share below 1"
    checks.expect(good, name, wanted, repr(value))


@dataclass(frozen=True)
class Own(protocol.Options):
    """What to draw of own images: as they are, unless it says otherwise; parts may be shares."""

    imbalance: float | None = ranged(None, checks.number, low=1)
    heldout: float = ranged(SHARE, _part)
    selection: float = ranged(0, _part)
    test: float | None = ranged(None, _part)
    order: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        good = self.order is None or self.imbalance is not None
        checks.expect(good, "order", "be None where imbalance is None", repr(self.order))

    def check_test(self, given: bool) -> None:
        """A part of the pool is asked for, or a test set is ``given``."""
        good = self.test is None if given else self.test != 0
        wanted = "be None where a test set is given, and else above 0"
        checks.expect(good, "test", wanted, repr(self.test))


def draw(
    name: str,
    pool: Split,
    tested: Split | None,
    options: Own,
    groups: Sequence[Hashable] | None,
    content: str = "",
) -> Splits:
    """The splits of images that have been read."""
    sizes, names, shape = pool.class_counts.tolist(), pool.class_names, tuple(pool.images.shape[1:])
    if tested is not None:
        came = tuple(tested.images.shape[1:])
        wanted = f"have the shape of images after the first axis, {shape}"
        checks.expect(came == shape, "test_images", wanted, came)
    order = sorted(range(len(names)), key=lambda k: -sizes[k])
    if options.order is not None:
        good = sorted(map(str, options.order)) == sorted(names)
        wanted = f"be the classes {list(names)} in some order"
        checks.expect(good, "order", wanted, repr(options.order))
        order = [names.index(str(one)) for one in options.order]
    numbers = {"test": _number(SHARE if options.test is None else options.test, max(sizes))}
    largest = max(sizes)
    if options.imbalance is not None:
        tail = partial(protocol.exponential, options.imbalance, order)
        largest = protocol.largest_head(sizes, [0] * len(sizes), tail)
    for part in ("heldout", "selection"):
        numbers[part] = _number(getattr(options, part), largest)
    return protocol.draw(
        name,
        pool,
        tested,
        replace(options, **numbers),
        content=content or _content(pool, tested),
        order=order,
        groups=None if groups is None else _numbered(groups, len(pool)),
    )


def _number(asked: float, largest: int) -> int:
    """A number of images, or a share of the ``largest`` class, which is never of no image."""
    if isinstance(asked, Integral):
        return int(asked)
    return max(1, int(asked * largest + 1e-9)) if asked else 0


def _numbered(groups: Sequence[Hashable], n: int) -> Tensor:
    """(n,) int64, equal where the groups are."""
    numbers: dict[Hashable, int] = {}
    wanted = f"have a value for each of {n} images"
    try:
        values = groups.tolist() if hasattr(groups, "tolist") else list(groups)
        found = [numbers.setdefault(one, len(numbers)) for one in values]
    except TypeError as error:
        checks.expect(False, "groups", wanted, f"{checks.shown(groups)} ({error})")
    checks.expect(len(found) == n, "groups", wanted, f"{len(found)} values")
    return torch.tensor(found)


def _content(*splits: Split | None) -> str:
    """A hash of every pixel and label."""
    content = hashlib.sha256()
    for split in filter(None, splits):
        for values in (split.images, split.labels):
            content.update(f"{tuple(values.shape)}".encode())
            content.update(values.numpy())
    return content.hexdigest()
