"""Self-checks of notebook 03, Who should be robust, the teacher or the student?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rdlite.exercises.judging import judge
from rdlite.metrics import pareto


def check_3_1(paired: Callable[[Tensor, Tensor], tuple[float, float]]) -> None:
    """Mean and standard error of paired differences: (a (n,), b (n,)) -> two numbers."""
    first, second = torch.tensor([0.5, 0.6, 0.7]), torch.tensor([0.4, 0.4, 0.4])
    noise = torch.linspace(-0.2, 0.2, 5).double()
    cases = [
        ("a = (0.5, 0.6, 0.7), b = (0.4, 0.4, 0.4)", first.double(), second.double()),
        ("b = a - 0.1, a spread", noise + 0.6, noise + 0.5),
        ("a and b unrelated", noise + 0.6, noise.flip(0) + 0.5),
    ]
    judge("3.1", paired, [(words, (a, b), _paired(a, b)) for words, a, b in cases])


def _paired(a: Tensor, b: Tensor) -> tuple[float, float]:
    difference = a - b
    return float(difference.mean()), float(difference.std() / len(difference) ** 0.5)


def check_3_2(undominated: Callable[[Tensor], Tensor]) -> None:
    """Which models no other beats: accuracies (n, 2) -> (n,) of True and False."""
    drawn = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cases = [
        ("one model", torch.tensor([[0.8, 0.1]])),
        ("three models", torch.tensor([[0.8, 0.1], [0.7, 0.5], [0.7, 0.4]])),
        ("two equal models", torch.tensor([[0.7, 0.5], [0.7, 0.5]])),
        ("nine models", drawn),
    ]
    judge("3.2", undominated, [(words, (x,), pareto(x)) for words, x in cases])
