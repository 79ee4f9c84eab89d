"""What makes a good teacher: the gap, its bound and the student's true risks, all exact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from rdlite.objectives import ROBUST
from rdlite.panels.base import Panel, dropdown, slider
from rdlite.panels.drawing import TwoBars, class_table, legend_above
from rdlite.plots import BLUE, GREY, ORANGE
from rdlite.theory.mixture import GaussianMixture
from rdlite.theory.population import Population
from rdlite.theory.teachers import DISTORTIONS, STRENGTHS, bias, distort


class _Student(NamedTuple):
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
        optimal = {name: f"towards {name}-optimal" for name in ("balanced", "robust")}
        controls = {
            "population": dropdown("population", populations, "random"),
            "teacher": dropdown("teacher is off by", DISTORTIONS | optimal, "balanced"),
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

        def students() -> list[_Student]:
            return [self._student(population, kind, s, weights.get(kind)) for s in STRENGTHS]

        return best, self.remember((name, kind), students), STRENGTHS.index(state["strength"])

    def _population(self, name: str) -> tuple[Population, Tensor, dict[str, Tensor]]:
        """The population, its best class risks, and class weights c of eq. (5) by objective."""
        mixture = GaussianMixture.three_classes()
        population = mixture.on_grid(20)[1] if name == "plane" else Population.random(40, 4)
        best, multipliers = population.solve(ROBUST, loss_bound=self.LOSS_BOUND)
        weights = {"balanced": 1 / population.prior, "robust": multipliers / population.prior}
        return population, population.class_risks(best), weights

    def _student(
        self, population: Population, kind: str, strength: float, weights: Tensor | None
    ) -> _Student:
        if weights is None:
            p = distort(population.eta, population.prior, kind, strength)
        else:
            p = bias(population.eta, weights**strength)
        scorer, _ = population.solve(ROBUST, p, loss_bound=self.LOSS_BOUND)
        gap, bound = population.teacher_gap(p), population.gap_bound(p, scorer)
        distilled = float(population.class_risks(scorer, p).max())
        return _Student(gap, bound, distilled, population.class_risks(scorer))

    def describe(self, result: tuple[Tensor, list[_Student], int]) -> str:
        best, students, chosen = result
        student = students[chosen]
        columns = {
            "class": map(str, range(len(best))),
            "student's true risk (nats)": student.risks,
            "best robust student": best,
        }
        return class_table(columns, int(student.risks.argmax())) + (
            f"teacher gap Delta (10): {student.gap:.3f}; bound B Delta (11): {student.bound:.3f} "
            f"nats<br>robust loss by the teacher's labels {student.distilled:.3f}, true "
            f"{student.risks.max():.3f} (★), best possible {best.max():.3f} nats"
        )

    def scene(self, state: dict) -> tuple[str, str]:
        """The curves are those of all strengths."""
        return state["population"], state["teacher"]

    def draw(self, figure: Figure, result: tuple[Tensor, list[_Student], int]) -> tuple:
        best, students, _ = result
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
        figure.subplots_adjust(left=0.07, right=0.985, bottom=0.14, top=0.79, wspace=0.2)
        bars = TwoBars(left, len(best), ("best robust student", "this student"))
        left.set(xlabel="class", ylabel="true risk (nats)", xticks=range(len(best)))
        left.yaxis.set_major_locator(MaxNLocator(4))
        gap, bound, distilled, true = np.array(
            [(s.gap, s.bound, s.distilled, float(s.risks.max())) for s in students]
        ).T
        left.set_ylim(0, 1.12 * true.max())  # of all strengths, so that bars can be compared
        order = gap.argsort()
        band = (distilled - bound)[order], (distilled + bound)[order]
        right.fill_between(gap[order], *band, color=GREY, alpha=0.15, label="allowed by eq. (11)")
        right.plot(gap, true, "o-", color=BLUE, label="true, for each strength")
        right.plot(gap, distilled, "s--", color=GREY, markersize=4, label="by the teacher's labels")
        right.axhline(float(best.max()), color="black", linestyle=":", label="best possible")
        ring = {"markersize": 14, "fillstyle": "none", "color": ORANGE, "label": "this student"}
        (here,) = right.plot(gap[:1], true[:1], "o", linestyle="none", **ring)
        right.locator_params(nbins=5)
        right.set(xlabel="teacher gap Delta, eq. (10)", ylabel="worst-class risk (nats)")
        right.set_ylim(0, 1.2 * max(true.max(), distilled.max()))
        legend_above(right, 3)
        return bars, here, figure.suptitle("", fontsize=12)

    def move(self, parts: tuple, result: tuple[Tensor, list[_Student], int]) -> None:
        (bars, here, title), (best, students, chosen) = parts, result
        student = students[chosen]
        worst = int(student.risks.argmax())
        here.set_data([student.gap], [student.risks[worst]])
        title.set_text(
            f"Teacher gap {student.gap:.2f}: true worst-class risk "
            f"{student.risks[worst]:.2f} nats, best possible {best.max():.2f}"
        )
        bars.move(best, student.risks, worst)
