"""Self-checks of notebook 05, Does robust distillation beat the other methods?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rdlite.exercises.judging import judge


def check_5_1(predict: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Logit adjustment post hoc: (logits (n, m), prior (m,)) -> classes (n,)."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.5, 0.0], [3.0, 0.0, 0.5]])
    drawn = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    cases = [
        ("logits (2, 1.5, 0) and prior (0.6, 0.3, 0.1)", logits[1:2], [0.6, 0.3, 0.1]),
        ("three images and equal priors", logits, [1 / 3, 1 / 3, 1 / 3]),
        ("50 images and prior (0.9, 0.07, 0.02, 0.01)", drawn, [0.9, 0.07, 0.02, 0.01]),
    ]
    judge(
        "5.1",
        predict,
        [
            (words, (x, torch.tensor(p)), (x - torch.tensor(p).log()).argmax(1))
            for words, x, p in cases
        ],
    )


def check_5_2(choose: Callable[[Tensor, Tensor], int]) -> None:
    """The setting by one rule: held-out worst and average (settings, seeds) -> its index."""
    worst = torch.tensor([[0.2, 0.4], [0.6, 0.2], [0.1, 0.5]], dtype=torch.float64)
    average = torch.tensor([[0.7, 0.7], [0.6, 0.6], [0.9, 0.9]], dtype=torch.float64)
    tied = torch.tensor([[0.25, 0.5], [0.5, 0.25], [0.0, 0.5]], dtype=torch.float64)
    cases = [
        ("three settings, two seeds", worst, average, 1),
        ("equal worst classes of the first two", tied, average.flip(0), 0),
        ("the same in another order", tied.flip(0), average, 2),
    ]
    judge("5.2", choose, [(words, (w, a), index) for words, w, a, index in cases])


def check_5_3(interval: Callable[[Tensor, Tensor], tuple[float, float]]) -> None:
    """Bootstrap: (differences (seeds,), picks (draws, seeds)) -> low and high end of 95 %."""
    picks = torch.randint(5, (400, 5), generator=torch.Generator().manual_seed(0))
    cases = [
        ("five equal differences of 0.25", torch.full((5,), 0.25, dtype=torch.float64)),
        ("differences 0, 0.1, 0.2, 0.3, 0.4", torch.arange(5).double() / 10),
        ("differences -1, 0, 0, 0, 1", torch.tensor([-1.0, 0, 0, 0, 1]).double()),
    ]
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    judge(
        "5.3",
        interval,
        [(words, (d, picks), torch.quantile(d[picks].mean(1), ends)) for words, d in cases],
    )
