"""Figures of the comparison, notebook 05 and the report: ax in, ax out."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from rdlite.plots import BLUE, GREY, ORANGE, TEACHER_COLOURS, TEACHER_WORDS
from rdlite.studies.claims import robust_students
from rdlite.studies.comparison import OURS, POINT, Comparison, Estimate

STYLES = dict(zip(TEACHER_COLOURS, (":D", "-o", "-.^", "--s"), strict=True))


def frontiers(task: Comparison, ax: Axes | None = None) -> Axes:
    """Average against worst class: every alpha of each teacher, and the other methods by number.

    Strokes are 95 % intervals of the worst class over seeds. The horizontal axis is cut.

    Args:
        task: what to draw.
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(9.6, 5.4), layout="constrained")[1]
    for teacher in (name for name in TEACHER_COLOURS if name in set(task.study.table.teacher)):
        seeds = task.frontier(teacher)
        how = {"color": TEACHER_COLOURS[teacher], "markersize": 4, "linewidth": 0.9}
        how |= {"label": f"every alpha, {TEACHER_WORDS[teacher]}"}
        ax.errorbar(*seeds.mean(0).T, _strokes(seeds), fmt=STYLES[teacher], elinewidth=0.6, **how)
    seeds = {name: task.methods[name][POINT].to_numpy()[:, None] for name in task.baselines}
    for number, (name, rows) in enumerate(seeds.items(), 1):
        x, y = rows.mean(0)[0]
        ax.errorbar(x, y, _strokes(rows), fmt="none", ecolor=GREY, elinewidth=0.6)
        ax.plot([], [], linestyle="none", label=f"{number}  {name}")
    low, high = ax.get_xlim()
    for numbers, (x, y) in _marks([rows.mean(0)[0] for rows in seeds.values()], high - low):
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "linewidth": 0.8}
        text = ", ".join(map(str, numbers))
        ax.annotate(text, (x, y), ha="center", va="center", bbox=box, size=8)
    ours = task.methods[OURS][POINT].mean()
    ax.plot(*ours, "*", color=BLUE, markersize=14, label=f"{OURS}, as chosen", linestyle="none")
    ax.set(ylim=(-0.04, 1), xlabel="average accuracy (test set; cut axis)")
    ax.set_ylabel("worst-class accuracy")
    ax.figure.legend(frameon=False, loc="outside right upper", fontsize=8)
    return ax


def _marks(points: list[np.ndarray], width: float) -> list[tuple[list[int], np.ndarray]]:
    """Numbers from 1 on, and where to write them; points that would overlap share the first's."""
    marks: list[tuple[list[int], np.ndarray]] = []
    reach = np.array([0.035 * width, 0.045])
    for number, point in enumerate(points, 1):
        near = [mark for mark in marks if (abs(mark[1] - point) < reach).all()]
        if near:
            near[0][0].append(number)
        else:
            marks.append(([number], point))
    return marks


def _strokes(seeds: np.ndarray) -> np.ndarray:
    """(2, students): from the mean worst class of (seeds, students, 2) down and up."""
    estimates = [Estimate.of(worst) for worst in seeds[..., 1].T]
    return np.array([[e.mean - e.low, e.high - e.mean] for e in estimates]).T


def leads(task: Comparison, ax: Axes | None = None) -> Axes:
    """Robust distillation minus each baseline, worst class and average, with 95 % intervals.

    Args:
        task: what to draw.
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(8.4, 4.8), layout="constrained")[1]
    names = sorted(task.baselines, key=lambda name: task.lead(name).mean())
    for shift, column, marker, colour in (
        (0.15, "worst", "o", ORANGE),
        (-0.15, "average", "s", GREY),
    ):
        estimates = [Estimate.of(task.lead(name, column)) for name in names]
        at = np.arange(len(names)) + shift
        ax.hlines(at, [e.low for e in estimates], [e.high for e in estimates], color=colour)
        words = {"worst": "worst class", "average": "average"}[column]
        ax.plot([e.mean for e in estimates], at, marker, color=colour, label=words)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_xlabel(f"{OURS} minus the method (accuracy, test set)")
    ax.legend(frameon=False, loc="lower right")
    return ax


def calibration(task: Comparison, ax: Axes | None = None) -> Axes:
    """Teacher's calibration error against the robust student's loss, a point a teacher and seed.

    Args:
        task: what to draw; the lines join the teachers of a seed.
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(4.8, 4.0), layout="constrained")[1]
    rows = robust_students(task)
    for _, seed in rows.groupby("seed"):
        ordered = seed.sort_values("teacher_calibration")
        ax.plot(ordered.teacher_calibration, ordered.robust_loss, color=GREY, linewidth=0.4)
    markers = dict(zip(("standard", "balanced", "robust"), "o^s", strict=True))
    for (network, teacher), own in rows.groupby(["teacher_network", "teacher"], sort=False):
        large = network == task.study.spec.first["teacher_network"]
        how = {"color": TEACHER_COLOURS[teacher], "linestyle": "none", "markersize": 6}
        how |= {"marker": markers[teacher], "fillstyle": "full" if large else "none"}
        ax.plot(own.teacher_calibration, own.robust_loss, label=f"{teacher} {network}", **how)
    ax.set(xlabel="teacher's calibration error per class", ylabel="student's robust loss (nats)")
    ax.set_title(task.title, fontsize=8)
    ax.legend(frameon=False, fontsize=7, title="teacher", title_fontsize=7)
    return ax
