"""Self-checks of notebook 04, What makes a good teacher?"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rdlite.exercises.judging import judge
from rdlite.theory.population import Population
from rdlite.theory.teachers import add_noise, bias, temper


def check_4_1(rounds_needed: Callable[[int, float, float], int]) -> None:
    """Rounds K after which eq. (9) promises at most ``excess`` nats: (m, B, excess) -> K."""
    cases = [(3, 3.0, 0.1), (10, 3.0, 0.1), (10, 6.0, 0.1), (2, 1.0, 0.7)]
    judge(
        "4.1",
        rounds_needed,
        [
            (f"m = {m}, B = {b:g}, excess = {e:g}", (m, b, e), _rounds_needed(m, b, e))
            for m, b, e in cases
        ],
    )


def _rounds_needed(m: int, bound: float, excess: float) -> int:
    return math.ceil(bound**2 * math.log(m) / (2 * excess**2))


def check_4_2(teacher_gap: Callable[[Tensor, Tensor, Tensor], float]) -> None:
    """Delta of eq. (10): (weights, eta, p) -> a number."""
    hand = Population([0.5, 0.5], torch.eye(2))
    drawn = Population.random(6, 3, seed=1)
    cases = [
        ("a teacher that knows nothing (certain labels)", hand, torch.full((2, 2), 0.5)),
        ("the Bayes teacher", drawn, drawn.eta),
        ("a flattened teacher", drawn, temper(drawn.eta, 2.0)),
        ("a biased teacher", drawn, bias(drawn.eta, torch.tensor([1.0, 3.0, 9.0]))),
        ("a noisy teacher", drawn, add_noise(drawn.eta, 1.0)),
    ]
    judge(
        "4.2",
        teacher_gap,
        [
            (words, (x.weights, x.eta, p.to(x.eta)), x.teacher_gap(p.to(x.eta)))
            for words, x, p in cases
        ],
    )


def check_4_3(repair: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Undo known class weights: (c*eta renormalised, c) -> eta."""
    eta = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]], dtype=torch.float64)
    drawn = Population.random(4, 3, seed=2).eta
    cases = [
        ("c = (1, 3)", eta, torch.tensor([1.0, 3.0], dtype=torch.float64)),
        ("c = (2, 2)", eta, torch.tensor([2.0, 2.0], dtype=torch.float64)),
        ("three classes", drawn, torch.tensor([0.2, 1.0, 5.0], dtype=torch.float64)),
    ]
    judge("4.3", repair, [(words, (bias(p, c), c), p) for words, p, c in cases])
