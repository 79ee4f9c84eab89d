"""A Gaussian mixture in the plane: classes that can be seen, sampled, and solved exactly on a grid.

Conventions: m classes, points (n, 2), float64 tensors on the CPU, lengths in the plane's own unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rdlite.guards import checks
from rdlite.theory.population import Population


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Class y has prior pi_y and, within it, x is a round normal about ``means[y]``.

    Args:
        means: (m, 2), the centres.
        scale: (m,), the standard deviation along each axis, above 0.
        prior: (m,), pi, above 0, sum 1.

    Raises:
        ValueError: another shape, an entry out of range.

    >>> mixture = GaussianMixture([[-1.0, 0.0], [1.0, 0.0]], [1.0, 1.0], [0.75, 0.25])
    >>> mixture.eta([[0.0, 5.0]])  # as far from both centres, so the prior
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """

    means: Tensor
    scale: Tensor
    prior: Tensor

    def __post_init__(self) -> None:
        names = ("means", "scale", "prior")
        means, scale, prior = (checks.numbers(name, getattr(self, name)) for name in names)
        good = means.ndim == 2 and means.shape[0] >= 2 and means.shape[1] == 2
        wanted = "have shape (m, 2) with m >= 2 classes"
        checks.expect(good, "means", wanted, tuple(means.shape))
        checks.finite("means", means)
        for name, values in (("scale", scale), ("prior", prior)):
            checks.vector(name, values, len(means))
            checks.positive(name, values)
        checks.positive("scale squared", scale.square())
        checks.simplex("prior", prior)
        object.__setattr__(self, "means", means.clone())
        object.__setattr__(self, "scale", scale.clone())
        object.__setattr__(self, "prior", prior / prior.sum())

    @classmethod
    def three_classes(cls, imbalance: float = 20.0, *, scale: float = 0.8) -> GaussianMixture:
        """Three overlapping classes; class 2, between and above the others, is rare and hardest.

        Args:
            imbalance: prior of class 0 over that of class 2; class 1 has their geometric mean.
            scale: standard deviation of every class; larger overlaps more.

        >>> GaussianMixture.three_classes(imbalance=16).prior * 21  # 16 : 4 : 1
        tensor([16.,  4.,  1.], dtype=torch.float64)
        """
        checks.number("imbalance", imbalance, low=1)
        checks.number("scale", scale, low=0, above=True)
        prior = torch.tensor([imbalance, math.sqrt(imbalance), 1.0], dtype=torch.float64)
        means = [[-1.4, 0.0], [1.4, 0.0], [0.0, 1.0]]
        return cls(means, [scale] * 3, prior / prior.sum())

    def eta(self, points: Tensor) -> Tensor:
        """P(Y = y | x), (n, m), at points (n, 2); a ValueError if they are not finite."""
        return torch.softmax(self._log_joint(points), 1)

    def density(self, points: Tensor) -> Tensor:
        """Density of x at each point, summed over the classes: (n,), per unit of area.

        >>> mixture = GaussianMixture([[0.0, 0.0], [0.0, 0.0]], [1.0, 1.0], [0.5, 0.5])
        >>> mixture.density([[0.0, 0.0]]) * 2 * math.pi
        tensor([1.], dtype=torch.float64)
        """
        return self._log_joint(points).logsumexp(1).exp()

    def sample(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """n independent draws: points (n, 2) float64 and labels (n,) int64.

        >>> points, labels = GaussianMixture.three_classes().sample(5)
        >>> points.shape, labels.shape
        (torch.Size([5, 2]), torch.Size([5]))
        """
        checks.integer("n", n, low=1)
        checks.integer("seed", seed, low=0)
        generator = torch.Generator().manual_seed(seed)
        labels = torch.multinomial(self.prior, n, replacement=True, generator=generator)
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return self.means[labels] + self.scale[labels, None] * noise, labels

    def on_grid(self, resolution: int = 40, *, reach: float = 4.0) -> tuple[Tensor, Population]:
        """The mixture as a finite population, for which all of `rdlite.theory` is exact.

        Args:
            resolution: cells along each axis. Points are their centres, weighted by the density
                there (the midpoint rule): by default priors are right to 1e-5.
            reach: margin around the means, in standard deviations of the widest class.

        Returns:
            points (resolution^2, 2), and the population at them. Rows run along x first:
            ``points.reshape(resolution, resolution, 2)[row, column]`` has y by row, x by column.

        >>> points, population = GaussianMixture.three_classes().on_grid(10)
        >>> points.shape, population.eta.shape
        (torch.Size([100, 2]), torch.Size([100, 3]))
        """
        checks.integer("resolution", resolution, low=2)
        checks.number("reach", reach, low=0, above=True)
        margin = reach * self.scale.max()
        low, high = self.means.min(0).values - margin, self.means.max(0).values + margin
        centres = (torch.arange(resolution, dtype=torch.float64) + 0.5) / resolution
        across, up = (low + (high - low) * centres[:, None]).T  # each (resolution,)
        rows, columns = torch.meshgrid(up, across, indexing="ij")
        points = torch.stack([columns.flatten(), rows.flatten()], 1)
        density = self.density(points)
        return points, Population(density / density.sum(), self.eta(points))

    def _log_joint(self, points: Tensor) -> Tensor:
        """(n, m): log of prior times normal density."""
        points = checks.numbers("points", points)
        good = points.ndim == 2 and points.shape[1] == 2
        checks.expect(good, "points", "have shape (n, 2)", tuple(points.shape))
        checks.finite("points", points)
        squared = (points[:, None] - self.means).square().sum(2)  # (n, m)
        checks.finite("points, as squared distances from the means,", squared)
        variance = self.scale.square()
        return self.prior.log() - squared / (2 * variance) - (2 * math.pi * variance).log()
