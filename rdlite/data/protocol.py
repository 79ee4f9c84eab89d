"""The protocol that every data set follows: a long-tailed draw from a pool of labelled images.

Train and held-out are both cut from the pool, with the same profile over the classes: exponential,
or that of the pool. The test set stays whole. Images for the choice of settings, and a test set
where none is given, are set aside first, the same ones for every seed.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from rdlite.data.splits import Split, Splits
from rdlite.guards import checks
from rdlite.guards.door import check_ranges, ranged

LEAST_SELECTED = 20  # images a class, so that a choice does not hang on two of them
LEAST = 2  # images a class in every other part that is asked for but train


@dataclass(frozen=True)
class Options:
    """What to draw of a data set, as `rdlite.data.load` explains it; ValueError if out of range."""

    imbalance: float | None = ranged(100, checks.number, low=1)
    head: int | None = ranged(None, checks.integer, low=1)
    heldout: int = ranged(200, checks.integer, low=0)
    seed: int = ranged(0, checks.integer, low=0, high=2**32 - 1)
    selection: int = ranged(0, checks.integer, low=0)
    size: int | None = None
    side: float = math.inf  # of the images, pixels: the largest size

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.size is not None:
            checks.integer("size", self.size, low=4, high=self.side)


def long_tail_counts(
    head: int, num_classes: int, imbalance: float, *, at_least: int = 0
) -> list[int]:
    """Images a class, ``floor(head * imbalance^(-k/(m-1)))`` for class k = 0..m-1.

    Args:
        head: images of class 0.
        num_classes: m.
        imbalance: images of the first class over images of the last one, at least 1.
        at_least: raise smaller counts to this many.

    >>> long_tail_counts(1000, 3, 100)
    [1000, 100, 10]
    """
    checks.integer("head", head, low=0)
    checks.integer("num_classes", num_classes, low=2)
    checks.number("imbalance", imbalance, low=1)
    exponents = [-k / (num_classes - 1) for k in range(num_classes)]
    return [max(at_least, int(head * imbalance**e + 1e-9)) for e in exponents]


def draw(
    name: str,
    pool: Split,
    test: Split | None,
    options: Options,
    *,
    content: str = "",
    order: Sequence[int] | None = None,
    groups: Tensor | None = None,
) -> Splits:
    """Cut train and held-out from ``pool``; ``test`` stays whole, or is cut from the pool, too.

    Args:
        name: of the data set; part of the fingerprint.
        options: how many of the ``pool``, and which.
        content: what else the fingerprint has to cover, for data that the name does not identify.
        order: the classes from the largest of a long tail to the smallest; by default 0..m-1.
        groups: (n,) int64, 0..g-1: each group stays on one side.

    Raises:
        ValueError: more images asked for than a class has.
    """
    profile = natural = partial(_natural, pool.class_counts)
    if options.imbalance is not None:
        profile = partial(exponential, options.imbalance, order or range(pool.num_classes))
    least = {} if test is not None else {"test": LEAST}
    if options.selection:
        least["selection"] = LEAST if options.imbalance is None else LEAST_SELECTED
    if groups is not None and options.heldout:
        least["heldout"] = LEAST
    labels, parts = pool.labels.clone(), {}
    take = cut if groups is None else partial(cut_whole, groups=groups)
    for part, at_least in least.items():
        counts = (natural if part == "test" else profile)(getattr(options, part), at_least)
        seed = options.seed if part == "heldout" else 0  # the others are the same for every seed
        cure = f"; lower {part}, of which each class gives at least {at_least}"
        [parts[part]] = take(labels, [counts], seed, f"{part} asks", cure, pool.class_names)
        labels[parts[part]] = -1  # of no class, so that no other part takes them
    identity = f"{name}:{content}" if content else name
    identity += "".join(f":{part} {parts[part].tolist()}" for part in parts if part != "heldout")
    train, held = _train_and_heldout(labels, profile, options, pool.class_names, parts)
    parts |= {"train": train, "heldout": parts.get("heldout", held)}
    digest = hashlib.sha256(identity.encode())
    for part in ("train", "heldout"):
        digest.update(b"|" + parts[part].numpy().astype("<i8").tobytes())
        labels[parts[part]] = -1
    splits = {part: _take(pool, indices, options.size) for part, indices in parts.items()}
    if test is not None:
        splits["test"] = _take(test, slice(None), options.size)
    left_out = torch.bincount(labels[labels >= 0], minlength=pool.num_classes)
    return Splits(name, fingerprint=digest.hexdigest()[:16], left_out=left_out, **splits)


Profile = Callable[[int, int], list[int]]  # of the largest class's images, and of the least ones


def _natural(sizes: Tensor, largest: int, at_least: int) -> list[int]:
    """Images a class, in proportion to the ``sizes``."""
    return (sizes * largest // sizes.max()).clamp_min(at_least).tolist()


def exponential(imbalance: float, order: Sequence[int], largest: int, at_least: int) -> list[int]:
    """Images a class, along a long tail in this ``order``."""
    counts = long_tail_counts(largest, len(order), imbalance, at_least=at_least)
    return [counts[order.index(k)] for k in range(len(order))]


def _train_and_heldout(
    labels: Tensor, profile: Profile, options: Options, names: Sequence[str], parts: Iterable[str]
) -> tuple[Tensor, Tensor]:
    """Indices of the two, of what ``parts`` have left; none is held out where they have it."""
    m, heldout = len(names), 0 if "heldout" in parts else options.heldout
    held_counts = profile(heldout, LEAST if heldout else 0)
    available = torch.bincount(labels[labels >= 0], minlength=m).tolist()
    if options.head is None and options.imbalance is None:
        train_counts = [max(1, n - held) for n, held in zip(available, held_counts, strict=True)]
    else:
        train_counts = profile(options.head or largest_head(available, held_counts, profile), 1)
    left = f" left beside {', '.join(parts)}" if parts else ""
    cure = f"{left}; lower head or heldout (head=None takes what is left)"
    asked = [train_counts, held_counts]
    train, held = cut(labels, asked, options.seed, "head and heldout ask", cure, names)
    return train, held


def largest_head(available: list[int], heldout_counts: list[int], profile: Profile) -> int:
    """The largest head that every class can serve; 1 where none can, so that `cut` objects."""

    def too_many(head: int) -> bool:
        counts = profile(head, 1)
        return any(n + h > a for n, h, a in zip(counts, heldout_counts, available, strict=True))

    return bisect_left(range(2, max(available) + 1), True, key=too_many) + 1


def cut(
    labels: Tensor,
    counts: list,
    seed: int,
    asking: str = "counts ask",
    cure: str = "",
    names: Sequence[str] | None = None,
) -> list[Tensor]:
    """Indices of disjoint parts, with as many images of each class as the part's ``counts`` say."""
    random, parts = np.random.RandomState(seed), []
    for k, asked in enumerate(zip(*counts, strict=True)):
        members = random.permutation(np.flatnonzero(labels.numpy() == k))
        words = f"{asking} for {' + '.join(map(str, asked))} images of class"
        enough, name = sum(asked) <= len(members), names[k] if names else k
        checks.require(enough, f"{words} {name}, which has {len(members)}{cure}")
        parts.append(np.split(members, np.cumsum(asked))[:-1])
    return [torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)]


def cut_whole(
    labels: Tensor,
    counts: list,
    seed: int,
    asking: str,
    cure: str,
    names: Sequence[str],
    groups: Tensor,
) -> list[Tensor]:
    """`cut` for one part of whole groups, with about as many images of each class.

    A group is taken where no class gets too many by it; where no such group is left, and a class
    has less than it must have, the smallest ones of that class.
    """
    random, [wanted] = np.random.RandomState(seed), np.array(counts)
    left = np.flatnonzero(labels >= 0)
    sizes = np.zeros((int(groups.max()) + 1, len(names)), int)
    np.add.at(sizes, (groups.numpy()[left], labels.numpy()[left]), 1)
    have, taken = np.zeros_like(wanted), np.zeros(len(sizes), bool)
    for k in sizes.sum(0).argsort(kind="stable"):  # scarce classes have the least choice
        members, enough = random.permutation(np.flatnonzero(sizes[:, k])), min(wanted[k], LEAST)
        for group in members[~taken[members]]:
            taken[group] = (have + sizes[group] <= wanted)[sizes[group] > 0].all()
            have += sizes[group] * taken[group]
        few = sizes[members, k] < enough - have[k]
        for group in members[np.lexsort((sizes[members].sum(1), few))]:
            if not taken[group]:
                taken[group] = have[k] < enough
                have += sizes[group] * taken[group]
        words = f"{asking} for {wanted[k]} images of class {names[k]}, whose groups that are left"
        checks.require(have[k] >= enough, f"{words} have {have[k]}{cure}")
    return [torch.from_numpy(left[taken[groups.numpy()[left]]])]


def _take(split: Split, indices: Tensor | slice, size: int | None) -> Split:
    images = split.images[indices]
    if size is not None and size != images.shape[-1] and len(images):
        pooled = torch.nn.functional.adaptive_avg_pool2d(images.float(), size)
        images = pooled.round().to(torch.uint8)
    return Split(images, split.labels[indices], split.class_names)
