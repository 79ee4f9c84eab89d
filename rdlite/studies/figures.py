"""Figures of studies, for notebooks, demo and report: an axes in (by default new), the same out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor

from rdlite.guards import files
from rdlite.plots import (
    GREY,
    MEASURES,
    SERIES,
    STUDENT_MARKERS,
    axes,
    plain,
    teacher_style,
)
from rdlite.studies.claims import robust_students
from rdlite.studies.comparison import OURS, POINT, Comparison, Estimate
from rdlite.studies.results import cell_statistics


def save(file: Path, size: tuple[float, float], dpi: int, draw: Callable[[Axes], object]) -> Path:
    """Write what ``draw`` draws on an axes of ``size`` inches as a PNG, whole or not at all."""
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    with files.whole(file) as whole:
        figure.savefig(whole, dpi=dpi, format="png")
    return file


def grid(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Average against worst-class accuracy, one marker a cell of the grid.

    Args:
        table: rows of `rdlite.studies.run_grid`; cells are averaged over seeds, with bars of one
            standard error where there is more than one. Open markers: the held-out labels of
            eq. (6) were one-hot.
    """
    ax, cells = axes(ax, 6.4, 5.2), cell_statistics(table)
    for cell in cells.itertuples():
        one_hot = cell.heldout_labels == "one-hot"
        look = {"fillstyle": "none", "zorder": 3} if one_hot else {"zorder": 2}
        look |= {"marker": STUDENT_MARKERS.get(cell.student, "."), "markersize": 9}
        look |= {"color": teacher_style(cell.teacher)["color"], "elinewidth": 0.8}
        bars = {"xerr": cell.average_error, "yerr": cell.worst_error}
        ax.errorbar(cell.average, cell.worst, **bars, **look)
    taught = map(teacher_style, dict.fromkeys(cells.teacher))
    handles = [Patch(color=style["color"], label=style["label"]) for style in taught]
    for name in (name for name in STUDENT_MARKERS if name in set(cells.student)):
        look = {"color": "black", "marker": STUDENT_MARKERS[name], "linestyle": "none"}
        handles.append(Line2D([], [], label=f"{name} student", **look))
    ax.legend(handles=handles, loc="upper left", frameon=False)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    ax.annotate("all classes equal", (0.36, 0.37), color=GREY, rotation=38, fontsize=8, ha="center")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="average accuracy (test set, mean over classes)")
    ax.set_ylabel("worst-class accuracy")
    return ax


def _of_alphas(table: pd.DataFrame) -> pd.DataFrame:
    """Cells by alpha, without the standard students, because their anchor is another."""
    return cell_statistics(table[table.student != "standard"]).sort_values("alpha")


def against_alpha(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Average and worst-class accuracy over alpha, with one standard error over seeds.

    Args:
        table: rows of `rdlite.studies.table.frame` of one teacher, a few alphas; the standard
            students are left out.
    """
    ax, cells = axes(ax, 6.4, 4.0), _of_alphas(table)
    for measure, style in MEASURES.items():
        ax.errorbar(cells.alpha, cells[measure], cells[f"{measure}_error"], **style)
    ax.set(xlabel="alpha: 0 balanced, 1 robust", ylabel="accuracy (test set)", ylim=(0, 1))
    ax.legend(frameon=False, loc="lower right")
    return ax


def frontiers(tables: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Average against worst class of every alpha, a line for each table, which ends in alpha 1.

    The horizontal axis is cut, because the averages lie close together. Strokes are one standard
    error of the worst class over seeds.

    Args:
        tables: name -> rows as in `against_alpha`, of one teacher each; a second table of the same
            teacher gets another look.
    """
    ax, seen = axes(ax, 6.8, 5.0), set()
    for name, cells in ((name, _of_alphas(table)) for name, table in tables.items()):
        teacher = cells.teacher.iloc[0]
        style = teacher_style("another" if teacher in seen else teacher, label=plain(name))
        _frontier(ax, cells.average, cells.worst, cells.worst_error, style)
        ring = {"marker": "o", "fillstyle": "none", "markersize": 13, "color": style["color"]}
        ax.plot(*cells[POINT].iloc[-1], **ring)
        seen.add(teacher)
    ax.set_ylim(0, 1)
    ax.plot([], [], "o", fillstyle="none", markersize=11, color="black", label="alpha 1")
    ax.legend(frameon=False, loc="lower left")
    return ax


def _frontier(ax: Axes, average: Sequence, worst: Sequence, error: Sequence, style: dict) -> None:
    ax.errorbar(average, worst, error, markersize=4, linewidth=1.2, elinewidth=0.6, **style)
    ax.set(xlabel="average accuracy (test set; cut axis)", ylabel="worst-class accuracy")


def methods(task: Comparison, ax: Axes | None = None) -> Axes:
    """Average against worst class: every alpha of each teacher, and the other methods by number.

    Strokes are 95 % intervals of the worst class over seeds. The horizontal axis is cut.
    """
    ax = axes(ax, 9.6, 5.4)
    for teacher in task.lines:
        seeds, style = task.frontier(teacher), teacher_style(teacher)
        style |= {"label": f"every alpha, {style['label']}"}
        _frontier(ax, *seeds.mean(0).T, _strokes(seeds[..., 1]), style)
    seeds = {name: task.methods[name][POINT].to_numpy() for name in task.baselines}
    for number, (name, rows) in enumerate(seeds.items(), 1):
        (x, y), error = rows.mean(0), _strokes(rows[:, 1:])
        ax.errorbar(x, y, error, fmt="none", ecolor=GREY, elinewidth=0.6)
        ax.plot(x, y, linestyle="none", label=f"{number}  {name}")
    low, high = ax.get_xlim()
    for numbers, (x, y) in _marks([rows.mean(0) for rows in seeds.values()], high - low):
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "linewidth": 0.8}
        text = ", ".join(map(str, numbers))
        ax.annotate(text, (x, y), ha="center", va="center", bbox=box, size=8)
    color = teacher_style(task.teacher)["color"]
    star = {"color": color, "markersize": 14, "linestyle": "none"}
    ax.plot(*task.methods[OURS][POINT].mean(), "*", label=f"{OURS}, as chosen", **star)
    ax.set_ylim(-0.04, 1)
    ax.figure.legend(frameon=False, loc="outside right upper", fontsize=8)
    return ax


def _marks(points: list[np.ndarray], width: float) -> list[tuple[list[int], np.ndarray]]:
    """Numbers from 1 on, and where to write them; points that would overlap share the first's."""
    marks: list[tuple[list[int], np.ndarray]] = []
    reach = np.array([0.035 * width, 0.045])
    for number, point in enumerate(points, 1):
        near = [numbers for numbers, at in marks if (abs(at - point) < reach).all()]
        if near:
            near[0].append(number)
        else:
            marks.append(([number], point))
    return marks


def _strokes(seeds: np.ndarray) -> np.ndarray:
    """(2, k): from the means of (seeds, k) down and up to the ends of their intervals."""
    estimates = map(Estimate.of, seeds.T)
    return np.array([[e.mean - e.low, e.high - e.mean] for e in estimates]).T


def leads(task: Comparison, ax: Axes | None = None) -> Axes:
    """Robust distillation minus each baseline, worst class and average, with 95 % intervals."""
    ax = axes(ax, 8.4, 4.8)
    names = sorted(task.baselines, key=lambda name: task.lead(name).mean())
    for shift, measure in ((0.15, "worst"), (-0.15, "average")):
        seeds = np.stack([task.lead(name, measure) for name in names], 1)
        look = MEASURES[measure] | {"linestyle": "none"}
        ax.errorbar(seeds.mean(0), np.arange(len(names)) + shift, xerr=_strokes(seeds), **look)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_xlabel(f"{OURS} minus the method (accuracy, test set)")
    ax.legend(frameon=False, loc="lower right")
    return ax


def calibration(task: Comparison, ax: Axes | None = None) -> Axes:
    """Teacher's calibration error against the robust student's loss, a point a teacher and seed.

    Lines join the teachers of a seed; the smaller teachers' markers are open.
    """
    ax, rows = axes(ax, 4.8, 4.0), robust_students(task)
    for _, seed in rows.groupby("seed"):
        ordered = seed.sort_values("teacher_calibration")
        ax.plot(ordered.teacher_calibration, ordered.robust_loss, color=GREY, linewidth=0.4)
    for (network, teacher), own in rows.groupby(["teacher_network", "teacher"], sort=False):
        large = network == task.first["teacher_network"]
        look = {"linestyle": "none", "fillstyle": "full" if large else "none"}
        style = teacher_style(teacher, **look, label=f"{teacher} {network}")
        ax.plot(own.teacher_calibration, own.robust_loss, **style)
    ax.set(xlabel="teacher's calibration error per class", ylabel="student's robust loss (nats)")
    ax.set_title(task.title, fontsize=8)
    ax.legend(frameon=False, fontsize=7, title="teacher", title_fontsize=7)
    return ax


def estimates(
    truth: Sequence[float],
    draws: Mapping[str, Tensor],
    class_names: Sequence[str],
    counts: Sequence[int],
    ax: Axes | None = None,
) -> Axes:
    """How far a few estimators of the class risks scatter around the true ones.

    Args:
        truth: (m,) nats, a black stroke a class.
        draws: name -> (draws, m) nats; the mark is the mean, the bar holds nine draws of ten.
        class_names: m names.
        counts: (m,) images that an estimate is made from, written under the names.
    """
    ax, x = axes(ax, 8.6, 4.0), np.arange(len(class_names))
    ax.hlines(truth, x - 0.35, x + 0.35, color="black", label="true")
    for i, ((name, values), style) in enumerate(zip(draws.items(), SERIES[1:], strict=False)):
        at, values = x + 0.3 * (i - (len(draws) - 1) / 2), np.asarray(values)
        low, high = np.quantile(values, [0.05, 0.95], axis=0)
        ax.vlines(at, low, high, color=style["color"], linewidth=2)
        ax.plot(at, values.mean(0), **style | {"linestyle": "none", "label": plain(name)})
    names = [f"{plain(name)}\n{int(n):,}" for name, n in zip(class_names, counts, strict=True)]
    ax.set_xticks(x, names, fontsize=8)
    ax.set(ylabel="class risk (nats)", xlabel="class and its number of held-out images")
    ax.margins(y=0.16)  # room for the legend
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, ncols=1 + len(draws), loc="upper left")
    return ax
