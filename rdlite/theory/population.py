"""Exact finite populations: eqs (1)-(5), (10) and (11) with no sampling error and no network.

Conventions: n points x_1..x_n with weights q on the simplex, m classes, ``eta`` (n, m) holds
P(Y=y | x), and ``targets`` (n, m) a teacher's p in its place. A scorer is an (n, m) table of
logits, one row a point, so every scorer is available and the optima are those over *all* scorers.
Float64 tensors on the CPU; losses and risks in nats.

An exact best response (eq. 5) would need logits of minus infinity where eta is 0. Scorers made here
therefore keep every loss within ``loss_bound``, B, above log m and at most 300: every probability
is at least exp(-B), and what is called exact is exact among those scorers. Such scorers are a
convex set, so eq. (9) applies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rdlite.guards import checks
from rdlite.objectives import Objective
from rdlite.theory.game import Game, bounded

BOUND = 30.0  # nats: a probability of 1e-13, out of reach of anything measured here


@dataclass(frozen=True, eq=False)
class Population:
    """A finite population on which every expectation of the method is a sum.

    Args:
        weights: (n,), P(X = x_i), on the simplex.
        eta: (n, m), P(Y = y | x_i), rows on the simplex, every class with some mass.

    Both are copied as float64 and rescaled to sum to 1 to the last digit.

    Raises:
        ValueError: another shape, entries off the simplex, a class without mass.

    >>> Population(torch.tensor([0.75, 0.25]), torch.eye(2)).prior
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """

    weights: Tensor
    eta: Tensor

    def __post_init__(self) -> None:
        weights, eta = checks.numbers("weights", self.weights), checks.numbers("eta", self.eta)
        good = eta.ndim == 2 and eta.shape[0] >= 1 and eta.shape[1] >= 2
        checks.expect(good, "eta", "have shape (n, m) with n >= 1 and m >= 2", tuple(eta.shape))
        wanted, shape = f"have shape ({len(eta)},), one a row of eta", tuple(weights.shape)
        checks.expect(shape == eta.shape[:1], "weights", wanted, shape)
        checks.simplex("weights", weights)
        object.__setattr__(self, "weights", weights / weights.sum())
        object.__setattr__(self, "eta", eta)
        object.__setattr__(self, "eta", self._rows("eta", eta))

    @classmethod
    def random(
        cls, n: int, m: int, seed: int = 0, *, imbalance: float = 10.0, sharpness: float = 2.0
    ) -> Population:
        """An example: eta is the softmax of normal logits, with a long tail over the classes.

        Args:
            n, m, seed: points, classes, and what fixes the draw.
            imbalance: class k's logit is lowered by ``log(imbalance) k / (m-1)``; 1 for none.
            sharpness: standard deviation of the logits; large means classes hardly overlap.

        >>> Population.random(40, 4).eta.shape
        torch.Size([40, 4])
        """
        for name, number, low in (("n", n, 1), ("m", m, 2), ("seed", seed, 0)):
            checks.integer(name, number, low=low)
        checks.number("imbalance", imbalance, low=1)
        checks.number("sharpness", sharpness, low=0)
        generator = torch.Generator().manual_seed(seed)
        weights = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1
        noise = torch.randn(n, m, generator=generator, dtype=torch.float64)
        tail = math.log(imbalance) * torch.linspace(0, 1, m, dtype=torch.float64)
        return cls(weights / weights.sum(), torch.softmax(sharpness * noise - tail, 1))

    @property
    def prior(self) -> Tensor:
        """pi, the (m,) class probabilities ``E_X[eta_y(X)]``."""
        return self.weights @ self.eta

    def class_risks(self, scorer: Tensor, targets: Tensor | None = None) -> Tensor:
        """Risk of each class, (m,): eq. (1), and with a teacher's ``targets`` eq. (4). Exact.

        Args:
            scorer: (n, m) logits.
            targets: (n, m), p, by default eta. Risks are divided by *its* marginal, ``E_X[p_y]``.

        Raises:
            ValueError: another shape, logits not finite, targets off the simplex or with a class
                of no mass.

        >>> Population([1.0], [[0.5, 0.5]]).class_risks(torch.zeros(1, 2))
        tensor([0.6931, 0.6931], dtype=torch.float64)
        """
        return (self._profile(self._targets(targets)) * self._losses(scorer)).sum(0)

    def bayes(
        self, class_weights: Tensor, targets: Tensor | None = None, *, loss_bound: float = BOUND
    ) -> Tensor:
        """The scorer of eq. (5), in log-probabilities: ``softmax_y(f(x))`` as ``c_y eta_y(x)``.

        It minimises ``sum_y pi_y c_y R_y``; probabilities above the floor stay in proportion.

        Args:
            class_weights: (m,), c, above 0; only ratios matter.
            targets, loss_bound: p in the place of eta, and B.

        Raises:
            ValueError: weights not above 0, targets as in `class_risks`, B out of range.

        Example: c = (1, 3) turns odds of 3 : 1 into even odds.

        >>> Population([1.0], [[0.75, 0.25]]).bayes(torch.tensor([1.0, 3.0])).exp()
        tensor([[0.5000, 0.5000]], dtype=torch.float64)
        """
        weights = checks.numbers("class_weights", class_weights)
        checks.vector("class_weights", weights, self.eta.shape[1])
        checks.positive("class_weights", weights)
        floor = self._floor(loss_bound)
        return bounded(weights / weights.max() * self._targets(targets), floor)[0].log()

    def solve(
        self, objective: Objective, targets: Tensor | None = None, *, loss_bound: float = BOUND
    ) -> tuple[Tensor, Tensor]:
        """The minimiser of eq. (3) and its multipliers; with ``targets``, p, distilled.

        For given multipliers the best scorer is `bayes`, so what is left is to maximise the
        concave ``D(lambda) = min_f sum_y ((1-alpha) a_y + alpha lambda_y) R_y(f)`` over the
        simplex: Newton's method with a log barrier. The answer carries a proof, the gap
        ``L(f) - D(lambda)``, which is at most 1e-8 nats.

        Args:
            objective, targets, loss_bound: any `Objective`; p (n, m) and B as in `bayes`.

        Returns:
            scorer (n, m), log-probabilities, and multipliers (m,), above 0 and of sum 1. Classes
            with a multiplier that counts share the largest risk; a class that the optimum leaves
            below it has a multiplier of 1e-9 or so. At alpha = 0, where any multipliers would do,
            they are the limit from alpha > 0: on the worst class.

        Raises:
            ValueError: as `bayes`, or an objective whose anchor has another number of weights.
            RuntimeError: the gap is above 1e-8 nats.

        Example: one point, odds of 3 : 1. Robust predicts even odds, and both risks are log 2.

        >>> population = Population([1.0], [[0.75, 0.25]])
        >>> scorer, _ = population.solve(Objective(alpha=1.0))
        >>> population.class_risks(scorer)
        tensor([0.6931, 0.6931], dtype=torch.float64)
        """
        return self.game(objective, targets, loss_bound=loss_bound).solve()

    def game(
        self, objective: Objective, targets: Tensor | None = None, *, loss_bound: float = BOUND
    ) -> Game:
        """The game that `solve` solves, for those who play it; arguments and errors as there."""
        checks.instance("objective", objective, Objective, "; see rdlite.objectives.ROBUST")
        return Game(self.weights, self._targets(targets), objective, self._floor(loss_bound))

    def teacher_gap(self, p: Tensor) -> float:
        """Teacher gap of eq. (10): ``max_y E_X |p_y(X) / pbar_y - eta_y(X) / pi_y|``, in [0, 2].

        Raises:
            ValueError: p of another shape, off the simplex, or with a class of no mass.

        Example: a teacher that knows nothing against labels that are certain.

        >>> Population([0.5, 0.5], torch.eye(2)).teacher_gap(torch.full((2, 2), 0.5))
        1.0
        """
        p = self._rows("p", p)
        return float((self._profile(p) - self._profile(self.eta)).abs().sum(0).max())

    def gap_bound(self, p: Tensor, scorer: Tensor) -> float:
        """``B Delta(p)`` of eq. (11), nats: how far the distilled worst risk can be from the true.

        Here B is the scorer's own largest loss over all classes and points of positive weight.

        Raises:
            ValueError: as `teacher_gap`; a scorer of another shape or not finite.

        Example: equal logits have B = log 2, and Delta is 1.

        >>> population = Population([0.5, 0.5], torch.eye(2))
        >>> round(population.gap_bound(torch.full((2, 2), 0.5), torch.zeros(2, 2)), 4)
        0.6931
        """
        return float(self._losses(scorer)[self.weights > 0].max()) * self.teacher_gap(p)

    def _rows(self, name: str, rows: Tensor) -> Tensor:
        """Checked, float64, rescaled to row sums of 1; every class has mass."""
        rows = checks.numbers(name, rows)
        checks.row_stochastic(name, rows, self.eta.shape[1], len(self.weights))
        rows = rows / rows.sum(1, keepdim=True)
        mass = self.weights @ rows
        got = f"none for class {int(mass.argmin())}"
        checks.expect(bool((mass > 0).all()), name, "give every class some mass", got)
        return rows

    def _targets(self, targets: Tensor | None) -> Tensor:
        return self.eta if targets is None else self._rows("targets", targets)

    def _profile(self, p: Tensor) -> Tensor:
        """(n, m): the distribution of x within each class, ``q(x) p_y(x) / pbar_y``."""
        return self.weights[:, None] * p / (self.weights @ p)

    def _losses(self, scorer: Tensor) -> Tensor:
        scorer = checks.numbers("scorer", scorer)
        wanted, shape = f"have shape {tuple(self.eta.shape)}", tuple(scorer.shape)
        checks.expect(shape == self.eta.shape, "scorer", wanted, shape)
        checks.finite("scorer", scorer)
        return -torch.log_softmax(scorer, 1)

    def _floor(self, loss_bound: float) -> float:
        low = math.log(self.eta.shape[1])  # no scorer keeps every loss below log m
        checks.number("loss_bound", loss_bound, low=low, high=300, above=True)
        return math.exp(-loss_bound)
