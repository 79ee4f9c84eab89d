"""Teachers that are wrong in a known way: flattened, biased or noisy probabilities.

Conventions: p is (n, m), a probability of each of m classes at n points; what comes back is a new
float64 tensor of the same shape, its rows on the simplex.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rdlite.guards import checks

DISTORTIONS = {  # kind of `distort` -> in words
    "temperature": "temperature e^strength",
    "rare": "rarest class × e^strength",
    "noise": "noise on its logits",
}
STRENGTHS = tuple(k / 4 for k in range(7))  # the strengths that panels offer


def distort(p: Tensor, prior: Tensor, kind: str, strength: float, seed: int = 0) -> Tensor:
    """A teacher that is wrong in one way; at strength 0 it is ``p`` itself.

    Args:
        prior: (m,), which class is the rarest.
        kind: ``"none"``, ``"temperature"`` (T = e^strength), ``"rare"`` (its probability times
            e^strength, renormalised) or ``"noise"`` (normal, on every logit, drawn by ``seed``).
        strength: at least 0, at most 100.

    >>> distort(torch.tensor([[0.75, 0.25]]), torch.tensor([0.9, 0.1]), "rare", math.log(3))
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    checks.choice("kind", kind, ["none", *DISTORTIONS])
    checks.number("strength", strength, low=0, high=100)
    checks.vector("prior", prior, _probabilities(p).shape[1])
    if kind == "temperature":
        return temper(p, math.exp(strength))
    if kind == "rare":
        weights = torch.ones(len(prior), dtype=torch.float64)
        weights[prior.argmin()] = math.exp(strength)
        return bias(p, weights)
    return add_noise(p, strength if kind == "noise" else 0.0, seed)


def temper(p: Tensor, temperature: float) -> Tensor:
    """A distorted teacher: ``p^(1/T)``, renormalised. T > 1 flattens, T < 1 sharpens.

    >>> temper(torch.tensor([[0.8, 0.2]]), 0.5)[0, 0] * 17  # 0.64 / (0.64 + 0.04) = 16 / 17
    tensor(16., dtype=torch.float64)
    """
    checks.number("temperature", temperature, low=1e-300)
    return torch.softmax(_probabilities(p).log() / temperature, 1)


def bias(p: Tensor, class_weights: Tensor) -> Tensor:
    """A distorted teacher: ``c_y p_y(x)``, renormalised. With eq. (5)'s c of a balanced or robust
    objective and p = eta it is the balanced- or robust-optimal teacher.

    >>> bias(torch.tensor([[0.75, 0.25]]), torch.tensor([1.0, 3.0]))
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    p = _probabilities(p)
    weights = checks.numbers("class_weights", class_weights)
    checks.vector("class_weights", weights, p.shape[1])
    checks.positive("class_weights", weights)
    return torch.softmax(p.log() + weights.log(), 1)


def add_noise(p: Tensor, scale: float, seed: int = 0) -> Tensor:
    """A distorted teacher: normal noise of standard deviation ``scale`` on every logit.

    >>> add_noise(torch.tensor([[0.75, 0.25]]), 0.0)
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """
    checks.number("scale", scale, low=0, high=1e300)
    checks.integer("seed", seed, low=0)
    p = _probabilities(p)
    noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed), dtype=p.dtype)
    return torch.softmax(p.log() + scale * noise, 1)


def _probabilities(p: Tensor) -> Tensor:
    p = checks.numbers("p", p)
    good = p.ndim == 2 and p.shape[1] >= 2
    checks.expect(good, "p", "have shape (n, m), m >= 2", tuple(p.shape))
    checks.row_stochastic("p", p, p.shape[1])
    return p
