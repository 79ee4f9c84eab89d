"""What class weights do to saved logits, by eq. (5)."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from rdlite.guards import checks
from rdlite.metrics import per_class_accuracy
from rdlite.objectives import ROBUST
from rdlite.panels.base import Panel, dropdown, slider
from rdlite.panels.drawing import PLANE_CLASSES, VIEW, Maps, TwoBars, class_table, plain, shortened
from rdlite.theory.mixture import GaussianMixture


class _Weighted(NamedTuple):
    """(m,) each."""

    weights: np.ndarray  # on the simplex
    before: np.ndarray  # accuracies at equal weights
    after: np.ndarray


class ClassWeightPanel(Panel):
    """What class weights do: by eq. (5) they shift the logits, so saved ones are enough.

    The prediction is ``argmax_y (f_y + log c_y)``. A slider a class, from 0.001 to 1 in steps of
    5 %, to which presets are rounded; what counts is their share.

    Args:
        logits: (n, m), f on a test set, 2 <= m <= 20.
        labels: (n,), an image of every class.
        class_names: m different names.
        class_counts: (m,), training images, for the preset inverse to the prior.
        learned: (m,), class weights c for the preset of that name, above 0.
        regions: for a picture of the plane: points (r * r, 2) of a grid, their logits (r * r, m)
            and the centres (m, 2) of the classes, m <= 4.

    Raises:
        ValueError: arguments that do not fit together, a class without images.

    >>> panel = ClassWeightPanel(torch.eye(2), torch.arange(2), ["cat", "dog"], [3, 1])
    >>> panel.choose("inverse prior")
    >>> panel
    ClassWeightPanel({'cat': 0.331131, 'dog': 1.0})
    """

    GRID = tuple(round(10 ** (k / 50 - 3), 6) for k in range(151))

    def __init__(
        self,
        logits: Tensor,
        labels: Tensor,
        class_names: Sequence[str],
        class_counts: Sequence[int] | Tensor,
        learned: Sequence[float] | Tensor | None = None,
        *,
        regions: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> None:
        self.logits = checks.numbers("logits", logits).detach().clone()
        self.labels = torch.as_tensor(labels).detach().cpu().clone()
        self.class_names = [str(name) for name in class_names]
        self.regions = regions and [np.asarray(part) for part in regions]
        counts = checks.numbers("class_counts", class_counts)
        m = len(self.class_names)
        checks.integer("the number of class_names", m, low=2, high=20)
        checks.expect(len(set(self.class_names)) == m, "class_names", "differ", self.class_names)
        good = self.logits.ndim == 2 and self.logits.shape[1] == m
        checks.expect(good, "logits", f"have shape (n, {m})", tuple(self.logits.shape))
        checks.vector("class_counts", counts, m)
        checks.positive("class_counts", counts)
        self.class_counts = [int(count) for count in counts]
        before = self._accuracy(np.ones(m))
        checks.require(not np.isnan(before).any(), "labels must have an image of every class")
        self._written = [plain(name, 14 if m <= 10 else 18) for name in self.class_names]
        presets = {"uniform": torch.ones(m), "inverse prior": 1 / counts}
        if learned is not None:
            presets["learned"] = checks.numbers("learned", learned)
            checks.vector("learned", presets["learned"], m)
            checks.positive("learned", presets["learned"])
        ones = zip(self.class_names, torch.eye(m), strict=True)
        presets |= {f"one class: {name}": row for name, row in ones}
        self.presets = {"custom": {}} | {name: self._on_grid(c) for name, c in presets.items()}
        self.preset = dropdown("weights", {name: name for name in self.presets}, "uniform")
        self.preset.observe(lambda change: self.choose(change["new"]), "value")
        controls = {
            name: slider(f"{shortened(name)} 0.000", self.GRID, 1.0, readout=False)
            for name in self.class_names
        }
        hint = "Class weights c, which sum to 1; the numbers beside the names are their shares."
        super().__init__(controls, size=(980, 400), actions=[self.preset], hint=hint)

    @classmethod
    def on_plane(cls, imbalance: float = 20.0) -> ClassWeightPanel:
        """The best scorer on `GaussianMixture.three_classes`, with a map; test points are balanced.

        The learned weights are those of the exact robust optimum.
        """
        mixture = GaussianMixture.three_classes(imbalance)
        grid, population = mixture.on_grid(60)
        points, labels = GaussianMixture.three_classes(1).sample(3000)
        _, multipliers = population.solve(ROBUST)
        return cls(
            mixture.eta(points).log(),
            labels,
            PLANE_CLASSES,
            (1000 * mixture.prior / mixture.prior.max()).round(),
            ROBUST.class_weights(multipliers, mixture.prior),
            regions=(grid, population.eta.log(), mixture.means),
        )

    def choose(self, name: str) -> None:
        """Set the sliders to one of ``presets``; ValueError for an unknown name."""
        checks.choice("preset", name, self.presets)
        self.state = self.presets[name]

    def _on_grid(self, weights: Tensor) -> dict[str, float]:
        """The state nearest to some class weights, of which only ratios matter."""
        steps = (50 * ((weights / weights.max()).log10() + 3)).round().clamp(0, 150)
        return {name: self.GRID[int(k)] for name, k in zip(self.class_names, steps, strict=True)}

    def _accuracy(self, weights: np.ndarray) -> np.ndarray:
        """(m,) accuracies of ``argmax_y (f_y + log c_y)``."""
        checks.finite("logits", self.logits)
        predicted = (self.logits + torch.from_numpy(weights).log()).argmax(1)
        return per_class_accuracy(predicted, self.labels, len(weights)).numpy()

    def compute(self, state: dict) -> _Weighted:
        """Accuracy of each class at equal weights and at these, which are put on the simplex."""
        weights = np.array([state[name] for name in self.class_names])
        weights = weights / weights.sum()
        return _Weighted(weights, self._accuracy(np.ones_like(weights)), self._accuracy(weights))

    def render(self, result: _Weighted) -> None:
        super().render(result)
        for (name, control), share in zip(self.controls.items(), result.weights, strict=True):
            control.description = f"{shortened(name)} {share:.3f}"
        state = self.state
        matching = (name for name, preset in self.presets.items() if preset == state)
        self.preset.value = next(matching, "custom")  # which sets nothing anew

    def describe(self, result: _Weighted) -> str:
        weights, before, after = result
        columns = {
            "class": self.class_names,
            "training images": self.class_counts,
            "weight c": weights,
            "accuracy at equal weights": before,
            "accuracy": after,
        }
        worst = int(after.argmin())
        return class_table(columns, worst) + (
            f"average accuracy {after.mean():.3f}, worst {after[worst]:.3f} "
            f"({html.escape(self.class_names[worst])} ★); at equal weights "
            f"{before.mean():.3f} and {before.min():.3f}"
        )

    def draw(self, figure: Figure, result: _Weighted) -> tuple[TwoBars, Maps | None, Text]:
        m, maps = len(self.class_names), None
        if self.regions is None:
            ax = figure.subplots()
        else:
            (grid, _, centres), equal = self.regions, self._decisions(np.ones(m))
            ax, plane = figure.subplots(1, 2, width_ratios=[1.3, 1])
            title = "decisions; black lines: at equal weights"
            maps = Maps(plane, [title], grid, dict(zip(self.class_names, centres, strict=True)))
            for k in range(1, m):
                border = *grid.T.reshape(2, *equal.shape), (equal == k).astype(float)
                plane.contour(*border, levels=[0.5], colors="black")
            plane.set(xlim=VIEW[:2], ylim=VIEW[2:])
        figure.subplots_adjust(left=0.07, right=0.985, bottom=0.18, top=0.84, wspace=0.08)
        bars = TwoBars(ax, m, ("equal weights", "these weights"))
        ax.set(yticks=[0, 0.25, 0.5, 0.75, 1], ylabel="accuracy (test set)")
        if m <= 10:
            counts = zip(self._written, self.class_counts, strict=True)
            ax.set_xticks(range(m), [f"{name}\n{n:,}" for name, n in counts], fontsize=8.5)
            ax.set_xlabel("class and its number of training images")
        else:
            turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
            ax.set_xticks(range(m), self._written, fontsize=8, **turned)
            figure.subplots_adjust(bottom=0.26)
        return bars, maps, figure.suptitle("", fontsize=12)

    def move(self, parts: tuple, result: _Weighted) -> None:
        (bars, maps, title), (weights, before, after) = parts, result
        worst = int(after.argmin())
        title.set_text(
            f"Worst class {self._written[worst]}: {after[worst]:.2f} "
            f"(equal weights {before.min():.2f}); average {after.mean():.2f} "
            f"(equal weights {before.mean():.2f})"
        )
        bars.move(before, after, worst)
        if maps:
            maps.move([self._decisions(weights)])

    def _decisions(self, weights: np.ndarray) -> np.ndarray:
        """(r, r) predicted classes on the grid."""
        predicted = (self.regions[1] + np.log(weights)).argmax(1)
        return predicted.reshape(math.isqrt(len(predicted)), -1)
