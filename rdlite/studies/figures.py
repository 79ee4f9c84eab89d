"""Figures of the tradeoff between average and worst class, notebook 03: ax in, ax out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor

from rdlite.plots import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    STUDENT_MARKERS,
    TEACHER_COLOURS,
    TEACHER_WORDS,
    plain,
)
from rdlite.studies.results import cell_statistics

STYLES = ((GREY, ":D"), (BLUE, "-o"), (GREEN, "-.^"), (ORANGE, "--s"), (PURPLE, "-v"))


def grid(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Average against worst-class accuracy, one marker a cell of the grid.

    Args:
        table: rows of `rdlite.studies.run_grid`; cells are averaged over seeds, with bars of one
            standard error where there is more than one. Open markers: the held-out labels of
            eq. (6) were one-hot.
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(6.4, 5.2), layout="constrained")[1]
    cells = cell_statistics(table)
    for cell in cells.itertuples():
        ax.errorbar(
            cell.average,
            cell.worst,
            xerr=cell.average_error,
            yerr=cell.worst_error,
            color=TEACHER_COLOURS[cell.teacher],
            marker=STUDENT_MARKERS[cell.student],
            fillstyle="none" if cell.heldout_labels == "one-hot" else "full",
            zorder=3 if cell.heldout_labels == "one-hot" else 2,
            markersize=9,
            elinewidth=0.8,
            linestyle="none",
        )
    handles = [
        plt.Line2D([], [], color=colour, marker="D", linestyle="none", label=TEACHER_WORDS[name])
        for name, colour in TEACHER_COLOURS.items()
        if name in set(cells.teacher)
    ]
    handles += [
        plt.Line2D([], [], color="black", marker=marker, linestyle="none", label=f"{name} student")
        for name, marker in STUDENT_MARKERS.items()
        if name in set(cells.student)
    ]
    ax.legend(handles=handles, loc="upper left", frameon=False)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    ax.annotate("all classes equal", (0.36, 0.37), color=GREY, rotation=38, fontsize=8, ha="center")
    ax.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="average accuracy (test set, mean over classes)",
        ylabel="worst-class accuracy",
    )
    return ax


def against_alpha(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Average and worst-class accuracy over alpha, with one standard error over seeds.

    Args:
        table: rows of `rdlite.studies.table.frame` of one teacher, a few alphas; the standard
            students are left out, because their anchor is another.
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(6.4, 4.0), layout="constrained")[1]
    cells = _frontier(table)
    for name, (colour, style) in zip(("average", "worst"), STYLES[1::2], strict=True):
        error = cells[f"{name}_error"]
        words = {"average": "average", "worst": "worst class"}[name]
        ax.errorbar(cells.alpha, cells[name], error, fmt=style, color=colour, label=words)
    ax.set(xlabel="alpha: 0 balanced, 1 robust", ylabel="accuracy (test set)", ylim=(0, 1))
    ax.legend(frameon=False, loc="lower right")
    return ax


def frontiers(tables: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Average against worst class of every alpha, a line for each table, which ends in alpha 1.

    The horizontal axis is cut, because the averages lie close together. Strokes are one standard
    error of the worst class over seeds.

    Args:
        tables: name -> rows of `rdlite.studies.table.frame`, as in `against_alpha`.
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(6.8, 5.0), layout="constrained")[1]
    for (name, table), (colour, style) in zip(tables.items(), STYLES, strict=False):
        cells = _frontier(table)
        how = {"color": colour, "label": name, "markersize": 4, "elinewidth": 0.7}
        ax.errorbar(cells.average, cells.worst, cells.worst_error, fmt=style, **how)
        last = cells.iloc[-1]
        ax.plot(last.average, last.worst, "o", fillstyle="none", markersize=13, color=colour)
    ax.set(ylim=(0, 1), xlabel="average accuracy (test set; cut axis)")
    ax.set_ylabel("worst-class accuracy")
    ax.plot([], [], "o", fillstyle="none", markersize=11, color="black", label="alpha 1")
    ax.legend(frameon=False, loc="lower left")
    return ax


def _frontier(table: pd.DataFrame) -> pd.DataFrame:
    return cell_statistics(table[table.student != "standard"]).sort_values("alpha")


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
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(8.6, 4.0), layout="constrained")[1]
    x = np.arange(len(class_names))
    ax.hlines(truth, x - 0.35, x + 0.35, color="black", label="true")
    for i, (name, values) in enumerate(draws.items()):
        values, (colour, style) = np.asarray(values), STYLES[2 * i + 1]
        at = x + (i - (len(draws) - 1) / 2) * 0.3
        low, high = np.quantile(values, [0.05, 0.95], axis=0)
        ax.vlines(at, low, high, color=colour, linewidth=2)
        ax.plot(at, values.mean(0), style[-1], color=colour, label=name)
    names = [f"{plain(name)}\n{int(n):,}" for name, n in zip(class_names, counts, strict=True)]
    ax.set_xticks(x, names, fontsize=8)
    ax.set(ylabel="class risk (nats)", xlabel="class and its number of held-out images")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, ncols=1 + len(draws), loc="upper left")
    return ax
