"""The player of the class multipliers, eq. (6): exponentiated gradient, known as Hedge."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rdlite.guards import checks


def uniform(num_classes: int) -> Tensor:
    """The first multipliers: 1/m for each class, float64.

    >>> uniform(4)
    tensor([0.2500, 0.2500, 0.2500, 0.2500], dtype=torch.float64)
    """
    checks.integer("num_classes", num_classes, low=2)
    return torch.full((num_classes,), 1 / num_classes, dtype=torch.float64)


def hedge_step(multipliers: Tensor, risks: Tensor, step_size: float) -> Tensor:
    """One step of eq. (6): ``lambda_y <- lambda_y exp(gamma R_y)``, renormalised.

    Computed as a softmax of logarithms of gains below the largest, so that no step size or risk
    can overflow. A class whose multiplier is 0 stays at 0.

    Args:
        multipliers: (m,), lambda, on the simplex.
        risks: (m,), finite, held-out class risks in nats (any payoff that the player wants large).
        step_size: gamma, at least 0.

    Example: a risk larger by log 3 makes the multiplier three times as large.

    >>> hedge_step(torch.tensor([0.5, 0.5]), torch.tensor([0.0, math.log(3)]), 1.0)
    tensor([0.2500, 0.7500])
    """
    checks.floating("multipliers", multipliers)
    shape = tuple(multipliers.shape)
    checks.expect(len(shape) == 1, "multipliers", "have shape (m,)", shape)
    checks.vector("risks", risks, len(multipliers))
    checks.simplex("multipliers", multipliers)
    checks.finite("risks", risks)
    checks.number("step_size", step_size, low=0)
    return unchecked_hedge_step(multipliers, risks.to(multipliers.dtype), step_size)


def unchecked_hedge_step(multipliers: Tensor, risks: Tensor, step_size: float) -> Tensor:
    """Eq. (6), (..., m): a leading axis may run over models, each with a player of its own."""
    largest = risks.where(multipliers > 0, -torch.inf).amax(-1, keepdim=True)
    gains = step_size * (risks - largest).clamp_max(0)
    return torch.softmax(multipliers.log() + gains, -1)


def guaranteed_step_size(num_classes: int, rounds: int, bound: float) -> float:
    """The step size of eq. (9), ``sqrt(8 log m / K) / B``.

    With it and risks in [0, B], the averaged scorer's worst risk is within
    ``B sqrt(log m / (2 K))`` of the best one, plus the error of the best responses.

    Args:
        num_classes, rounds: m, and K Hedge steps.
        bound: B, the largest possible risk, nats.

    >>> round(guaranteed_step_size(10, 60, 2.0), 3)
    0.277
    """
    checks.integer("num_classes", num_classes, low=2)
    checks.integer("rounds", rounds, low=1)
    checks.number("bound", bound, low=0, above=True)
    return math.sqrt(8 * math.log(num_classes) / rounds) / bound
