"""The game of eq. (3) on finitely many points: exact best responses, eq. (5), and its maximum.

Conventions: n points, m classes, float64. The multipliers lambda are called ``lagrange`` here,
because the module that plays with them is `rdlite.multipliers`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rdlite import multipliers
from rdlite.guards import checks
from rdlite.objectives import Objective


class Game:
    """The game over the multipliers, with the scorer's exact best response inside.

    Args:
        weights: (n,), P(X = x_i), on the simplex.
        p: (n, m), the labels: eta or a teacher's probabilities, rows on the simplex.
        objective: any `Objective`.
        floor: the smallest probability a scorer may give, exp(-B).

    Raises:
        ValueError: not an `Objective`; other arguments are the caller's to check.

    Example: one point, odds of 3 : 1. By eq. (1) both classes are equally hard, whatever the prior.

    >>> weights, p = torch.tensor([1.0]).double(), torch.tensor([[0.75, 0.25]]).double()
    >>> Game(weights, p, Objective(alpha=1.0), floor=1e-9).maximise()
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    def __init__(self, weights: Tensor, p: Tensor, objective: Objective, floor: float) -> None:
        checks.require(
            isinstance(objective, Objective),
            f"objective must be an Objective, such as rdlite.objectives.ROBUST, got {objective!r}",
        )
        self.objective, self.floor = objective, floor
        self.points, self.prior = weights[:, None], weights @ p
        self.density = p / self.prior  # (n, m), p_y(x) / pbar_y

    def respond(self, lagrange: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Best scorer (n, m), its risks (m,) = grad D / alpha, and their Jacobian (m, m)."""
        weights = self.objective.risk_weights(lagrange, self.prior).clamp_min(1e-200)
        joint = weights * self.density
        probabilities, free = bounded(joint, self.floor)
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


def bounded(joint: Tensor, floor: float) -> tuple[Tensor, Tensor]:
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
