"""From standard to robust students in the plane, trained live."""

from __future__ import annotations

from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from rdlite.panels.base import Panel, dropdown, slider
from rdlite.panels.drawing import CLASS_STYLES, PLANE_CLASSES, VIEW, Maps, TwoBars, class_table
from rdlite.theory.mixture import GaussianMixture
from rdlite.theory.students import train_students
from rdlite.theory.teachers import DISTORTIONS, STRENGTHS, distort

ALPHAS = tuple(k / 10 for k in range(11))


class _Trained(NamedTuple):
    """Eleven students of one teacher on one mixture; accuracies and risks are the true ones."""

    mixture: GaussianMixture
    grid: Tensor  # (r * r, 2)
    bayes: Tensor  # (r * r,), predictions on the grid
    teacher: Tensor  # (r * r,)
    predicted: Tensor  # (11, r * r), by the students
    accuracy: Tensor  # (11, m)
    risks: Tensor  # (11, m)
    multipliers: Tensor  # (11, m), of the last round
    points: Tensor  # (n, 2), what the students were trained on
    labels: Tensor  # (n,)


class PlanePanel(Panel):
    """From standard to robust on a Gaussian mixture, for a good or a distorted teacher.

    The students are small networks trained live, all values of alpha at once, by eqs (6)-(8) on
    600 points with the teacher's probabilities; anchor: standard.

    >>> PlanePanel()
    PlanePanel({'imbalance': 20, 'teacher': 'none', 'strength': 1.0, 'alpha': 1.0})
    """

    RESOLUTION = 80
    POINTS, HELDOUT = 600, 400

    def __init__(self) -> None:
        teachers = {"none": "the true probabilities", **DISTORTIONS}
        controls = {
            "imbalance": slider("imbalance", [1, 5, 20, 50, 100], 20),
            "teacher": dropdown("teacher", teachers, "none"),
            "strength": slider("strength", STRENGTHS, 1.0),
            "alpha": slider("alpha", ALPHAS, 1.0),
        }
        hint = "Class top is the rare one. alpha 0 is the standard student, alpha 1 the robust one."
        super().__init__(controls, size=(980, 330), hint=hint)

    def compute(self, state: dict) -> tuple[_Trained, int]:
        """The trained students, and which of them is shown."""
        strength = 0.0 if state["teacher"] == "none" else state["strength"]
        key = (state["imbalance"], state["teacher"], strength)
        return self.remember(key, lambda: self._train(*key)), ALPHAS.index(state["alpha"])

    def _train(self, imbalance: float, kind: str, strength: float) -> _Trained:
        mixture = GaussianMixture.three_classes(imbalance)
        grid, population = mixture.on_grid(self.RESOLUTION)
        points, labels = mixture.sample(self.POINTS, seed=0)
        heldout, _ = mixture.sample(self.HELDOUT, seed=1)
        p, heldout_p, grid_p = (
            distort(mixture.eta(x), mixture.prior, kind, strength, seed)
            for seed, x in enumerate((points, heldout, grid))
        )
        students = train_students(points, p, heldout, heldout_p, ALPHAS, anchor="standard")
        logits = students.logits(grid)  # (11, r * r, m)
        predicted = logits.argmax(2)
        within = population.weights[:, None] * population.eta / population.prior
        right = torch.nn.functional.one_hot(predicted, len(mixture.prior)).double()
        kept = predicted.to(torch.uint8)  # small, for many states
        risks = torch.stack([population.class_risks(scorer) for scorer in logits])
        maps = population.eta.argmax(1), grid_p.argmax(1), kept
        rows = (within * right).sum(1), risks, students.multipliers[-1]
        return _Trained(mixture, grid, *maps, *rows, points, labels)

    def render(self, result: tuple[_Trained, int]) -> None:
        super().render(result)
        self.controls["strength"].disabled = self.controls["teacher"].value == "none"

    def describe(self, result: tuple[_Trained, int]) -> str:
        trained, chosen = result
        accuracy = trained.accuracy[chosen]
        columns = {
            "class": PLANE_CLASSES,
            "prior": trained.mixture.prior,
            "true risk (nats)": trained.risks[chosen],
            "accuracy": accuracy,
            "at alpha 0": trained.accuracy[0],
            "multiplier": trained.multipliers[chosen],
        }
        return class_table(columns, int(accuracy.argmin())) + (
            f"average accuracy {accuracy.mean():.3f}, worst {accuracy.min():.3f} (★)"
        )

    def draw(self, figure: Figure, result: tuple[_Trained, int]) -> tuple:
        trained, _ = result
        ax = figure.add_axes((0.01, 0.03, 0.74, 0.78))
        titles = "best on average (Bayes)", "teacher", "student and its points"
        centres = dict(zip(PLANE_CLASSES, trained.mixture.means.numpy(), strict=True))
        maps = Maps(ax, titles, trained.grid.numpy(), centres)
        style = {"markersize": 2.2, "zorder": 1.5}
        points = [ax.plot([], [], mark, color=colour, **style)[0] for colour, mark in CLASS_STYLES]
        ax = figure.add_axes((0.805, 0.12, 0.185, 0.68))
        bars = TwoBars(ax, len(PLANE_CLASSES), ("alpha 0", "this alpha"))
        ax.set_ylabel("accuracy (true)")
        ax.set_xticks(range(len(PLANE_CLASSES)), PLANE_CLASSES)
        return maps, points, bars, figure.suptitle("", fontsize=12)

    def move(self, parts: tuple, result: tuple[_Trained, int]) -> None:
        (maps, points, bars, title), (trained, chosen) = parts, result
        accuracy, standard = trained.accuracy[chosen], trained.accuracy[0]
        worst = int(accuracy.argmin())
        title.set_text(
            f"alpha {ALPHAS[chosen]:g}: worst-class accuracy {accuracy[worst]:.2f} "
            f"(alpha 0: {standard.min():.2f})"
        )
        low, high = trained.points.new_tensor(VIEW).reshape(2, 2).T
        inside = ((trained.points > low) & (trained.points < high)).all(1)
        for k, line in enumerate(points):
            x, y = trained.points[inside & (trained.labels == k)].T.numpy()
            line.set_data(x + 2 * maps.step, y)  # over the third map
        predicted = trained.bayes, trained.teacher, trained.predicted[chosen]
        maps.move(classes.reshape(self.RESOLUTION, -1).numpy() for classes in predicted)
        bars.move(standard, accuracy, worst)
