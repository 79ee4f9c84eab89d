"""The notebooks' questions, each with a right answer and the cases in which it is called.

A docstring says what goes into an answer and what comes out: n images or points, m classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rdlite.data import long_tail_counts
from rdlite.exercises.judging import judge
from rdlite.metrics import pareto, smallest_of_equals
from rdlite.multipliers import hedge_step
from rdlite.objectives import Objective, class_risks
from rdlite.theory.population import Population
from rdlite.theory.teachers import add_noise, bias, temper


# Notebook 01, Whom does the average leave behind?
def check_1_1(risks: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Distilled class risks, eq. (4): (logits (n, m), targets (n, m)) -> (m,), nats."""
    logits = _drawn(6, 3, seed=0)
    cases = {
        "equal logits and labels 0, 0, 1": (torch.zeros(3, 2), torch.eye(2)[[0, 0, 1]]),
        "labels 0, 0, 1, 2, 2, 2": (logits, torch.eye(3)[[0, 0, 1, 2, 2, 2]]),
        "soft targets": (logits, torch.softmax(_drawn(6, 3, seed=1), 1)),
    }
    judge("1.1", risks, class_risks, cases)


def check_1_2(expected_minimum: Callable[[int, float, int], float]) -> None:
    """Mean of the smallest of m equal classes' accuracies: (m, truth, images a class) -> number."""
    settings = [(1, 0.5, 20), (10, 0.8, 1000), (10, 0.8, 10), (100, 0.45, 100)]
    cases = {f"m = {m}, truth = {p:g}, images = {n}": (m, p, n) for m, p, n in settings}
    judge("1.2", expected_minimum, smallest_of_equals, cases, tolerance=5e-3)  # for simulations


def check_1_3(hinton_loss: Callable[[Tensor, Tensor, float], float]) -> None:
    """T^2 KL(teacher || student), both softened: (student (n, m), teacher (n, m), T) -> nats."""

    def reference(student: Tensor, teacher: Tensor, t: float) -> Tensor:
        p, log_q = torch.softmax(teacher / t, 1), torch.log_softmax(student / t, 1)
        return t**2 * (p * (p.log() - log_q)).sum(1).mean()

    student, teacher = _drawn(4, 3, seed=2), 3 * _drawn(4, 3, seed=3)
    cases = {
        "T = 1": (student, teacher, 1.0),
        "T = 4": (student, teacher, 4.0),
        "equal logits": (teacher, teacher, 2.0),
    }
    judge("1.3", hinton_loss, reference, cases)


# Notebook 02, How do you train for the worst class?
def check_2_1(class_weights: Callable[[float, Tensor, Tensor, Tensor], Tensor]) -> None:
    """Class weights of eq. (7), mean 1: (alpha, anchor, multipliers, prior) -> (m,)."""

    def reference(alpha: float, anchor: Tensor, multipliers: Tensor, prior: Tensor) -> Tensor:
        return Objective(alpha, anchor.tolist()).class_weights(multipliers, prior)

    prior, uniform = _double(0.7, 0.2, 0.1), _double(1 / 3, 1 / 3, 1 / 3)
    multipliers = _double(0.1, 0.3, 0.6)
    cases = {
        "the standard objective, alpha = 0 and a = pi": (0.0, prior, multipliers, prior),
        "the balanced objective, alpha = 0 and a = 1/m": (0.0, uniform, multipliers, prior),
        "the robust objective, alpha = 1": (1.0, uniform, multipliers, prior),
        "alpha = 0.25 and a = pi": (0.25, prior, multipliers, prior),
    }
    judge("2.1", class_weights, reference, cases)


def check_2_2(hedge: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Eq. (6) without overflow: (multipliers (m,), risks (m,), step size) -> (m,)."""
    multipliers, risks = _double(0.5, 0.3, 0.2), _double(0.2, 0.5, 2.0)
    cases = {
        "risks 0.2, 0.5, 2.0 and step size 0.5": (multipliers, risks, 0.5),
        "equal risks": (multipliers, _double(1.0, 1.0, 1.0), 0.5),
        "step size 0": (multipliers, risks, 0.0),
        "risks 1000, 1001, 1002 and step size 1": (multipliers, _double(1000, 1001, 1002), 1.0),
    }
    judge("2.2", hedge, hedge_step, cases)


def check_2_3(absent: Callable[[Tensor, int], Tensor]) -> None:
    """Chance that a class misses a batch, drawn independently: (prior (m,), batch size) -> (m,)."""
    cases = {f"a batch of {size}": (_double(0.9, 0.09, 0.01), size) for size in (1, 2, 128)}
    judge("2.3", absent, lambda prior, size: (1 - prior) ** size, cases)


# Notebook 03, Who should be robust, the teacher or the student?
def check_3_1(paired: Callable[[Tensor, Tensor], tuple[float, float]]) -> None:
    """Mean and standard error of paired differences: (a (n,), b (n,)) -> two numbers."""
    noise, b = torch.linspace(-0.2, 0.2, 5).double(), _double(0.4, 0.4, 0.4)
    cases = {
        "a = (0.5, 0.6, 0.7), b = (0.4, 0.4, 0.4)": (_double(0.5, 0.6, 0.7), b),
        "b = a - 0.1, a spread": (noise + 0.6, noise + 0.5),
        "a and b unrelated": (noise + 0.6, noise.flip(0) + 0.5),
    }
    judge("3.1", paired, lambda a, b: ((a - b).mean(), (a - b).std() / len(a) ** 0.5), cases)


def check_3_2(undominated: Callable[[Tensor], Tensor]) -> None:
    """Which models no other beats: accuracies (n, 2) -> (n,) of True and False."""
    drawn = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cases = {
        "one model": (torch.tensor([[0.8, 0.1]]),),
        "three models": (torch.tensor([[0.8, 0.1], [0.7, 0.5], [0.7, 0.4]]),),
        "two equal models": (torch.tensor([[0.7, 0.5], [0.7, 0.5]]),),
        "nine models": (drawn,),
    }
    judge("3.2", undominated, pareto, cases)


# Notebook 04, What makes a good teacher?
def check_4_1(rounds_needed: Callable[[int, float, float], int]) -> None:
    """Rounds K after which eq. (9) promises at most ``excess`` nats: (m, B, excess) -> K."""
    settings = [(3, 3.0, 0.1), (10, 3.0, 0.1), (10, 6.0, 0.1), (2, 1.0, 0.7)]
    cases = {f"m = {m}, B = {b:g}, excess = {e:g}": (m, b, e) for m, b, e in settings}
    judge("4.1", rounds_needed, lambda m, b, e: math.ceil(b**2 * math.log(m) / (2 * e**2)), cases)


def check_4_2(teacher_gap: Callable[[Tensor, Tensor, Tensor], float]) -> None:
    """Delta of eq. (10): (weights, eta, p) -> a number."""
    drawn, halves = Population.random(6, 3, seed=1), torch.full((2, 2), 0.5).double()
    weights, eta = drawn.weights, drawn.eta
    cases = {
        "a teacher that knows nothing (certain labels)": (halves[0], torch.eye(2).double(), halves),
        "the Bayes teacher": (weights, eta, eta),
        "a flattened teacher": (weights, eta, temper(eta, 2.0)),
        "a biased teacher": (weights, eta, bias(eta, torch.tensor([1.0, 3.0, 9.0]))),
        "a noisy teacher": (weights, eta, add_noise(eta, 1.0)),
    }
    judge("4.2", teacher_gap, lambda w, eta, p: Population(w, eta).teacher_gap(p), cases)


def check_4_3(repair: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Undo known class weights: (c*eta renormalised, c) -> eta."""
    eta = _double([0.75, 0.25], [0.5, 0.5], [0.1, 0.9])
    known = {
        "c = (1, 3)": (eta, _double(1, 3)),
        "c = (2, 2)": (eta, _double(2, 2)),
        "three classes": (Population.random(4, 3, seed=2).eta, _double(0.2, 1, 5)),
    }
    cases = {words: (bias(eta, c), c) for words, (eta, c) in known.items()}
    judge("4.3", repair, lambda p, c: bias(p, 1 / c), cases)


# Notebook 05, Does robust distillation beat the other methods?
def check_5_1(predict: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Logit adjustment post hoc: (logits (n, m), prior (m,)) -> classes (n,)."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.5, 0.0], [3.0, 0.0, 0.5]])
    prior, rare = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([0.9, 0.07, 0.02, 0.01])
    cases = {
        "logits (2, 1.5, 0) and prior (0.6, 0.3, 0.1)": (logits[1:2], prior),
        "three images and equal priors": (logits, torch.full((3,), 1 / 3)),
        "50 images and prior (0.9, 0.07, 0.02, 0.01)": (_drawn(50, 4, seed=0), rare),
    }
    judge("5.1", predict, lambda x, prior: (x - prior.log()).argmax(1), cases)


def check_5_2(choose: Callable[[Tensor, Tensor], int]) -> None:
    """The setting by one rule: held-out worst and average (settings, seeds) -> its index."""

    def reference(worst: Tensor, average: Tensor) -> int:
        means = list(zip(worst.mean(1).tolist(), average.mean(1).tolist(), strict=True))
        return means.index(max(means))  # the first among equals

    worst = _double([0.2, 0.4], [0.6, 0.2], [0.1, 0.5])
    average = _double([0.7, 0.7], [0.6, 0.6], [0.9, 0.9])
    tied = _double([0.25, 0.5], [0.5, 0.25], [0.0, 0.5])
    cases = {
        "three settings, two seeds": (worst, average),
        "equal worst classes of the first two": (tied, average.flip(0)),
        "the same in another order": (tied.flip(0), average),
    }
    judge("5.2", choose, reference, cases)


def check_5_3(interval: Callable[[Tensor, Tensor], tuple[float, float]]) -> None:
    """Bootstrap: (differences (seeds,), picks (draws, seeds)) -> low and high end of 95 %."""
    picks = torch.randint(5, (400, 5), generator=torch.Generator().manual_seed(0))
    ends = _double(0.025, 0.975)
    cases = {
        "five equal differences of 0.25": (torch.full((5,), 0.25).double(), picks),
        "differences 0, 0.1, 0.2, 0.3, 0.4": (torch.arange(5).double() / 10, picks),
        "differences -1, 0, 0, 0, 1": (_double(-1.0, 0, 0, 0, 1), picks),
    }
    judge("5.3", interval, lambda d, picks: d[picks].mean(1).quantile(ends), cases)


# Notebook 06, What changes at paper scale?
def check_6_1(counts: Callable[[int, int, float], list[int]]) -> None:
    """Images of each class of a long tail: (head, number of classes, imbalance) -> m numbers."""
    cases = {
        "1,000 images, 3 classes, imbalance 100": (1000, 3, 100),
        "CIFAR-10, imbalance 100": (5000, 10, 100),
        "CIFAR-100, imbalance 100": (500, 100, 100),
        "7 images, 2 classes, imbalance 1": (7, 2, 1),
    }
    judge("6.1", counts, long_tail_counts, cases)


def check_6_2(hours: Callable[[int, int, int, float], float]) -> None:
    """Hours of a training: (images, batch size, epochs, seconds of a step) -> a number."""
    cases = {
        "12,800 images, batches of 128, 10 epochs, 3.6 s a step": (12_800, 128, 10, 3.6),
        "11,166 images, batches of 128, 200 epochs, 0.5 s a step": (11_166, 128, 200, 0.5),
    }
    judge("6.2", hours, lambda n, b, epochs, s: n // b * epochs * s / 3600, cases)


def check_6_3(batch: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    """The batch's mean and variance from those of equal parts: two (parts,) -> two numbers."""
    drawn = 2 * _drawn(4, 8, seed=0)
    parts = {
        "parts (0, 0) and (1, 1)": _double([0, 0], [1, 1]),
        "four parts of eight numbers": drawn,
        "four parts with different means": drawn + torch.arange(4)[:, None],
    }
    cases = {words: (x.mean(1), x.var(1, correction=0)) for words, x in parts.items()}
    judge("6.3", batch, lambda means, v: (means.mean(), v.mean() + means.var(correction=0)), cases)


# What the cases are made of
def _drawn(n: int, m: int, *, seed: int) -> Tensor:
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _double(*values: float | list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


__all__ = [name for name in dir() if name.startswith("check_")]
