"""Figures: an axes in, the same axes out. Colour-blind safe; marker and line style differ too.

Accuracy axes run from 0 to 1; the worst class is marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from rdlite.guards import checks

# Okabe and Ito's palette, safe for colour-blind readers
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY = "#555555"
TEACHER_STYLES = {  # how every figure draws a teacher's line and points
    "none": {"color": GREY, "marker": "D", "linestyle": ":"},
    "standard": {"color": BLUE, "marker": "o", "linestyle": "-"},
    "balanced": {"color": GREEN, "marker": "s", "linestyle": "--"},
    "robust": {"color": ORANGE, "marker": "^", "linestyle": "-."},
}
OTHER_TEACHER = {"color": PURPLE, "marker": "v", "linestyle": "-"}  # trained for another alpha
TEACHER_WORDS = {name: f"{name} teacher" for name in TEACHER_STYLES} | {"none": "no teacher"}
TEACHER_COLOURS = {name: style["color"] for name, style in TEACHER_STYLES.items()}
STUDENT_MARKERS = {"standard": "o", "balanced": "s", "robust": "^"}


def plain(name: object) -> str:
    """A name for a figure: a dollar in it does not start a formula.

    >>> plain("$5")
    '\\\\$5'
    """
    return str(name).replace("$", r"\$")


def class_bars(
    accuracies: Mapping[str, Sequence[Sequence[float]]],
    class_names: Sequence[str],
    class_counts: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Accuracy per class of a few models side by side; a star marks each model's lowest bar.

    The legend's worst is the mean over runs of each run's worst class, as in every table. It lies
    below the lowest bar where the runs differ in which class that is.

    Args:
        accuracies: model name -> (runs, m) fractions; bars are means, with one standard error.
        class_names: m names.
        class_counts: (m,) training images, written under the names.
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(9.0, 4.4), layout="constrained")[1]
    positions = np.arange(len(class_names))
    width = 0.8 / len(accuracies)
    styles = zip((GREY, BLUE, ORANGE, GREEN, PURPLE), ("//", "", "..", "xx", "\\\\"), strict=True)
    for i, ((name, runs), (colour, hatch)) in enumerate(
        zip(accuracies.items(), styles, strict=False)
    ):
        runs = np.atleast_2d(runs)
        checks.require(
            runs.shape[1] == len(class_names),
            f"accuracies must have {len(class_names)} classes, got {runs.shape[1]} for {name!r}",
        )
        mean = runs.mean(0)
        error = runs.std(0, ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else None
        x = positions + (i - (len(accuracies) - 1) / 2) * width
        lowest = int(mean.argmin())
        ax.bar(
            x,
            mean,
            width,
            yerr=error,
            color=colour,
            edgecolor="white",
            hatch=hatch,
            label=f"{plain(name)}: average {mean.mean():.2f}, worst {runs.min(1).mean():.2f}",
            error_kw={"elinewidth": 0.8},
        )
        above = mean[lowest] + (0 if error is None else error[lowest]) + 0.02
        ax.text(x[lowest], above, "★", ha="center", color=colour, fontsize=11)
    labels = [plain(name) for name in class_names]
    if class_counts is not None:
        labels = [f"{c}\n{int(n):,}" for c, n in zip(labels, class_counts, strict=True)]
        ax.set_xlabel("class and its number of training images")
    ax.set_xticks(positions, labels, fontsize=8)
    ax.set(ylim=(0, 1.0), ylabel="accuracy (test set)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return ax


def class_curves(
    values: np.ndarray, class_names: Sequence[str], *, ylabel: str, ax: Axes | None = None
) -> Axes:
    """One line a class over the rounds, such as `History.multipliers` or `History.risks`.

    Args:
        values: (K, m), a row a round.
        class_names: m names.
        ylabel: what the values are, with their unit.
        ax: where to draw; by default a new figure.
    """
    ax = ax or plt.subplots(figsize=(6.4, 4.0), layout="constrained")[1]
    values = np.asarray(values)
    checks.require(
        values.ndim == 2 and values.shape[1] == len(class_names),
        f"values must have shape (K, {len(class_names)}), a column a class, got {values.shape}",
    )
    styles = ("-", "--", "-.", ":")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, values.shape[1]))
    for k, name in enumerate(class_names):
        rounds = np.arange(1, len(values) + 1)
        ax.plot(rounds, values[:, k], styles[k % 4], color=colours[k], label=plain(name))
    ax.set(xlabel="round", ylabel=ylabel, xlim=(1, max(2, len(values))))
    ax.legend(fontsize=8, ncols=2, frameon=False)
    return ax
