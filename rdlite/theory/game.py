"""The game of eq. (3) on finitely many points: exact best responses, eq. (5), and its maximum.

Conventions: n points, m classes, float64. Arguments are checked by `Population`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rdlite.multipliers import uniform
from rdlite.objectives import Objective

LARGEST_GAP = 1e-8  # nats: `Game.solve` raises if its answer is not proven this close


class Game:
    """The game over the multipliers, with the scorer's exact best response inside.

    Args:
        weights, targets: (n,), P(X = x_i), and (n, m), eta or a teacher's probabilities.
        objective: any `Objective`.
        floor: the smallest probability a scorer may give, exp(-B).

    Example: one point, odds of 3 : 1. By eq. (1) both classes are equally hard, whatever the prior.

    >>> weights, eta = torch.tensor([1.0]).double(), torch.tensor([[0.75, 0.25]]).double()
    >>> Game(weights, eta, Objective(alpha=1.0), floor=1e-9).maximise()
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    def __init__(self, weights: Tensor, targets: Tensor, objective: Objective, floor: float):
        self.alpha, self.floor = objective.alpha, floor
        self.points, self.prior = weights[:, None], weights @ targets
        self.anchor = objective.anchor_weights(self.prior)
        self.density = targets / self.prior  # (n, m), p_y(x) / pbar_y

    def risks(self, scorer: Tensor) -> Tensor:
        """Class risks (m,) of log-probabilities (n, m), eq. (1) or (4)."""
        return -(self.points * self.density * scorer).sum(0)

    def respond(self, multipliers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Best scorer (n, m), its risks (m,) = grad D / alpha, and their Jacobian (m, m)."""
        weights = (1 - self.alpha) * self.anchor + self.alpha * multipliers
        weights = weights.clamp_min(1e-200)
        joint = weights * self.density
        probabilities, free = bounded(joint, self.floor)
        scorer = probabilities.log()
        moving = self.density * free  # entries held at the floor do not move
        total = (joint * free).sum(1, keepdim=True)
        own = (self.points * moving).sum(0) / weights
        slope = (moving * (self.points / total)).T @ moving - own.diag()
        return scorer, self.risks(scorer), self.alpha * slope

    def solve(self) -> tuple[Tensor, Tensor]:
        """See `Population.solve`."""
        multipliers = self.maximise()
        scorer, risks, _ = self.respond(multipliers)
        gap = self.alpha * float(risks.max() - multipliers @ risks)
        if not gap <= LARGEST_GAP:
            raise RuntimeError(f"solve stopped {gap:.1e} nats from the optimum: a fault of rdlite")
        return scorer, multipliers

    def maximise(self) -> Tensor:
        """Maximise ``D(lambda) / alpha + mu sum_y log lambda_y`` for mu from 1 down to 1e-11.

        At its maximum ``R_y + mu / lambda_y`` is the same for every class, so the gap is at
        most ``m mu``. Steps are relative, ``lambda (1 + t s)``, which keeps lambda above 0.
        """
        m = len(self.prior)
        multipliers = uniform(m)
        _, risks, slope = self.respond(multipliers)
        for mu in (10.0**-k for k in range(12)):
            for _ in range(60):
                # [mu I - lambda H lambda, lambda; lambda', 0] [s; nu] = [lambda R + mu; 0]
                system = torch.zeros(m + 1, m + 1, dtype=torch.float64)
                system[:m, :m] = mu * torch.eye(m) - multipliers[:, None] * slope * multipliers
                system[:m, m] = system[m, :m] = multipliers
                ascent = torch.cat([multipliers * (risks - risks.max()) + mu, torch.zeros(1)])
                solution = torch.linalg.solve(system, ascent)
                step = solution[:m]
                rise = float(step @ (ascent[:m] - solution[m] * multipliers))
                if rise <= max(1e-3 * mu**2, 1e-20):  # rounding allows no less
                    break
                size = min(1.0, 0.95 / max(float(-step.min()), 1e-300))
                for _ in range(40):  # halve while the step goes well past the maximum
                    trial = multipliers * (1 + size * step)
                    trial = trial / trial.sum()
                    _, risks, slope = self.respond(trial)
                    along = (multipliers * step) @ (risks - risks.max() + mu / trial)
                    if float(along) >= -0.5 * rise:
                        break
                    size /= 2
                multipliers = trial
        return multipliers


def bounded(joint: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Maximise ``sum_y joint_y log p_y`` over p on the simplex, p >= floor; (n, m), row by row.

    The answer is ``max(floor, joint / nu)``: sort, and count how many entries stay above. With it
    comes whether each entry is above.
    """
    ordered = joint.sort(1, descending=True).values
    sums, m = ordered.cumsum(1), joint.shape[1]
    left = 1 - floor * torch.arange(m - 1, -1, -1, dtype=torch.float64)  # mass of the first 1..m
    count = (ordered * left > floor * sums).sum(1, keepdim=True).clamp_min(1)
    nu = sums.gather(1, count - 1) / left[count - 1]
    share = joint / nu
    return share.clamp_min(floor), share > floor
