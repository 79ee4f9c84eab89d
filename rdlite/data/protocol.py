"""The protocol that every data set follows: a long-tailed draw from a pool of labelled images.

Train and held-out are both cut from the pool, with the same exponential profile; the test set
stays whole. Images for the choice of settings are set aside first, the same ones for every seed.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rdlite.data.splits import Split, Splits
from rdlite.guards import checks
from rdlite.guards.door import check_ranges, ranged

LEAST_SELECTED = 20  # images a class, so that a choice does not hang on two of them


@dataclass(frozen=True)
class Options:
    """What to draw of a data set, as `rdlite.data.load` explains it; ValueError if out of range."""

    imbalance: float = ranged(100, checks.number, low=1)
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


def draw(name: str, pool: Split, test: Split, options: Options, *, content: str = "") -> Splits:
    """Cut train and held-out from ``pool``; ``test`` stays whole.

    Args:
        name: of the data set; part of the fingerprint.
        options: how many of the ``pool``, and which.
        content: what else the fingerprint has to cover, for data that the name does not identify.

    Raises:
        ValueError: more images asked for than a class has.
    """
    m, rho, heldout = pool.num_classes, options.imbalance, options.heldout
    least = LEAST_SELECTED if options.selection else 0
    counts = long_tail_counts(options.selection, m, rho, at_least=least)
    cure = "; lower selection, or use 0 for none"
    [chosen] = cut(pool.labels, [counts], 0, "selection asks", cure)  # the same for every seed
    labels = pool.labels.index_fill(0, chosen, -1)  # of no class, so that no seed draws them
    heldout_counts = long_tail_counts(heldout, m, rho, at_least=2 if heldout else 0)
    available = torch.bincount(labels[labels >= 0], minlength=m).tolist()
    head = options.head or _largest_head(available, heldout_counts, rho)
    train_counts = long_tail_counts(head, m, rho, at_least=1)
    left = " left beside selection" if options.selection else ""
    cure = f"{left}; lower head or heldout (head=None takes what is left)"
    asked = [train_counts, heldout_counts]
    train, held = cut(labels, asked, options.seed, "head and heldout ask", cure)
    identity = f"{name}:{content}" if content else name
    if options.selection:
        identity += f":selection {chosen.tolist()}"
    digest = hashlib.sha256(identity.encode())
    for part in (train, held):
        digest.update(b"|" + part.numpy().astype("<i8").tobytes())
    return Splits(
        name,
        train=_take(pool, train, options.size),
        heldout=_take(pool, held, options.size),
        test=_take(test, slice(None), options.size),
        fingerprint=digest.hexdigest()[:16],
        selection=_take(pool, chosen, options.size) if options.selection else None,
    )


def _largest_head(available: list[int], heldout_counts: list[int], imbalance: float) -> int:
    """The largest head that every class can serve; 1 where none can, so that `cut` objects."""

    def too_many(head: int) -> bool:
        counts = long_tail_counts(head, len(available), imbalance, at_least=1)
        return any(n + h > a for n, h, a in zip(counts, heldout_counts, available, strict=True))

    return bisect_left(range(2, available[0] + 1), True, key=too_many) + 1


def cut(
    labels: Tensor, counts: list, seed: int, asking: str = "counts ask", cure: str = ""
) -> list[Tensor]:
    """Indices of disjoint parts, with as many images of each class as the part's ``counts`` say."""
    random, parts = np.random.RandomState(seed), []
    for k, asked in enumerate(zip(*counts, strict=True)):
        members = random.permutation(np.flatnonzero(labels.numpy() == k))
        words = f"{asking} for {' + '.join(map(str, asked))} images of class {k}"
        enough = sum(asked) <= len(members)
        checks.require(enough, f"{words}, which has {len(members)}{cure}")
        parts.append(np.split(members, np.cumsum(asked))[:-1])
    return [torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)]


def _take(split: Split, indices: Tensor | slice, size: int | None) -> Split:
    images = split.images[indices]
    if size is not None and size != images.shape[-1] and len(images):
        pooled = torch.nn.functional.adaptive_avg_pool2d(images.float(), size)
        images = pooled.round().to(torch.uint8)
    return Split(images, split.labels[indices], split.class_names)
