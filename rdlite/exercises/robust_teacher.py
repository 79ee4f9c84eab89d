"""Self-checks of notebook 02, How do you train for the worst class?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rdlite.exercises.judging import judge
from rdlite.multipliers import hedge_step
from rdlite.objectives import Objective


def check_2_1(class_weights: Callable[[float, Tensor, Tensor, Tensor], Tensor]) -> None:
    """Class weights of eq. (7), mean 1: (alpha, anchor, multipliers, prior) -> (m,)."""
    prior, uniform = _vector(0.7, 0.2, 0.1), torch.full((3,), 1 / 3, dtype=torch.float64)
    lam = _vector(0.1, 0.3, 0.6)
    cases = [
        ("the standard objective, alpha = 0 and a = pi", (0.0, prior, lam, prior)),
        ("the balanced objective, alpha = 0 and a = 1/m", (0.0, uniform, lam, prior)),
        ("the robust objective, alpha = 1", (1.0, uniform, lam, prior)),
        ("alpha = 0.25 and a = pi", (0.25, prior, lam, prior)),
    ]
    judge(
        "2.1",
        class_weights,
        [
            (words, (alpha, a, lam, pi), Objective(alpha, a.tolist()).class_weights(lam, pi))
            for words, (alpha, a, lam, pi) in cases
        ],
    )


def check_2_2(hedge: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Eq. (6) without overflow: (multipliers (m,), risks (m,), step size) -> (m,)."""
    lam = _vector(0.5, 0.3, 0.2)
    cases = [
        ("risks 0.2, 0.5, 2.0 and step size 0.5", (lam, _vector(0.2, 0.5, 2.0), 0.5)),
        ("equal risks", (lam, _vector(1.0, 1.0, 1.0), 0.5)),
        ("step size 0", (lam, _vector(0.2, 0.5, 2.0), 0.0)),
        ("risks 1000, 1001, 1002 and step size 1", (lam, _vector(1000, 1001, 1002), 1.0)),
    ]
    judge("2.2", hedge, [(words, given, hedge_step(*given)) for words, given in cases])


def check_2_3(absent: Callable[[Tensor, int], Tensor]) -> None:
    """Probability that each class is missing from a batch: (prior (m,), batch size) -> (m,).

    The images of a batch are drawn independently.
    """
    prior = _vector(0.9, 0.09, 0.01)
    judge(
        "2.3",
        absent,
        [(f"a batch of {size}", (prior, size), (1 - prior) ** size) for size in (1, 2, 128)],
    )


def _vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
