"""Self-checks of notebook 01, Whom does the average leave behind?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rdlite.exercises.judging import judge
from rdlite.metrics import smallest_of_equals
from rdlite.objectives import class_risks


def check_1_1(risks: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Distilled class risks, eq. (4): (logits (n, m), targets (n, m)) -> (m,), nats."""
    logits, soft = _drawn(6, 3, seed=0), torch.softmax(_drawn(6, 3, seed=1), 1)
    cases = [
        ("equal logits and labels 0, 0, 1", torch.zeros(3, 2), torch.eye(2)[[0, 0, 1]]),
        ("labels 0, 0, 1, 2, 2, 2", logits, torch.eye(3)[[0, 0, 1, 2, 2, 2]]),
        ("soft targets", logits, soft),
    ]
    judge("1.1", risks, [(words, (f, p), class_risks(f, p)) for words, f, p in cases])


def check_1_2(expected_minimum: Callable[[int, float, int], float]) -> None:
    """Mean of the smallest of m equal classes' accuracies: (m, truth, images a class) -> number.

    A simulation of a few thousand draws is close enough.
    """
    settings = [(1, 0.5, 20), (10, 0.8, 1000), (10, 0.8, 10), (100, 0.45, 100)]
    cases = [
        (f"m = {m}, truth = {p:g}, images = {n}", (m, p, n), smallest_of_equals(m, p, n))
        for m, p, n in settings
    ]
    judge("1.2", expected_minimum, cases, tolerance=5e-3)


def check_1_3(hinton_loss: Callable[[Tensor, Tensor, float], float]) -> None:
    """T^2 KL(teacher || student), both softened: (student (n, m), teacher (n, m), T) -> nats."""
    student, teacher = _drawn(4, 3, seed=2), 3 * _drawn(4, 3, seed=3)
    settings = [("T = 1", student, 1.0), ("T = 4", student, 4.0), ("equal logits", teacher, 2.0)]
    cases = [
        (words, (f, teacher, t), t**2 * _divergence(teacher / t, f / t)) for words, f, t in settings
    ]
    judge("1.3", hinton_loss, cases)


def _divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Kullback-Leibler divergence of softmax(student) from softmax(teacher), mean over rows."""
    p = torch.softmax(teacher, 1)
    log_ratio = torch.log_softmax(teacher, 1) - torch.log_softmax(student, 1)
    return (p * log_ratio).sum(1).mean()


def _drawn(n: int, m: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, m, generator=generator, dtype=torch.float64)
