"""Self-checks of notebook 06, What changes at paper scale?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rdlite.data import long_tail_counts
from rdlite.exercises.judging import judge


def check_6_1(counts: Callable[[int, int, float], list[int]]) -> None:
    """Images of each class of a long tail: (head, number of classes, imbalance) -> m numbers."""
    cases = [
        ("1,000 images, 3 classes, imbalance 100", 1000, 3, 100),
        ("CIFAR-10, imbalance 100", 5000, 10, 100),
        ("CIFAR-100, imbalance 100", 500, 100, 100),
        ("7 images, 2 classes, imbalance 1", 7, 2, 1),
    ]
    judge(
        "6.1",
        counts,
        [(words, case, torch.tensor(long_tail_counts(*case)).double()) for words, *case in cases],
    )


def check_6_2(hours: Callable[[int, int, int, float], float]) -> None:
    """Hours of a training: (images, batch size, epochs, seconds of a step) -> a number."""
    cases = [
        ("12,800 images, batches of 128, 10 epochs, 3.6 s a step", 12_800, 128, 10, 3.6),
        ("11,166 images, batches of 128, 200 epochs, 0.5 s a step", 11_166, 128, 200, 0.5),
    ]
    judge(
        "6.2",
        hours,
        [(words, (n, b, e, s), n // b * e * s / 3600) for words, n, b, e, s in cases],
    )


def check_6_3(batch: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    """The batch's mean and variance from those of equal parts: two (parts,) -> two numbers."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(4, 8, generator=generator, dtype=torch.float64) * 2
    moved = drawn + torch.arange(4)[:, None]
    two = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    cases = [
        ("parts (0, 0) and (1, 1)", two),
        ("four parts of eight numbers", drawn),
        ("four parts with different means", moved),
    ]
    judge(
        "6.3",
        batch,
        [
            (
                words,
                (x.mean(1), x.var(1, correction=0)),
                (float(x.mean()), float(x.var(correction=0))),
            )
            for words, x in cases
        ],
    )
