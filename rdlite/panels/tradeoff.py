"""TradeoffPanel: from the average to the worst class on real images, from a shipped table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from rdlite.guards import checks
from rdlite.panels.base import Panel, dropdown, slider, table
from rdlite.panels.drawing import draw_bars, legend_above, move_bars, plain
from rdlite.panels.picture import Update
from rdlite.plots import GREY, ORANGE, PURPLE, TEACHER_WORDS, teacher_style
from rdlite.studies import results
from rdlite.studies.run import Run
from rdlite.studies.spec import NO_TEACHER
from rdlite.studies.table import measure


@dataclass(frozen=True, eq=False)
class _Cell:
    """The students of one objective, teacher and so on: mean and standard error over seeds."""

    average: np.ndarray  # (2,)
    worst: np.ndarray  # (2,), of each run's own worst class
    per_class: np.ndarray  # (2, m)
    multipliers: np.ndarray  # (m,)

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Cell:
        def both(values: np.ndarray) -> np.ndarray:
            error = values.std(0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0 * values[0]
            return np.stack([values.mean(0), error])

        return cls(
            average=both(rows.average.to_numpy()),
            worst=both(rows.worst.to_numpy()),
            per_class=both(np.array(rows.per_class.tolist())),
            multipliers=np.mean(rows.multipliers.tolist(), axis=0),
        )


@dataclass(frozen=True, eq=False)
class _Shown:
    """What one state shows."""

    state: dict
    chosen: _Cell
    standard: _Cell  # the standard student of the same teacher
    frontiers: dict[str, np.ndarray]  # teacher -> (alphas, 2), average and worst
    live: dict | None  # the student that was trained here


class TradeoffPanel(Panel):
    """Average against worst class for every alpha and teacher, with the classes of one cell.

    All points are means over the seeds of a shipped study, on the test set. *Train this one now*
    trains the cell again, live, with a seed that the study has not used.

    Args:
        study: what `rdlite.studies.results.read` gives, or what it takes: the folder of a study, or
            the
            name of one in data/results. Baselines in it are left out.

    Raises:
        ValueError: a study of several tasks, temperatures or learning rates.
        OSError: there is no such study.

    >>> TradeoffPanel().state
    {'alpha': 1.0, 'teacher': 'standard', 'student': 'cnn-16 -> cnn-6', 'heldout_labels': 'teacher'}
    """

    def __init__(self, study: str | results.Results = "tradeoff") -> None:
        self.study = results.read(study) if isinstance(study, (str, Path)) else study
        checks.instance("study", self.study, results.Results, "; see rdlite.studies.results.read")
        runs = results.where(self.study.table, method="fit")
        for name in ("imbalance", "head", "temperature", "learning_rate"):
            values = sorted(set(runs[name]))
            checks.require(
                len(values) == 1,
                f"study must have one {name}, got {values}; a panel shows one task",
            )
        keys = ["teacher_network", "student_network", "teacher", "student", "alpha"]
        self._cells = {  # the alphas; and the standard student, as None
            (*key[:3], None if key[3] == "standard" else key[4], key[5]): _Cell.of(rows)
            for key, rows in runs.groupby([*keys, "heldout_labels"], sort=False)
        }
        self.alphas = sorted({alpha for *_, alpha, _ in self._cells if alpha is not None})
        self.teachers = list(dict.fromkeys(runs.teacher))
        taught = runs[runs.teacher != NO_TEACHER]
        pairs = dict.fromkeys(zip(taught.teacher_network, taught.student_network, strict=True))
        self.pairs = {f"{big} -> {small}": (big, small) for big, small in pairs}
        self.live_seed = int(runs.seed.max()) + 1
        self.trained: dict[Run, dict] = {}
        self._networks: dict[Run, nn.Module] = {}
        pairs = {
            name: f"{small}, taught by {big}" + (" (its like)" if big == small else "")
            for name, (big, small) in self.pairs.items()
        }
        labels = {"teacher": "the teacher's", "one-hot": "one-hot"}
        kinds = [kind for kind in labels if kind in set(taught.heldout_labels)]
        controls = {
            "alpha": slider("alpha", self.alphas, self.alphas[-1]),
            "teacher": dropdown(
                "teacher", {t: TEACHER_WORDS.get(t, t) for t in self.teachers}, self.teachers[1]
            ),
            "student": dropdown("student", pairs, next(iter(pairs))),
            "heldout_labels": dropdown("held-out labels", {k: labels[k] for k in kinds}, "teacher"),
        }
        self.button = widgets.Button(
            description="Train this one now",
            tooltip=f"Train this student, with seed {self.live_seed}",
            layout=widgets.Layout(width="160px"),
        )
        self.button.on_click(lambda _: self.train())
        self.progress = widgets.FloatProgress(
            max=1.0, layout=widgets.Layout(width="240px", visibility="hidden")
        )
        hint = (
            "alpha 0 is the balanced student, alpha 1 the robust one. Points are means over "
            f"{runs.seed.nunique()} seeds."
        )
        actions = [self.button, self.progress]
        super().__init__(controls, size=(980, 420), actions=actions, hint=hint)

    def run(self) -> Run:
        """The run that *Train this one now* trains."""
        state = self.state
        big, small = self.pairs[state["student"]]
        return self.study.spec.cell(
            teacher=state["teacher"],
            student=state["alpha"],
            heldout_labels=state["heldout_labels"],
            seed=self.live_seed,
            teacher_network=big,
            student_network=small,
        )

    def train(self) -> None:
        """Train the chosen cell, its teacher first, and show it beside the table's.

        An error, or an interrupt of the kernel, is shown in the panel.
        """
        run = self.run()
        new_teacher = run.teacher is not None and run.teacher not in self._networks
        each = 1 / (run.config.rounds or run.config.epochs) / (1 + new_teacher)

        def on_round(_row: dict) -> None:
            self.progress.value += each

        self.button.disabled, self.progress.value = True, 0.0
        self.progress.layout.visibility = "visible"
        try:
            if new_teacher:
                self._networks[run.teacher], _ = run.teacher.train(on_round=on_round)
            teacher = self._networks.get(run.teacher)
            net, history = run.train(teacher, on_round=on_round)
            self.trained[run] = measure(run, net, history, teacher)
            self.forget()
            self.refresh()
        except (Exception, KeyboardInterrupt) as error:
            self.show_error(error)
        finally:
            self.button.disabled = False
            self.progress.layout.visibility = "hidden"

    def compute(self, state: dict) -> _Shown:
        """The cell, the standard student of the same teacher, and all frontiers."""

        def cell(teacher: str, alpha: float | None) -> _Cell:
            big, small = self.pairs[state["student"]]
            taught = teacher != NO_TEACHER
            labels = state["heldout_labels"] if taught else "one-hot"
            return self._cells[big if taught else NO_TEACHER, small, teacher, alpha, labels]

        frontiers = {
            teacher: np.array(
                [(c.average[0], c.worst[0]) for c in (cell(teacher, a) for a in self.alphas)]
            )
            for teacher in self.teachers
        }
        return _Shown(
            state=state,
            chosen=cell(state["teacher"], state["alpha"]),
            standard=cell(state["teacher"], None),
            frontiers=frontiers,
            live=self.trained.get(self.run()),
        )

    def render(self, result: _Shown) -> None:
        super().render(result)
        self.controls["heldout_labels"].disabled = result.state["teacher"] == NO_TEACHER

    def describe(self, result: _Shown) -> str:
        chosen, standard, live = result.chosen, result.standard, result.live
        header = ["class", "training images", "accuracy", "standard student", "multiplier"]
        columns = [
            self.study.class_names,
            [f"{count:,}" for count in self.study.class_counts],
            [f"{mean:.3f} ± {error:.3f}" for mean, error in chosen.per_class.T],
            [f"{mean:.3f}" for mean in standard.per_class[0]],
            [f"{value:.3f}" for value in chosen.multipliers],
        ]
        if live:
            header.append(f"trained now (seed {self.live_seed})")
            columns.append([f"{value:.3f}" for value in live["per_class"]])
        text = table(header, list(zip(*columns, strict=True)), int(chosen.per_class[0].argmin()))
        text += (
            "average {:.3f} ± {:.3f}, worst {:.3f} ± {:.3f} (mean over the seeds of each "
            "run's worst class, ± one standard error); "
        ).format(*chosen.average, *chosen.worst)
        text += f"standard student {standard.average[0]:.3f} and {standard.worst[0]:.3f}"
        if live:
            text += f"<br>trained now: average {live['average']:.3f}, worst {live['worst']:.3f}"
        return text

    def scene(self, state: dict) -> int:
        """The axes hold every cell of the table, and what was trained here."""
        return len(self.trained)

    def draw(self, figure: Figure, result: _Shown) -> Update:
        standard, chosen = result.standard.per_class[0], result.chosen.per_class[0]
        plane = figure.add_axes((0.065, 0.125, 0.34, 0.77))
        bars = figure.add_axes((0.475, 0.45, 0.515, 0.38))
        below = figure.add_axes((0.475, 0.16, 0.515, 0.2))
        move_plane = self._draw_plane(plane)
        draw_bars(bars, standard, chosen, ("standard student, same teacher", "this student"), 0)
        (live,) = bars.plot([], [], "D", color=PURPLE, markersize=5, label="trained now")
        legend_above(bars, 3)
        bars.set(ylim=(0, 1), yticks=[0, 0.5, 1], ylabel="accuracy (test)", xticks=[])
        x = np.arange(len(chosen))
        weights = below.bar(x, result.chosen.multipliers, 0.5, color=ORANGE).patches
        highest = max(cell.multipliers.max() for cell in self._cells.values())
        below.set(ylabel="multiplier", xlim=bars.get_xlim(), ylim=(0, 1.05 * highest))
        below.locator_params(axis="y", nbins=3)
        below.set_xticks(x, [plain(name, 11) for name in self.study.class_names], fontsize=8)
        below.set_xlabel("class, from the most to the least frequent")
        title = figure.suptitle("", fontsize=12)

        def update(result: _Shown) -> list[Artist]:
            chosen, standard = result.chosen, result.standard
            worst = int(chosen.per_class[0].argmin())
            for bar, height in zip(weights, chosen.multipliers, strict=True):
                bar.set_height(height)
            live.set_data(*((x + 0.2, result.live["per_class"]) if result.live else ([], [])))
            title.set_text(
                f"alpha {result.state['alpha']:g}: worst class {chosen.worst[0]:.2f} (mostly "
                f"{plain(self.study.class_names[worst])}), average {chosen.average[0]:.2f}; "
                f"standard {standard.worst[0]:.2f} and {standard.average[0]:.2f}"
            )
            moved = move_bars(bars, standard.per_class[0], chosen.per_class[0], worst)
            edges = below.spines.values()
            return [*move_plane(result), *moved, *weights, *edges, live, title]

        update(result)
        return update

    def _draw_plane(self, ax: Axes) -> Update:
        """Average against worst class: a line a teacher, and the students of this state."""
        lines = {teacher: ax.plot([], [], **teacher_style(teacher))[0] for teacher in self.teachers}
        none = {"linestyle": "none"}
        ring = {"markersize": 12, "fillstyle": "none", "color": "black", "label": "this student"}
        (here,) = ax.plot([], [], "o", **none, **ring)
        crosses = [ax.plot([], [], color="black", linewidth=1)[0] for _ in range(2)]
        (cross,) = ax.plot([], [], "X", color=GREY, markersize=8, **none, label="standard student")
        (star,) = ax.plot([], [], "D", color=PURPLE, markersize=7, **none, label="trained now")
        averages = [cell.average[0] for cell in self._cells.values()]
        averages += [run["average"] for run in self.trained.values()]
        ax.set(xlim=(min(averages) - 0.01, max(averages) + 0.01))
        ax.set(ylim=(0, 1), yticks=[0, 0.25, 0.5, 0.75, 1])
        ax.set(xlabel="average accuracy (cut axis)", ylabel="worst-class accuracy")
        ax.locator_params(axis="x", nbins=5)
        ax.legend(loc="upper left", ncols=2, fontsize=8.5, frameon=False, columnspacing=1.2)

        def update(result: _Shown) -> list[Artist]:
            for teacher, points in result.frontiers.items():
                this = teacher == result.state["teacher"]
                lines[teacher].set_data(*points.T)
                lines[teacher].set(linewidth=2.2 if this else 0.9, zorder=2 + this / 2)
                lines[teacher].set(
                    marker=teacher_style(teacher)["marker"] if this else "", markersize=4
                )
            (x, dx), (y, dy) = result.chosen.average, result.chosen.worst
            here.set_data([x], [y])
            crosses[0].set_data([x - dx, x + dx], [y, y])
            crosses[1].set_data([x, x], [y - dy, y + dy])
            cross.set_data(result.standard.average[:1], result.standard.worst[:1])
            live = result.live
            star.set_data(*(([live["average"]], [live["worst"]]) if live else ([], [])))
            return [*lines.values(), here, *crosses, cross, star, *ax.spines.values()]

        return update
