"""Hedge against exact best responses, with its guarantee, eq. (9). Risks in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rdlite.guards import checks
from rdlite.multipliers import guaranteed_step_size, unchecked_hedge_step, uniform
from rdlite.objectives import Objective
from rdlite.theory.population import Population


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

    Both sides use the scorers with losses in [0, B]: each round's is the best of them, so eps = 0
    and 0 <= R_y <= B as eq. (9) asks. The average is of the log-softmax of the scorers,
    renormalised: by convexity it stays among them. The step size is fixed by K: after k < K rounds
    the bound is `regret_bound` at that step size, at k = K eq. (9). Both are times alpha, because
    only that share of the objective is played for.

    Args:
        population, objective: what is played, and for what; the gap is in the objective's value.
        rounds: K.
        targets, loss_bound: as in `Population.solve`; B in nats.

    Raises:
        ValueError: as `Population.solve`, or fewer than 1 round.

    Example: one point of equal odds is solved by the first scorer.

    >>> population = Population([1.0], [[0.5, 0.5]])
    >>> float(hedge_curve(population, Objective(alpha=1.0), 4).gap.max().round(decimals=6))
    0.0
    """
    checks.integer("rounds", rounds, low=1)
    checks.instance("population", population, Population)
    game = population.game(objective, targets, loss_bound=loss_bound)
    best, _ = game.solve()
    optimum = objective.value(population.class_risks(best, targets), game.prior)
    step_size = guaranteed_step_size(len(game.prior), rounds, loss_bound)
    multipliers, total = uniform(len(game.prior)), torch.zeros_like(best)
    gap, bound, path = [], [], []
    for k in range(1, rounds + 1):
        scorer, risks, _ = game.respond(multipliers)
        total += scorer
        average = game.risks(torch.log_softmax(total / k, 1))
        gap.append(objective.value(average, game.prior) - optimum)
        bound.append(objective.alpha * regret_bound(len(risks), k, loss_bound, step_size))
        path.append((risks, multipliers))
        multipliers = unchecked_hedge_step(multipliers, risks, step_size)
    gap, bound = torch.tensor([gap, bound], dtype=torch.float64)
    return HedgeCurve(gap, bound, *(torch.stack(rows) for rows in zip(*path, strict=True)))


def regret_bound(
    num_classes: int, rounds: int, bound: float, step_size: float | None = None
) -> float:
    """Hedge's average regret after k rounds at most, nats: ``log m / (gamma k) + gamma B^2 / 8``.

    Args:
        num_classes, rounds, bound: m, k, and B, the largest possible risk, nats.
        step_size: gamma; by default the best for k rounds, which gives eq. (9)'s
            ``B sqrt(log m / (2 k))``.

    >>> round(regret_bound(10, 60, 2.0), 4) == round(2 * math.sqrt(math.log(10) / 120), 4)
    True
    """
    best = guaranteed_step_size(num_classes, rounds, bound)
    gamma = best if step_size is None else step_size
    checks.number("step_size", gamma, low=0, above=True)
    return math.log(num_classes) / (gamma * rounds) + gamma * bound**2 / 8
