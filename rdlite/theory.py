"""Exact finite populations: eqs (1)-(6) and (9)-(11) with no sampling error and no network.

Conventions: n points x_1..x_n with weights q on the simplex, m classes, ``eta`` (n, m) holds
P(Y=y | x). A scorer is an (n, m) table of logits, one row a point, so every scorer is available
and the optima are those over *all* scorers. Float64 tensors on the CPU; losses and risks in nats.

An exact best response (eq. 5) would need logits of minus infinity where eta is 0. Scorers made here
therefore keep every loss within ``loss_bound``, B: every probability is at least exp(-B), and what
is called exact is exact among those scorers. Such scorers are a convex set, so eq. (9) applies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rdlite import checks, multipliers
from rdlite.objectives import Objective

LARGEST_LOSS = 30.0  # nats: a probability of 1e-13, out of reach of anything measured here
LARGEST_GAP = 1e-8  # nats: `Population.solve` raises if its answer is not proven this close


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
        weights, eta = _float64(self.weights), _float64(self.eta)
        checks.require(
            eta.ndim == 2 and eta.shape[0] >= 1 and eta.shape[1] >= 2,
            f"eta must have shape (n, m) with n >= 1 and m >= 2, got {tuple(eta.shape)}",
        )
        checks.require(
            weights.shape == eta.shape[:1],
            f"weights must have shape ({len(eta)},), one a row of eta, got {tuple(weights.shape)}",
        )
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
            n, m: points and classes.
            seed: of the draw.
            imbalance: class k's logit is lowered by ``log(imbalance) k / (m-1)``; 1 for none.
            sharpness: standard deviation of the logits; large means classes hardly overlap.

        >>> Population.random(40, 4).eta.shape
        torch.Size([40, 4])
        """
        checks.whole("n", n, low=1)
        checks.whole("m", m, low=2)
        checks.whole("seed", seed, low=0)
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
        """Risk of each class, eq. (1); with a teacher's ``targets`` p, eq. (4). Exact.

        Args:
            scorer: (n, m) logits.
            targets: (n, m), rows on the simplex; eta by default. Risks are divided by *its*
                marginal, ``pbar_y = E_X[p_y(X)]``.

        Returns:
            (m,) risks in nats.

        Raises:
            ValueError: another shape, logits not finite, targets off the simplex or with a class
                of no mass.

        >>> Population([1.0], [[0.5, 0.5]]).class_risks(torch.zeros(1, 2))
        tensor([0.6931, 0.6931], dtype=torch.float64)
        """
        return (self._profile(self._targets(targets)) * self._losses(scorer)).sum(0)

    def bayes(
        self,
        class_weights: Tensor,
        targets: Tensor | None = None,
        *,
        loss_bound: float = LARGEST_LOSS,
    ) -> Tensor:
        """The scorer of eq. (5): ``softmax_y(f(x))`` proportional to ``c_y eta_y(x)``.

        Of all scorers with losses in [0, B] it minimises ``sum_y pi_y c_y R_y``: probabilities
        that would be below exp(-B) are exp(-B), the others stay in proportion.

        Args:
            class_weights: (m,), c, above 0; only ratios matter.
            targets: (n, m), a teacher's p in the place of eta.
            loss_bound: B, nats, above log m, at most 300.

        Returns:
            (n, m) log-probabilities.

        Raises:
            ValueError: weights not above 0, targets as in `class_risks`, B out of range.

        Example: c = (1, 3) turns odds of 3 : 1 into even odds.

        >>> Population([1.0], [[0.75, 0.25]]).bayes(torch.tensor([1.0, 3.0])).exp()
        tensor([[0.5000, 0.5000]], dtype=torch.float64)
        """
        weights = _float64(class_weights)
        checks.vector("class_weights", weights, self.eta.shape[1])
        checks.positive("class_weights", weights)
        floor = self._floor(loss_bound)
        return _bounded(weights / weights.max() * self._targets(targets), floor)[0].log()

    def solve(
        self,
        objective: Objective,
        targets: Tensor | None = None,
        *,
        loss_bound: float = LARGEST_LOSS,
    ) -> tuple[Tensor, Tensor]:
        """The minimiser of eq. (3) over all scorers with losses in [0, B], and its multipliers.

        For given multipliers the best scorer is `bayes`, so what is left is to maximise the
        concave ``D(lambda) = min_f sum_y ((1-alpha) a_y + alpha lambda_y) R_y(f)``, of gradient
        ``alpha R_y``, over the simplex. That is done by Newton's method with a log barrier; the
        answer carries a proof, the gap ``L(f) - D(lambda)``, which is at most 1e-8 nats.

        Args:
            objective: any `Objective`.
            targets: (n, m), a teacher's p: eqs (3)-(5) distilled.
            loss_bound: B, nats, above log m, at most 300.

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
        game = _Game(self, objective, self._targets(targets), self._floor(loss_bound))
        lagrange = game.maximise()
        scorer, risks, _ = game.respond(lagrange)
        gap = objective.alpha * float(risks.max() - lagrange @ risks)
        if not gap <= LARGEST_GAP:
            raise RuntimeError(f"solve stopped {gap:.1e} nats from the optimum: a fault of rdlite")
        return scorer, lagrange

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

        B is the scorer's own largest loss ``l(y, f(x))``, over all classes y and the points x of
        positive weight, so the inequality holds for every scorer and teacher.

        Raises:
            ValueError: as `teacher_gap`; a scorer of another shape or not finite.

        Example: equal logits have B = log 2, and Delta is 1.

        >>> population = Population([0.5, 0.5], torch.eye(2))
        >>> round(population.gap_bound(torch.full((2, 2), 0.5), torch.zeros(2, 2)), 4)
        0.6931
        """
        largest = float(self._losses(scorer)[self.weights > 0].max())
        return largest * self.teacher_gap(p)

    def _rows(self, name: str, rows: Tensor) -> Tensor:
        """Checked, float64, rescaled to row sums of 1; every class has mass."""
        rows = _float64(rows)
        checks.row_stochastic(name, rows, self.eta.shape[1], len(self.weights))
        rows = rows / rows.sum(1, keepdim=True)
        mass = self.weights @ rows
        checks.require(
            bool((mass > 0).all()),
            f"{name} must give every class some mass, got none for class {int(mass.argmin())}",
        )
        return rows

    def _targets(self, targets: Tensor | None) -> Tensor:
        return self.eta if targets is None else self._rows("targets", targets)

    def _profile(self, p: Tensor) -> Tensor:
        """(n, m): the distribution of x within each class, ``q(x) p_y(x) / pbar_y``."""
        return self.weights[:, None] * p / (self.weights @ p)

    def _losses(self, scorer: Tensor) -> Tensor:
        scorer = _float64(scorer)
        checks.require(
            scorer.shape == self.eta.shape,
            f"scorer must have shape {tuple(self.eta.shape)}, got {tuple(scorer.shape)}",
        )
        checks.finite("scorer", scorer)
        return -torch.log_softmax(scorer, 1)

    def _floor(self, loss_bound: float) -> float:
        low = math.log(self.eta.shape[1])  # no scorer keeps every loss below log m
        checks.number("loss_bound", loss_bound, low=low, high=300, above=True)
        return math.exp(-loss_bound)


class _Game:
    """The game over the multipliers, with the scorer's exact best response inside."""

    def __init__(self, population: Population, objective: Objective, p: Tensor, floor: float):
        checks.require(
            isinstance(objective, Objective),
            f"objective must be an Objective, such as rdlite.objectives.ROBUST, got {objective!r}",
        )
        self.objective, self.floor = objective, floor
        self.points, self.prior = population.weights[:, None], population.weights @ p
        self.density = p / self.prior  # (n, m), p_y(x) / pbar_y

    def respond(self, lagrange: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Best scorer (n, m), its risks (m,) = grad D / alpha, and their Jacobian (m, m)."""
        weights = self.objective.risk_weights(lagrange, self.prior).clamp_min(1e-200)
        joint = weights * self.density
        probabilities, free = _bounded(joint, self.floor)
        scorer = probabilities.log()
        risks = -(self.points * self.density * scorer).sum(0)
        moving = self.density * free  # entries held at the floor do not move
        total = (joint * free).sum(1, keepdim=True)
        own = (self.points * moving).sum(0) / weights
        slope = (moving * (self.points / total)).T @ moving - own.diag()
        return scorer, risks, self.objective.alpha * slope

    def maximise(self) -> Tensor:
        """Maximise ``D(lambda) / alpha + mu sum_y log lambda_y`` for mu from 1 down to 1e-11.

        At its maximum ``R_y + mu / lambda_y`` is the same for every class, so the gap is at
        most ``m mu``. Steps are relative, ``lambda (1 + t s)``, which keeps lambda above 0.
        """
        m = len(self.prior)
        lagrange = multipliers.uniform(m)
        _, risks, slope = self.respond(lagrange)
        for mu in (10.0**-k for k in range(12)):
            for _ in range(60):
                # [mu I - lambda H lambda, lambda; lambda', 0] [s; nu] = [lambda R + mu; 0]
                system = torch.zeros(m + 1, m + 1, dtype=torch.float64)
                system[:m, :m] = mu * torch.eye(m) - lagrange[:, None] * slope * lagrange
                system[:m, m] = system[m, :m] = lagrange
                ascent = torch.cat([lagrange * (risks - risks.max()) + mu, torch.zeros(1)])
                solution = torch.linalg.solve(system, ascent)
                step = solution[:m]
                rise = float(step @ (ascent[:m] - solution[m] * lagrange))
                if rise <= max(1e-3 * mu**2, 1e-20):  # rounding allows no less
                    break
                size = min(1.0, 0.95 / max(float(-step.min()), 1e-300))
                for _ in range(40):  # halve while the step goes well past the maximum
                    trial = lagrange * (1 + size * step)
                    trial = trial / trial.sum()
                    _, risks, slope = self.respond(trial)
                    along = (lagrange * step) @ (risks - risks.max() + mu / trial)
                    if float(along) >= -0.5 * rise:
                        break
                    size /= 2
                lagrange = trial
        return lagrange


def _bounded(joint: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Maximise ``sum_y joint_y log p_y`` over p on the simplex, p >= floor; rows on their own.

    The answer is ``max(floor, joint / nu)``: sort, and count how many entries stay above.

    Returns:
        (n, m) probabilities, and (n, m) whether each is above the floor.
    """
    ordered = joint.sort(1, descending=True).values
    sums, m = ordered.cumsum(1), joint.shape[1]
    left = 1 - floor * torch.arange(m - 1, -1, -1, dtype=torch.float64)  # mass of the first 1..m
    count = (ordered * left > floor * sums).sum(1, keepdim=True).clamp_min(1)
    nu = sums.gather(1, count - 1) / left[count - 1]
    share = joint / nu
    return share.clamp_min(floor), share > floor


@dataclass(frozen=True, eq=False)
class HedgeCurve:
    """What `hedge_curve` returns: K rounds, m classes, nats."""

    gap: Tensor  # (K,), objective of the average of the first k scorers, less the optimum
    bound: Tensor  # (K,), what the theory allows; the last is eq. (9)
    risks: Tensor  # (K, m), class risks of round k's scorer
    multipliers: Tensor  # (K, m), what that scorer was the best response to


def hedge_curve(
    population: Population,
    objective: Objective,
    rounds: int,
    *,
    targets: Tensor | None = None,
    loss_bound: float = 5.0,
) -> HedgeCurve:
    """Play eq. (6) for K rounds against exact best responses and compare with eq. (9).

    Both sides use the scorers with losses in [0, B]: each round's scorer is the best of them, so
    eps = 0 and 0 <= R_y <= B as eq. (9) asks, and the optimum is the best of them too. The average
    is of the log-softmax of the scorers, renormalised: by convexity its losses are no larger than
    the average loss, so it stays among them. The step size is fixed by K. After k < K rounds the
    bound is `regret_bound` at that step size; at k = K it is eq. (9). Both are times alpha, because
    only that share of the objective is played for.

    Args:
        population: the exact population.
        objective: any `Objective`; the gap is in its value.
        rounds: K.
        targets: (n, m), a teacher's p in the place of eta.
        loss_bound: B, nats, above log m, at most 300.

    Returns:
        `HedgeCurve`.

    Raises:
        ValueError: as `Population.solve`, or fewer than 1 round.

    Example: one point of equal odds is solved by the first scorer.

    >>> population = Population([1.0], [[0.5, 0.5]])
    >>> float(hedge_curve(population, Objective(alpha=1.0), 4).gap.max().round(decimals=6))
    0.0
    """
    checks.whole("rounds", rounds, low=1)
    best, _ = population.solve(objective, targets, loss_bound=loss_bound)
    p = population._targets(targets)
    game = _Game(population, objective, p, population._floor(loss_bound))
    m = len(game.prior)
    step_size = multipliers.guaranteed_step_size(m, rounds, loss_bound)
    lagrange, total = multipliers.uniform(m), torch.zeros_like(p)
    optimum = objective.value(population.class_risks(best, p), game.prior)
    gap, bound, played, path = [], [], [], []
    for k in range(1, rounds + 1):
        scorer, risks, _ = game.respond(lagrange)
        total += scorer
        average_risks = -(game.points * game.density * torch.log_softmax(total / k, 1)).sum(0)
        gap.append(objective.value(average_risks, game.prior) - optimum)
        bound.append(objective.alpha * regret_bound(m, k, loss_bound, step_size))
        played.append(risks)
        path.append(lagrange)
        lagrange = multipliers.hedge_step(lagrange, risks, step_size)
    return HedgeCurve(_float64(gap), _float64(bound), torch.stack(played), torch.stack(path))


def regret_bound(
    num_classes: int, rounds: int, bound: float, step_size: float | None = None
) -> float:
    """Hedge's average regret after k rounds at most, nats: ``log m / (gamma k) + gamma B^2 / 8``.

    Args:
        num_classes: m.
        rounds: k, the rounds played.
        bound: B, the largest possible risk, nats.
        step_size: gamma; by default the best for k rounds, and then it is eq. (9)'s
            ``B sqrt(log m / (2 k))``.

    >>> round(regret_bound(10, 60, 2.0), 4) == round(2 * math.sqrt(math.log(10) / 120), 4)
    True
    """
    best = multipliers.guaranteed_step_size(num_classes, rounds, bound)
    gamma = best if step_size is None else step_size
    checks.number("step_size", gamma, low=0, above=True)
    return math.log(num_classes) / (gamma * rounds) + gamma * bound**2 / 8


def temper(p: Tensor, temperature: float) -> Tensor:
    """A distorted teacher: ``p^(1/T)``, renormalised. T > 1 flattens, T < 1 sharpens.

    >>> temper(torch.tensor([[0.8, 0.2]]), 0.5)[0, 0] * 17  # 0.64 / (0.64 + 0.04) = 16 / 17
    tensor(16., dtype=torch.float64)
    """
    checks.number("temperature", temperature, low=0, above=True)
    return torch.softmax(_probabilities(p).log() / temperature, 1)


def bias(p: Tensor, class_weights: Tensor) -> Tensor:
    """A distorted teacher: ``c_y p_y(x)``, renormalised. With eq. (5)'s c of a balanced or robust
    objective and p = eta it is the balanced- or robust-optimal teacher.

    >>> bias(torch.tensor([[0.75, 0.25]]), torch.tensor([1.0, 3.0]))
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    p, weights = _probabilities(p), _float64(class_weights)
    checks.vector("class_weights", weights, p.shape[1])
    checks.positive("class_weights", weights)
    return torch.softmax(p.log() + weights.log(), 1)


def add_noise(p: Tensor, scale: float, seed: int = 0) -> Tensor:
    """A distorted teacher: normal noise of standard deviation ``scale`` on every logit.

    >>> add_noise(torch.tensor([[0.75, 0.25]]), 0.0)
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """
    checks.number("scale", scale, low=0)
    checks.whole("seed", seed, low=0)
    p = _probabilities(p)
    noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed), dtype=p.dtype)
    return torch.softmax(p.log() + scale * noise, 1)


def _probabilities(p: Tensor) -> Tensor:
    p = _float64(p)
    checks.require(
        p.ndim == 2 and p.shape[1] >= 2, f"p must have shape (n, m), m >= 2, got {tuple(p.shape)}"
    )
    checks.row_stochastic("p", p, p.shape[1])
    return p


def _float64(values: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64, device="cpu").detach().clone()
