"""The plane study, 33 students (11 alphas x 3 seeds): one after another over all together.

"One after another" is the same function with one model at a time, so both have its hand-written
gradient and Adam. The second row is what one would write without it: a module, torch's Adam,
`margin_loss` and autograd, a model at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from timing import in_turns, medians, over
from torch import nn

from rdlite.multipliers import hedge_step, uniform
from rdlite.objectives import Objective, class_risks, margin_loss
from rdlite.theory.mixture import GaussianMixture
from rdlite.theory.students import train_students

ALPHAS = [k / 10 for k in range(11)] * 3
SEEDS = [seed for seed in range(3) for _ in range(11)]


def plane(points: int) -> tuple[torch.Tensor, ...]:
    """What PlanePanel's students learn from."""
    mixture = GaussianMixture.three_classes(20)
    own, _ = mixture.sample(points, seed=0)
    heldout, _ = mixture.sample(2 * points // 3, seed=1)
    return own, mixture.eta(own), heldout, mixture.eta(heldout)


def together(study: tuple[torch.Tensor, ...], rounds: int = 30) -> torch.Tensor:
    """Logits (33, n, m) at the training points."""
    students = train_students(*study, ALPHAS, anchor="standard", seed=SEEDS, rounds=rounds)
    return students.logits(study[0])


def one_by_one(study: tuple[torch.Tensor, ...], rounds: int = 30) -> torch.Tensor:
    """As `together`."""
    how = {"anchor": "standard", "rounds": rounds}
    students = [
        train_students(*study, [alpha], seed=seed, **how)
        for alpha, seed in zip(ALPHAS, SEEDS, strict=True)
    ]
    return torch.cat([student.logits(study[0]) for student in students])


def plain_loop(study: tuple[torch.Tensor, ...], rounds: int = 30) -> torch.Tensor:
    """As `one_by_one`, but for the first weights, which a module draws otherwise."""
    points, targets, heldout, heldout_targets = (part.float() for part in study)
    logits = []
    for alpha in ALPHAS:
        net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
        optimiser = torch.optim.Adam(net.parameters(), 0.05)
        multipliers, objective = uniform(3), Objective(alpha, "standard")
        for _ in range(rounds):
            weights = objective.class_weights(multipliers, targets.mean(0)).float()
            for _ in range(5):
                loss = margin_loss(net(points), targets, weights)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            risks = class_risks(net(heldout).detach(), heldout_targets)
            multipliers = hedge_step(multipliers, risks, 0.5)
        logits.append(net(points).detach())
    return torch.stack(logits)


def _timed(way: Callable, *args: object) -> None:
    way(*args)


def measure(quick: bool = False) -> dict:
    """The ratios, and how far the results are apart."""
    study, rounds = plane(60 if quick else 600), 2 if quick else 30
    ways = {"together": together, "one by one": one_by_one, "plain loop": plain_loop}
    jobs = {name: partial(_timed, way, study, rounds) for name, way in ways.items()}
    taken = in_turns(jobs, 1 if quick else 5)
    apart = (together(study, rounds) - one_by_one(study, rounds)).abs().max()
    return {
        "values": {
            "one by one": over(taken, "one by one", "together"),
            "plain loop": over(taken, "plain loop", "together"),
        },
        "seconds": medians(taken),
        "largest difference of a logit": float(apart),
    }
