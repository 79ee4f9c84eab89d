"""Figures: an axes in (by default new), the same axes out.

Accuracy axes run from 0 to 1; the worst class is marked. Safe for colour-blind readers: marker and
dashes differ, too. The tables of looks below are those of every figure of rdlite.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from rdlite.guards import checks

if TYPE_CHECKING:
    from torch import Tensor

    from rdlite.data import Split

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito's
GREY = "#555555"
TEACHER_STYLES = {  # and the objectives that teachers are named after
    "none": {"color": GREY, "marker": "D", "linestyle": ":"},
    "standard": {"color": BLUE, "marker": "o", "linestyle": "-"},
    "balanced": {"color": GREEN, "marker": "s", "linestyle": "--"},
    "robust": {"color": ORANGE, "marker": "^", "linestyle": "-."},
}
OTHER_TEACHER = {"color": PURPLE, "marker": "v", "linestyle": "-"}  # trained for another alpha
TEACHER_WORDS = {name: f"{name} teacher" for name in TEACHER_STYLES} | {"none": "no teacher"}
STUDENT_MARKERS = {"standard": "o", "balanced": "s", "robust": "^"}
MEASURES = {
    "average": {"color": BLUE, "marker": "o", "linestyle": "-", "label": "average"},
    "worst": {"color": ORANGE, "marker": "v", "linestyle": "--", "label": "worst class"},
}
SERIES = (  # whatever else is drawn side by side; what is compared with comes first
    {"color": GREY, "marker": "D", "linestyle": ":"},
    {"color": BLUE, "marker": "o", "linestyle": "--"},
    {"color": ORANGE, "marker": "s", "linestyle": "-"},
    {"color": GREEN, "marker": "^", "linestyle": "-."},
    {"color": PURPLE, "marker": "v", "linestyle": (0, (8, 2))},
)
HATCHES = {":": "//", "--": "", "-": "..", "-.": "xx", (0, (8, 2)): "\\\\"}  # of bars, by dashes
Named = Mapping[str, Sequence[float]]


def plain(name: object) -> str:
    """A name for a figure: a dollar in it does not start a formula.

    >>> plain("$5")
    '\\\\$5'
    """
    return str(name).replace("$", r"\$")


def axes(ax: Axes | None, width: float = 6.4, height: float = 4.2) -> Axes:
    """``ax``, or where that is None the axes of a new figure, in inches."""
    return ax or plt.subplots(figsize=(width, height), layout="constrained")[1]


def teacher_style(name: str, **more: object) -> dict[str, object]:
    """Keywords of a teacher's line: colour, marker, dashes and label, and ``more`` of them."""
    label = TEACHER_WORDS.get(name, f"{plain(name)} teacher")
    return TEACHER_STYLES.get(name, OTHER_TEACHER) | {"label": label} | more


def _styles(names: Collection[str]) -> Sequence[dict]:
    """A style a name: of teachers if all of them are, of `SERIES`, or of many names in shades."""
    if set(names) <= set(TEACHER_STYLES):
        return [TEACHER_STYLES[name] for name in names]
    if len(names) <= len(SERIES):
        return SERIES[: len(names)]
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(names)))
    return [look | {"color": shade} for look, shade in zip(cycle(SERIES), shades, strict=False)]


def class_bars(
    accuracies: Mapping[str, Sequence[Sequence[float]]],
    class_names: Sequence[str],
    class_counts: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Accuracy per class of a few models side by side; a star marks each model's lowest bar.

    The legend's worst is the mean of each run's worst class, as in every table: below the lowest
    bar where the runs differ in which class that is.

    Args:
        accuracies: model name -> (runs, m) fractions; bars are means, with one standard error.
        class_names: m names.
        class_counts: (m,) training images, written under the names.
    """
    models = {name: np.atleast_2d(runs) for name, runs in accuracies.items()}
    for name, runs in models.items():
        m, got = len(class_names), f"{runs.shape[1]} for {name!r}"
        checks.expect(runs.shape[1] == m, "accuracies", f"have {m} classes", got)
    means = {name: runs.mean(0) for name, runs in models.items()}
    ax = shares_of_classes(means, class_names, axes(ax, 9.0, 4.4))
    for (name, runs), bars in zip(models.items(), ax.containers[-len(models) :], strict=True):
        x, mean = [bar.get_center()[0] for bar in bars], runs.mean(0)
        error = runs.std(0, ddof=1) / len(runs) ** 0.5 if len(runs) > 1 else 0 * mean
        ax.errorbar(x, mean, error, fmt="none", ecolor="black", elinewidth=0.8)
        worst, lowest = runs.min(1).mean(), mean.argmin()
        bars.set_label(f"{plain(name)}: average {mean.mean():.2f}, worst {worst:.2f}")
        above, colour = mean[lowest] + error[lowest] + 0.02, bars[lowest].get_facecolor()
        ax.text(x[lowest], above, "★", ha="center", color=colour, fontsize=11)
    if class_counts is not None:
        counts = zip(map(plain, class_names), class_counts, strict=True)
        ax.set_xticklabels(f"{name}\n{int(n):,}" for name, n in counts)
        ax.set_xlabel("class and its number of training images")
    ax.set_ylabel("accuracy (test set)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return ax


def shares_of_classes(shares: Named, class_names: Sequence[str], ax: Axes | None = None) -> Axes:
    """Bars of (m,) shares or probabilities side by side, a colour and a hatch for each name."""
    ax, x, width = axes(ax, 8.0, 3.6), np.arange(len(class_names)), 0.8 / len(shares)
    for i, ((name, heights), style) in enumerate(zip(shares.items(), _styles(shares), strict=True)):
        at = x + width * (i - (len(shares) - 1) / 2)
        look = {"color": style["color"], "hatch": HATCHES[style["linestyle"]], "edgecolor": "white"}
        ax.bar(at, np.asarray(heights), width, label=plain(name), **look)
    ax.set_xticks(x, map(plain, class_names), fontsize=8)
    ax.set(ylim=(0, 1), ylabel="probability")
    ax.legend(frameon=False, fontsize=8)
    return ax


def predictions_of_class(
    models: Mapping[str, Tensor],
    labels: Tensor,
    y: int,
    class_names: Sequence[str],
    ax: Axes | None = None,
) -> Axes:
    """What models, of logits (n, m), say to images of class ``y``: each predicted class's share."""
    said = {name: logits[labels == y].argmax(1) for name, logits in models.items()}
    shares = {name: np.bincount(k, minlength=len(class_names)) / len(k) for name, k in said.items()}
    ax = shares_of_classes(shares, class_names, ax)
    ax.get_xticklabels()[y].set_weight("bold")
    ax.set_ylabel(f"share of the images of {plain(class_names[y])}")
    ax.set_xlabel("predicted class (bold: the right one)")
    return ax


def lines(
    x: Sequence[float],
    values: Named,
    *,
    xlabel: str,
    ylabel: str,
    marked: bool = False,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Named lines over the same x; colour, dashes and (if ``marked``) markers differ.

    With ``log`` both axes are logarithmic and every x, of a few, is named.
    """
    ax = axes(ax, 6.4, 3.4)
    for (name, y), style in zip(values.items(), _styles(values), strict=True):
        ax.plot(x, y, label=plain(name), **style | ({} if marked else {"marker": ""}))
    if log:
        ax.set(xscale="log", yscale="log")
        ax.minorticks_off()
        ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False, **{"ncols": 2, "fontsize": 8} if len(values) > len(SERIES) else {})
    return ax


def class_curves(
    values: np.ndarray, class_names: Sequence[str], *, ylabel: str, ax: Axes | None = None
) -> Axes:
    """One line a class over K rounds: (K, m), such as `History.multipliers` or `History.risks`."""
    ax, values = axes(ax, 6.4, 4.0), np.asarray(values)
    wanted = f"have shape (K, {len(class_names)}), a column a class"
    good = values.ndim == 2 and values.shape[1] == len(class_names)
    checks.expect(good, "values", wanted, values.shape)
    curves, rounds = dict(zip(class_names, values.T, strict=True)), np.arange(1, len(values) + 1)
    ax = lines(rounds, curves, xlabel="round", ylabel=ylabel, ax=ax)
    ax.set_xlim(1, max(2, len(values)))
    return ax


def runs(
    models: Mapping[str, Sequence[dict]], *, floor: float | None = None, ax: Axes | None = None
) -> Axes:
    """Average and worst-class accuracy of every run of a few models, with bootstrap intervals.

    ``models`` holds summaries of `rdlite.metrics.summary`, one a seed; ``floor`` is the worst
    class's expected accuracy if all classes were equal, a dotted line.
    """
    ax, middles, x = axes(ax, 7.4, 4.2), [], [-2]
    for summaries in models.values():
        x = x[-1] + 2 + np.arange(len(summaries))
        for measure, style in MEASURES.items():
            low, high = np.array([one["intervals"][measure] for one in summaries]).T
            ax.vlines(x, low, high, color=style["color"], linewidth=2.5)
            points = style | {"linestyle": "none"} | ({"label": None} if middles else {})
            ax.plot(x, [one[measure] for one in summaries], **points)
        middles.append(x.mean())
    if floor is not None:
        ax.axhline(floor, color=GREY, linestyle=":", label="floor: worst class if all were equal")
    ax.set_xticks(middles, map(plain, models))
    ax.set(ylim=(0, 1), xlim=(-1, x[-1] + 1), ylabel="accuracy (test set)")
    ax.legend(loc="center right", frameon=False)
    return ax


def examples(split: Split, per_class: int = 10, ax: Axes | None = None) -> Axes:
    """The first images of every class, a row a class, with its name and number of images."""
    ax, m, height = axes(ax, 6.4, 5.6), split.num_classes, split.images.shape[2]
    _pictures(ax, [split.images[split.labels == y] for y in range(m)], per_class)
    counts = zip(split.class_names, split.class_counts.tolist(), strict=True)
    names = [f"{plain(name)} ({n:,})" for name, n in counts]
    ax.set_yticks((np.arange(m) + 0.5) * height - 0.5, names)
    return ax


def gallery(images: Tensor, captions: Sequence[str], ax: Axes | None = None) -> Axes:
    """A row of images (k, c, h, w) uint8, ink on white or in colour, with a caption under each."""
    (k, _, _, width), gap = images.shape, 2  # white columns between neighbours
    ax = axes(ax, 1.2 * k + 0.4, 1.9)
    _pictures(ax, [images], k, gap)
    ax.set_xticks(np.arange(k) * (width + gap) + (width - 1) / 2, map(plain, captions), fontsize=8)
    return ax


def _pictures(ax: Axes, rows: Sequence[Tensor], columns: int, gap: int = 0) -> None:
    """Rows of images (k, c, h, w), the first ``columns`` of each."""
    channels, height, width = rows[0].shape[1:]
    pitch = width + gap
    canvas = np.full((height * len(rows), pitch * columns - gap, channels), 255, dtype=np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row[:columns].permute(0, 2, 3, 1).numpy()):
            place = canvas[y * height : (y + 1) * height, x * pitch : x * pitch + width]
            place[:] = image if channels > 1 else 255 - image
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
