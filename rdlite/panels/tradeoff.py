"""TradeoffPanel: from the average to the worst class on real images, from a shipped table."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from rdlite.guards import checks
from rdlite.panels.base import Panel, dropdown, slider
from rdlite.panels.cells import KEY, Cell, Key, students
from rdlite.panels.drawing import TwoBars, class_table, legend_above, plain
from rdlite.plots import GREY, ORANGE, PURPLE, teacher_style
from rdlite.studies import results
from rdlite.studies.comparison import OURS, Comparison
from rdlite.studies.run import Run
from rdlite.studies.table import NO_TEACHER, measure, settings


class _Shown(NamedTuple):
    """What one state shows."""

    state: dict
    chosen: Cell
    standard: Cell  # the standard student of the same teacher
    frontiers: dict[str, tuple[list[float], list[float]]]  # teacher -> averages, worst
    live: dict | None  # what was trained here, see `rdlite.studies.table.measure`


class TradeoffPanel(Panel):
    """Average against worst class for every alpha and teacher, with the classes of one cell.

    All points are means over the seeds of a shipped study, on the test set. *Train this one now*
    trains the cell again, live, with a seed that the study has not used.

    Args:
        study: what `rdlite.studies.results.read` gives or takes. Baselines in it are left out. Of a
            comparison that is named, the frontiers of its first task are shown, see
            `rdlite.studies.comparison.Comparison.tradeoff`.

    Raises:
        ValueError: a study of several tasks, or of several settings (epochs, temperatures, ...) of
            one teacher; one without the standard student or without any alpha.
        OSError: there is no such study.

    >>> [TradeoffPanel().state[name] for name in ("alpha", "teacher", "student")]
    [1.0, 'standard', 'cnn-32 -> cnn-16']
    """

    def __init__(self, study: str | Path | results.Results = "comparison") -> None:
        if isinstance(study, (str, Path)):
            study = results.read(study)
            if OURS in study.spec.named:
                study = Comparison(study.tasks()[0]).tradeoff
        checks.instance("study", study, results.Results, "; see rdlite.studies.results.read")
        self.study = study
        rows = students(self.study)
        self._cells = {key: Cell.of(own) for key, own in rows.groupby(KEY, sort=False)}
        by_alpha = rows[rows.student != "standard"].sort_values("alpha")
        self._names = dict(zip(by_alpha.alpha, by_alpha.student, strict=True))
        self.alphas, self.teachers = list(self._names), list(dict.fromkeys(rows.teacher))
        self.live_seed = int(rows.seed.max()) + 1
        self.trained: dict[Key, dict] = {}
        self._networks: dict[Run, nn.Module] = {}
        taught = rows[rows.teacher != NO_TEACHER]
        first = rows if taught.empty else taught
        pairs = {
            f"{big} -> {small}": f"{small}, taught by {big}" + " (its like)" * (big == small)
            for big, small in zip(first.teacher_network, first.student_network, strict=True)
        }
        teachers = {name: teacher_style(name)["label"] for name in self.teachers}
        words = {"teacher": "the teacher's", "one-hot": "one-hot"}
        labels = {name: words[name] for name in first.heldout_labels}
        controls = {
            "alpha": slider("alpha", self.alphas, self.alphas[-1]),
            "teacher": dropdown("teacher", teachers, first.teacher.iloc[0]),
            "student": dropdown("student", pairs, next(iter(pairs))),
            "heldout_labels": dropdown("held-out labels", labels, next(iter(labels))),
        }
        self.button = widgets.Button(
            description="Train this one now",
            tooltip=f"Train this student, with seed {self.live_seed}",
            layout=widgets.Layout(width="160px"),
        )
        self.button.on_click(lambda _: self.train())
        hidden = widgets.Layout(width="240px", visibility="hidden")
        self.progress = widgets.FloatProgress(max=1.0, layout=hidden)
        seeds = rows.seed.nunique()
        hint = f"alpha 0 is the balanced student, alpha 1 the robust one; means over {seeds} seeds."
        actions = [self.button, self.progress]
        super().__init__(controls, size=(980, 420), actions=actions, hint=hint)

    @property
    def live_run(self) -> Run:
        """What *Train this one now* trains: the study's run of this state, with another seed.

        Raises:
            ValueError: the study's spec has no such run.
        """
        key = self._key(self.state)
        rows = results.where(self.study.table, method="fit", **dict(zip(KEY, key, strict=True)))
        for run in self.study.spec.but(seed=self.live_seed).runs():
            asked = {name: value for name, value in settings(run).items() if name != "seed"}
            if len(results.where(rows, **asked)):
                return run
        raise ValueError(f"study must have a run of {', '.join(key)} in its spec, got none")

    def train(self) -> None:
        """Train the chosen cell, its teacher first; an error or interrupt shows in the panel."""
        self.button.disabled, self.progress.value = True, 0.0
        self.progress.layout.visibility = "visible"
        try:
            run = self.live_run
            new_teacher = run.teacher is not None and run.teacher not in self._networks
            asked = [run.teacher.config, run.config] if new_teacher else [run.config]
            each = 1 / sum(config.rounds or config.epochs for config in asked)

            def on_round(_row: dict) -> None:
                self.progress.value += each

            if new_teacher:
                self._networks[run.teacher], _ = run.teacher.train(on_round=on_round)
            teacher = self._networks.get(run.teacher)
            net, history = run.train(teacher, on_round=on_round)
            self.trained[self._key(self.state)] = measure(run, net, history, teacher)
            self.forget()
            self.refresh()
        except (Exception, KeyboardInterrupt) as error:
            self.show_error(error)
        finally:
            self.button.disabled = False
            self.progress.layout.visibility = "hidden"

    def _key(self, state: dict, **other: str) -> Key:
        """Which cell a state shows, or another teacher's or student's in its place."""
        big, small = state["student"].split(" -> ")
        chosen = {"teacher": state["teacher"], "student": self._names[state["alpha"]]} | other
        alone = chosen["teacher"] == NO_TEACHER
        labels = "one-hot" if alone else state["heldout_labels"]
        return NO_TEACHER if alone else big, small, *chosen.values(), labels

    def compute(self, state: dict) -> _Shown:
        """The cell, the standard student of the same teacher, and all frontiers."""
        key, standard = self._key(state), self._key(state, student="standard")
        for one in (key, standard):
            checks.require(one in self._cells, f"study must have {', '.join(one)}, got no such run")
        lines = {}
        for teacher in self.teachers:
            keys = [self._key(state, teacher=teacher, student=n) for n in self._names.values()]
            cells = [self._cells[one] for one in keys if one in self._cells]
            lines[teacher] = [c.average[0] for c in cells], [c.worst[0] for c in cells]
        return _Shown(state, self._cells[key], self._cells[standard], lines, self.trained.get(key))

    def render(self, result: _Shown) -> None:
        super().render(result)
        self.controls["heldout_labels"].disabled = result.state["teacher"] == NO_TEACHER

    def describe(self, result: _Shown) -> str:
        chosen, standard, live = result.chosen, result.standard, result.live
        columns = {
            "class": self.study.class_names,
            "training images": self.study.class_counts,
            "accuracy": [f"{mean:.3f} ± {error:.3f}" for mean, error in chosen.per_class.T],
            "standard student": standard.per_class[0],
            "multiplier": chosen.multipliers,
        }
        if live:
            columns[f"trained now (seed {self.live_seed})"] = live["per_class"]
        average, worst = (f"{mean:.3f} ± {error:.3f}" for mean, error in chosen[:2])
        text = class_table(columns, int(chosen.per_class[0].argmin())) + (
            f"average {average}, worst {worst} (mean over the seeds of each run's worst class, "
            f"± one standard error); standard student {standard.average[0]:.3f} and "
            f"{standard.worst[0]:.3f}"
        )
        if live:
            text += f"<br>trained now: average {live['average']:.3f}, worst {live['worst']:.3f}"
        return text

    def draw(self, figure: Figure, result: _Shown) -> tuple:
        """The axes hold every cell of the table, and what was trained here."""
        cells, m = self._cells.values(), len(self.study.class_names)
        averages = [cell.average[0] for cell in cells]
        averages += [run["average"] for run in self.trained.values()]
        frontiers = Frontiers(figure.add_axes((0.065, 0.125, 0.34, 0.77)), self.teachers, averages)
        ax = figure.add_axes((0.475, 0.45, 0.515, 0.38))
        bars = TwoBars(ax, m, ("standard student, same teacher", "this student"))
        (live,) = ax.plot([], [], "P", color=PURPLE, markersize=5, label="trained now")
        legend_above(ax, 3)
        ax.set(ylabel="accuracy (test)", xticks=[])
        below = figure.add_axes((0.475, 0.16, 0.515, 0.2))
        below.bar(range(m), 1, 0.5, color=ORANGE)
        highest = max(cell.multipliers.max() for cell in cells)
        below.set(ylabel="multiplier", xlim=ax.get_xlim(), ylim=(0, 1.05 * highest))
        below.set(xlabel="class, from the most to the least frequent")
        below.locator_params(axis="y", nbins=3)
        below.set_xticks(range(m), [plain(name, 11) for name in self.study.class_names], fontsize=8)
        return frontiers, bars, live, below, figure.suptitle("", fontsize=12)

    def move(self, parts: tuple, result: _Shown) -> None:
        frontiers, bars, live, below, title = parts
        chosen, standard = result.chosen, result.standard
        worst = int(chosen.per_class[0].argmin())
        for bar, height in zip(below.patches, chosen.multipliers, strict=True):
            bar.set_height(height)
        trained = result.live["per_class"] if result.live else []
        live.set_data(np.arange(len(trained)) + 0.2, trained)
        title.set_text(
            f"alpha {result.state['alpha']:g}: worst class {chosen.worst[0]:.2f} (mostly "
            f"{plain(self.study.class_names[worst])}), average {chosen.average[0]:.2f}; "
            f"standard {standard.worst[0]:.2f} and {standard.average[0]:.2f}"
        )
        bars.move(standard.per_class[0], chosen.per_class[0], worst)
        frontiers.move(result)


class Frontiers:
    """Average against worst class, in axes for ``averages``: a line a teacher, and one state."""

    def __init__(self, ax: Axes, teachers: list[str], averages: list[float]) -> None:
        styles = {teacher: teacher_style(teacher, marker="") for teacher in teachers}
        self.lines = {teacher: ax.plot([], [], **style)[0] for teacher, style in styles.items()}
        ring = {"markersize": 12, "fillstyle": "none", "color": "black", "label": "this student"}
        (self.here,) = ax.plot([], [], "o", **ring)
        (self.errors,) = ax.plot([], [], color="black", linewidth=1)
        (self.standard,) = ax.plot([], [], "X", color=GREY, markersize=8, label="standard student")
        (self.live,) = ax.plot([], [], "P", color=PURPLE, markersize=8, label="trained now")
        ax.set(xlim=(min(averages) - 0.01, max(averages) + 0.01))
        ax.set(ylim=(0, 1), yticks=[0, 0.25, 0.5, 0.75, 1])
        ax.set(xlabel="average accuracy (cut axis)", ylabel="worst-class accuracy")
        ax.locator_params(axis="x", nbins=5)
        ax.legend(loc="upper left", ncols=2, fontsize=8.5, frameon=False, columnspacing=1.2)

    def move(self, result: _Shown) -> None:
        """Show another state: its teacher's line is bold, its students are marked."""
        for teacher, line in self.lines.items():
            this = teacher == result.state["teacher"]
            line.set_data(*result.frontiers[teacher])
            line.set(linewidth=2.2 if this else 0.9, zorder=2 + this / 2)
            line.set(marker=teacher_style(teacher)["marker"] if this else "", markersize=4)
        (x, dx), (y, dy) = result.chosen.average, result.chosen.worst
        self.here.set_data([x], [y])
        self.errors.set_data([x - dx, x + dx, np.nan, x, x], [y, y, np.nan, y - dy, y + dy])
        self.standard.set_data(result.standard.average[:1], result.standard.worst[:1])
        live = [result.live] if result.live else []
        self.live.set_data([run["average"] for run in live], [run["worst"] for run in live])
