"""Panels for the notebooks: each a thin view over a pure computation, see `Panel`.

In every one `panel.state` is a plain dict that can be read and set, `panel.reset()` goes back, and
`panel.figure()` is the same picture for readers with no kernel. m classes; risks in nats,
accuracies as fractions.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from rdlite import checks
from rdlite.frontier import Frontier, train_frontier
from rdlite.metrics import per_class_accuracy
from rdlite.objectives import ROBUST
from rdlite.panel_base import (
    VIEW,
    Panel,
    draw_bars,
    draw_maps,
    draw_points,
    dropdown,
    legend_above,
    plain,
    slider,
    table,
)
from rdlite.plane import GaussianMixture
from rdlite.plots import BLUE, GREY, ORANGE
from rdlite.theory import Population, add_noise, bias, temper

ALPHAS = tuple(k / 10 for k in range(11))
STRENGTHS = tuple(k / 4 for k in range(7))
DISTORTIONS = {
    "temperature": "temperature e^strength",
    "rare": "rarest class × e^strength",
    "noise": "noise on its logits",
}
PLANE_CLASSES = ("left", "right", "top")


def distort(p: Tensor, prior: Tensor, kind: str, strength: float, seed: int = 0) -> Tensor:
    """A teacher that is wrong in one way; at strength 0 it is ``p`` itself.

    Args:
        p: (n, m), the teacher's probabilities before.
        prior: (m,), which class is the rarest.
        kind: ``"none"``, ``"temperature"`` (T = e^strength), ``"rare"`` (its probability times
            e^strength, renormalised) or ``"noise"`` (normal, on every logit).
        strength: at least 0.
        seed: of the noise.

    >>> distort(torch.tensor([[0.75, 0.25]]), torch.tensor([0.9, 0.1]), "rare", math.log(3))
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    checks.choice("kind", kind, ["none", *DISTORTIONS])
    if kind == "temperature":
        return temper(p, math.exp(strength))
    if kind == "rare":
        weights = torch.ones_like(prior)
        weights[prior.argmin()] = math.exp(strength)
        return bias(p, weights)
    return add_noise(p, strength if kind == "noise" else 0.0, seed)


@dataclass(frozen=True, eq=False)
class _Trained:
    """Eleven students of one teacher on one mixture; accuracies and risks are the true ones."""

    mixture: GaussianMixture
    grid: Tensor  # (r * r, 2)
    teacher: Tensor  # (r * r,), its predictions on the grid
    bayes: Tensor  # (r * r,)
    students: Tensor  # (11, r * r)
    accuracy: Tensor  # (11, m)
    risks: Tensor  # (11, m)
    frontier: Frontier
    points: Tensor  # (n, 2), what the students were trained on
    labels: Tensor  # (n,)


class PlanePanel(Panel):
    """From standard to robust on a Gaussian mixture, for a good or a distorted teacher.

    The students are small networks trained live, all values of alpha at once, by eqs (6)-(8) on
    600 points with the teacher's probabilities; anchor: standard. Accuracies and risks are the
    true ones, on a grid.

    >>> panel = PlanePanel()
    >>> panel
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
        frontier = train_frontier(points, p, heldout, heldout_p, ALPHAS, anchor="standard")
        logits = frontier.logits(grid)  # (11, r * r, m)
        students = logits.argmax(2)
        within = population.weights[:, None] * population.eta / population.prior
        right = torch.nn.functional.one_hot(students, len(mixture.prior)).double()
        return _Trained(
            mixture=mixture,
            grid=grid,
            teacher=grid_p.argmax(1),
            bayes=population.eta.argmax(1),
            students=students.to(torch.uint8),  # kept for many states
            accuracy=(within * right).sum(1),
            risks=torch.stack([population.class_risks(scorer) for scorer in logits]),
            frontier=frontier,
            points=points,
            labels=labels,
        )

    def render(self, result: tuple[_Trained, int]) -> None:
        super().render(result)
        self.controls["strength"].disabled = self.controls["teacher"].value == "none"

    def describe(self, result: tuple[_Trained, int]) -> str:
        trained, chosen = result
        accuracy, risks = trained.accuracy[chosen], trained.risks[chosen]
        multipliers = trained.frontier.multipliers[-1, chosen]
        header = ["class", "prior", "true risk (nats)", "accuracy", "at alpha 0", "multiplier"]
        columns = (trained.mixture.prior, risks, accuracy, trained.accuracy[0], multipliers)
        rows = [
            [name, *(f"{float(column[k]):.3f}" for column in columns)]
            for k, name in enumerate(PLANE_CLASSES)
        ]
        return table(header, rows, int(accuracy.argmin())) + (
            f"average accuracy {float(accuracy.mean()):.3f}, worst {float(accuracy.min()):.3f} (★)"
        )

    def draw(self, figure: Figure, result: tuple[_Trained, int]) -> None:
        trained, chosen = result
        accuracy, standard = trained.accuracy[chosen], trained.accuracy[0]
        worst = int(accuracy.argmin())
        maps = figure.add_axes((0.01, 0.03, 0.74, 0.78))
        bars = figure.add_axes((0.805, 0.12, 0.185, 0.68))
        shown = {
            "best on average (Bayes)": trained.bayes,
            "teacher": trained.teacher,
            "student and its points": trained.students[chosen],
        }
        squares = {
            title: predicted.reshape(self.RESOLUTION, -1).numpy()
            for title, predicted in shown.items()
        }
        centres = trained.mixture.means.numpy()
        step = draw_maps(maps, squares, trained.grid.numpy(), centres, PLANE_CLASSES)
        draw_points(maps, trained.points, trained.labels, 2 * step)
        labels = "alpha 0", f"alpha {ALPHAS[chosen]:g}"
        draw_bars(bars, standard, accuracy, labels, worst)
        bars.set(ylim=(0, 1), yticks=[0, 0.5, 1], ylabel="accuracy (true)")
        bars.set_xticks(range(len(PLANE_CLASSES)), PLANE_CLASSES)
        figure.suptitle(
            f"alpha {ALPHAS[chosen]:g}: worst-class accuracy {float(accuracy[worst]):.2f} "
            f"(alpha 0: {float(standard.min()):.2f})",
            fontsize=12,
        )


@dataclass(frozen=True, eq=False)
class _Student:
    """The robust student of one teacher on an exact population."""

    gap: float  # eq. (10)
    bound: float  # B times the gap, eq. (11), nats
    distilled: float  # its robust loss by the teacher's labels, nats
    risks: Tensor  # (m,), its true class risks, nats


class TeacherPanel(Panel):
    """What makes a good teacher: its gap (10), the bound (11), and its student's true risks.

    On an exact population the student is the exact minimiser of the distilled robust loss, so all
    that separates it from the best possible is the teacher. Losses are held to 6 nats.

    >>> TeacherPanel()
    TeacherPanel({'population': 'random', 'teacher': 'balanced', 'strength': 1.0})
    """

    LOSS_BOUND = 6.0

    def __init__(self) -> None:
        populations = {"random": "40 random points, 4 classes", "plane": "mixture in the plane"}
        teachers = {
            **DISTORTIONS,
            "balanced": "towards balanced-optimal",
            "robust": "towards robust-optimal",
        }
        controls = {
            "population": dropdown("population", populations, "random"),
            "teacher": dropdown("teacher is off by", teachers, "balanced"),
            "strength": slider("strength", STRENGTHS, 1.0),
        }
        hint = (
            "At strength 0 the teacher is the truth; at strength 1 the last two are the balanced- "
            "and the robust-optimal teacher themselves."
        )
        super().__init__(controls, size=(980, 380), hint=hint)

    def compute(self, state: dict) -> tuple[Tensor, list[_Student], int]:
        """The best possible class risks, the students of all strengths, which one is chosen."""
        name, kind = state["population"], state["teacher"]
        population, best, weights = self.remember(name, lambda: self._population(name))
        students = self.remember(
            (name, kind), lambda: self._students(population, kind, weights.get(kind))
        )
        return best, students, STRENGTHS.index(state["strength"])

    def _population(self, name: str) -> tuple[Population, Tensor, dict[str, Tensor]]:
        """The population, its best class risks, and class weights c of eq. (5) by objective."""
        if name == "random":
            population = Population.random(40, 4)
        else:
            population = GaussianMixture.three_classes().on_grid(20)[1]
        best, multipliers = population.solve(ROBUST, loss_bound=self.LOSS_BOUND)
        weights = {"balanced": 1 / population.prior, "robust": multipliers / population.prior}
        return population, population.class_risks(best), weights

    def _students(
        self, population: Population, kind: str, weights: Tensor | None
    ) -> list[_Student]:
        students = []
        for strength in STRENGTHS:
            if weights is None:
                p = distort(population.eta, population.prior, kind, strength)
            else:
                p = bias(population.eta, weights**strength)
            scorer, _ = population.solve(ROBUST, p, loss_bound=self.LOSS_BOUND)
            students.append(
                _Student(
                    gap=population.teacher_gap(p),
                    bound=population.gap_bound(p, scorer),
                    distilled=float(population.class_risks(scorer, p).max()),
                    risks=population.class_risks(scorer),
                )
            )
        return students

    def describe(self, result: tuple[Tensor, list[_Student], int]) -> str:
        best, students, chosen = result
        student = students[chosen]
        rows = [
            [str(k), f"{float(risk):.3f}", f"{float(lowest):.3f}"]
            for k, (risk, lowest) in enumerate(zip(student.risks, best, strict=True))
        ]
        header = ["class", "student's true risk (nats)", "best robust student"]
        return table(header, rows, int(student.risks.argmax())) + (
            f"teacher gap Delta (10): {student.gap:.3f}; bound B Delta (11): {student.bound:.3f} "
            f"nats<br>robust loss by the teacher's labels {student.distilled:.3f}, true "
            f"{float(student.risks.max()):.3f} (★), best possible {float(best.max()):.3f} nats"
        )

    def draw(self, figure: Figure, result: tuple[Tensor, list[_Student], int]) -> None:
        best, students, chosen = result
        student, lowest = students[chosen], float(best.max())
        worst = int(student.risks.argmax())
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
        figure.subplots_adjust(left=0.07, right=0.985, bottom=0.14, top=0.79, wspace=0.2)
        draw_bars(left, best, student.risks, ("best robust student", "this student"), worst)
        left.set(xlabel="class", ylabel="true risk (nats)", xticks=range(len(best)))

        gap, bound, distilled = (
            np.array([getattr(s, name) for s in students]) for name in ("gap", "bound", "distilled")
        )
        true = np.array([float(s.risks.max()) for s in students])
        order = gap.argsort()
        band = (distilled - bound)[order], (distilled + bound)[order]
        right.fill_between(gap[order], *band, color=GREY, alpha=0.15, label="allowed by eq. (11)")
        right.plot(gap, true, "o-", color=BLUE, label="true, for each strength")
        right.plot(gap, distilled, "s--", color=GREY, markersize=4, label="by the teacher's labels")
        right.axhline(lowest, color="black", linestyle=":", label="best possible")
        ring = {"markersize": 14, "fillstyle": "none", "color": ORANGE, "label": "this student"}
        right.plot(gap[chosen], true[chosen], "o", linestyle="none", **ring)
        right.locator_params(nbins=5)
        right.set(xlabel="teacher gap Delta, eq. (10)", ylabel="worst-class risk (nats)")
        right.set_ylim(0, 1.2 * max(true.max(), distilled.max()))
        legend_above(right, 3)
        figure.suptitle(
            f"Teacher gap {student.gap:.2f}: true worst-class risk "
            f"{float(student.risks[worst]):.2f} nats, best possible {lowest:.2f}",
            fontsize=12,
        )


@dataclass(frozen=True, eq=False)
class _Weighted:
    """What class weights do to saved logits."""

    weights: np.ndarray  # (m,), on the simplex
    before: np.ndarray  # (m,), accuracies at equal weights
    after: np.ndarray  # (m,)


class ClassWeightPanel(Panel):
    """What class weights do: by eq. (5) they shift the logits, so saved ones are enough.

    The prediction is ``argmax_y (f_y + log c_y)``. A slider a class, from 0.001 to 1 in steps of
    5 %; what counts is their share, shown on the simplex. Presets are rounded to these steps.

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
        self.logits = torch.as_tensor(logits).detach().cpu().double().clone()
        self.labels = torch.as_tensor(labels).detach().cpu().clone()
        self.class_names, self.regions = [str(name) for name in class_names], regions
        counts = torch.as_tensor(class_counts, dtype=torch.float64)
        m = len(self.class_names)
        checks.whole("the number of class_names", m, low=2, high=20)
        checks.require(
            len(set(self.class_names)) == m, f"class_names must differ, got {self.class_names}"
        )
        checks.require(
            self.logits.ndim == 2 and self.logits.shape[1] == m,
            f"logits must have shape (n, {m}), got {tuple(self.logits.shape)}",
        )
        checks.vector("class_counts", counts, m)
        checks.positive("class_counts", counts)
        self.class_counts = [int(count) for count in counts]
        before = self._accuracy(np.ones(m))
        checks.require(not np.isnan(before).any(), "labels must have an image of every class")
        presets = {"uniform": torch.ones(m), "inverse prior": 1 / counts}
        if learned is not None:
            presets["learned"] = torch.as_tensor(learned, dtype=torch.float64)
            checks.vector("learned", presets["learned"], m)
            checks.positive("learned", presets["learned"])
        for k, name in enumerate(self.class_names):
            presets[f"one class: {name}"] = torch.eye(m)[k]
        self.presets = {name: self._on_grid(weights) for name, weights in presets.items()}
        names = ["custom", *presets]
        self.preset = dropdown("weights", {name: name for name in names}, "uniform")
        self.preset.observe(lambda change: self._quiet or self.choose(change["new"]), "value")
        controls = {
            name: slider(f"{_short(name)} 0.000", self.GRID, 1.0, readout=False)
            for name in self.class_names
        }
        hint = "Class weights c, which sum to 1; the numbers beside the names are their shares."
        super().__init__(controls, size=(980, 400), actions=[self.preset], hint=hint)

    @classmethod
    def on_plane(cls, imbalance: float = 20.0) -> ClassWeightPanel:
        """The best scorer on `GaussianMixture.three_classes`, with a map of its decisions.

        The test points are balanced; the learned weights are those of the exact robust optimum.
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
        """Set the sliders to one of ``presets``.

        Raises:
            ValueError: an unknown name.
        """
        checks.choice("preset", name, ["custom", *self.presets])
        self.state = self.presets.get(name, {})

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
        before = self._accuracy(np.ones_like(weights))
        return _Weighted(weights, before, self._accuracy(weights))

    def render(self, result: _Weighted) -> None:
        super().render(result)
        for (name, control), share in zip(self.controls.items(), result.weights, strict=True):
            control.description = f"{_short(name)} {share:.3f}"
        state = self.state
        matching = (name for name, preset in self.presets.items() if preset == state)
        self._quiet, quiet = True, self._quiet
        self.preset.value = next(matching, "custom")
        self._quiet = quiet

    def describe(self, result: _Weighted) -> str:
        rows = [
            [name, f"{count:,}", f"{weight:.3f}", f"{before:.3f}", f"{after:.3f}"]
            for name, count, weight, before, after in zip(
                self.class_names,
                self.class_counts,
                result.weights,
                result.before,
                result.after,
                strict=True,
            )
        ]
        header = ["class", "training images", "weight c", "accuracy at equal weights", "accuracy"]
        worst = int(result.after.argmin())
        return table(header, rows, worst) + (
            f"average accuracy {result.after.mean():.3f}, worst {result.after[worst]:.3f} "
            f"({html.escape(self.class_names[worst])} ★); at equal weights "
            f"{result.before.mean():.3f} and {result.before.min():.3f}"
        )

    def draw(self, figure: Figure, result: _Weighted) -> None:
        m, worst = len(self.class_names), int(result.after.argmin())
        names = [plain(name, 14 if m <= 10 else 18) for name in self.class_names]
        if self.regions is None:
            bars = figure.subplots()
            figure.subplots_adjust(left=0.07, right=0.99, bottom=0.18, top=0.84)
        else:
            bars, plane = figure.subplots(1, 2, width_ratios=[1.3, 1])
            figure.subplots_adjust(left=0.07, right=0.985, bottom=0.18, top=0.84, wspace=0.08)
            self._draw_plane(plane, result.weights)
        labels = "equal weights", "these weights"
        draw_bars(bars, result.before, result.after, labels, worst)
        bars.set(ylim=(0, 1), yticks=[0, 0.25, 0.5, 0.75, 1], ylabel="accuracy (test set)")
        if m <= 10:
            counts = zip(names, self.class_counts, strict=True)
            bars.set_xticks(range(m), [f"{name}\n{n:,}" for name, n in counts], fontsize=8.5)
            bars.set_xlabel("class and its number of training images")
        else:
            turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
            bars.set_xticks(range(m), names, fontsize=8, **turned)
            figure.subplots_adjust(bottom=0.26)
        figure.suptitle(
            f"Worst class {names[worst]}: {result.after[worst]:.2f} "
            f"(equal weights {result.before.min():.2f}); average {result.after.mean():.2f} "
            f"(equal weights {result.before.mean():.2f})",
            fontsize=12,
        )

    def _draw_plane(self, ax: Axes, weights: np.ndarray) -> None:
        grid, logits, centres = (np.asarray(part) for part in self.regions)
        side = math.isqrt(len(grid))
        decisions = (logits + np.log(weights)).argmax(1).reshape(side, side)
        title = "decisions; black lines: at equal weights"
        draw_maps(ax, {title: decisions}, grid, centres, self.class_names)
        equal = logits.argmax(1).reshape(side, side)
        for k in range(1, len(weights)):
            inside = (equal == k).astype(float)
            ax.contour(grid[:side, 0], grid[::side, 1], inside, levels=[0.5], colors="black")
        ax.set(xlim=VIEW[:2], ylim=VIEW[2:])


def _short(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"
