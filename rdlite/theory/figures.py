"""Figures of the exact theory, notebook 04: an axes in (by default new), the same axes out.

Risks are in nats. Looks are those of `rdlite.plots`; an objective has that of its teacher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from rdlite.plots import BLUE, GREY, PURPLE, SERIES, axes, lines, teacher_style
from rdlite.theory.mixture import GaussianMixture

FAMILIES = ("temperature", "bias", "noise")  # how teachers are made from eta


def _cloud(style: Mapping[str, object], **more: object) -> dict[str, object]:
    """Keywords of points that may lie on each other, of a line's look but for the dashes."""
    return {**style, "linestyle": "solid", "linewidths": 0, **more}


def samples(mixture: GaussianMixture, n: int, *, seed: int, ax: Axes | None = None) -> Axes:
    """n draws of the mixture; a cross marks the centre of each class, a circle its spread."""
    ax = axes(ax, 6.4, 4.4)
    points, labels = mixture.sample(n, seed)
    for y, style in enumerate(SERIES[1:4]):
        label = f"class {y}: prior {float(mixture.prior[y]):.3f}"
        ax.scatter(*points[labels == y].T, **_cloud(style, s=18, alpha=0.7, label=label))
        centre, spread = mixture.means[y], float(mixture.scale[y])
        ax.add_patch(plt.Circle(centre, spread, fill=False, color=GREY, linestyle=":"))
        ax.plot(*centre, "x", color="black")
    ax.set(xlabel="first coordinate", xlim=(-4.2, 4.2), aspect="equal")
    ax.set(ylabel="second coordinate", ylim=(-2.8, 3.6))
    ax.legend(loc="upper center", ncols=3, frameon=False, fontsize=8, columnspacing=1.0)
    return ax


def class_risks(risks: Mapping[str, Tensor], ax: Axes | None = None) -> Axes:
    """Risks (m,) of every class for a few objectives; each one's worst class is ringed."""
    ax = axes(ax)
    for name, values in risks.items():
        worst = int(values.argmax())
        label = f"{name}: worst {values[worst]:.2f}"
        ax.plot(values, **teacher_style(name, label=label, markersize=8))
        if float(values.max() - values.min()) > 1e-6:  # where all are equal, none is the worst
            ax.plot(worst, values[worst], "o", markersize=17, fillstyle="none", color="black")
    ax.set_xticks(range(len(values)), [f"class {y}" for y in range(len(values))])
    ax.set(ylim=(0, None), ylabel="class risk $R_y$ (nats)", xlim=(-0.3, len(values) - 0.7))
    ax.legend(loc="upper left", frameon=False, title="objective (ring: its worst class)")
    return ax


def regret(
    rounds: Sequence[int], gaps: Sequence[float], bounds: Sequence[float], ax: Axes | None = None
) -> Axes:
    """Measured gap to the optimum and the promise of eq. (9) against the number of rounds."""
    curves = {"eq. (9) allows at most": bounds, "measured gap of the averaged scorer": gaps}
    words = {"xlabel": "rounds K", "ylabel": "worst risk above the optimum (nats)"}
    ax, top = lines(rounds, curves, **words, marked=True, log=True, ax=axes(ax)), 2 * max(bounds)
    ax.fill_between(rounds, bounds, top, color=GREY, alpha=0.12, linewidth=0)
    ax.set(xlim=(min(rounds), None), ylim=(None, top))
    return ax


def own_and_student(
    own: Mapping[str, float], student: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Left, each teacher's own worst risk; right, the worst risk of its robust student."""
    ax = axes(ax, 6.4, 4.4)
    apart = 0.05 * max(*own.values(), *student.values())  # of two labels, at least
    for x, values, align in ((-0.04, own, "right"), (1.04, student, "left")):
        height = -apart
        for name in sorted(values, key=values.get):
            height = max(values[name], height + apart)
            place = {"ha": align, "va": "center", "color": teacher_style(name)["color"]}
            ax.annotate(f"{name} {values[name]:.2f}", (x, height), **place)
    for name in own:
        ax.plot([0, 1], [own[name], student[name]], **teacher_style(name, markersize=8))
    ax.set_xticks([0, 1], ["the teacher itself", "its robust student"])
    ax.set(xlim=(-0.6, 1.6), ylim=(0, None), ylabel="true worst-class risk (nats)")
    return ax


def profiles(
    eta: Tensor, weights: Tensor, teachers: Mapping[str, Tensor], y: int, ax: Axes | None = None
) -> Axes:
    """p_y / pbar_y against eta_y / pi_y, of (n, m); a dot a point x, its area by weight (n,)."""
    ax = axes(ax, 6.4, 4.6)
    true = eta[:, y] / (weights @ eta[:, y])
    ratios = {name: p[:, y] / (weights @ p[:, y]) for name, p in teachers.items()}
    for name, ratio in ratios.items():
        ax.scatter(true, ratio, **_cloud(teacher_style(name), s=4 + 4e3 * weights, alpha=0.6))
    ax.axline((0, 0), slope=1, color=GREY, linestyle=":", zorder=0)
    at = (0.8 * float(true.max()),) * 2
    beside = {"ha": "right", "va": "bottom", "xytext": (-6, 6), "textcoords": "offset points"}
    ax.annotate("right profile", at, color=GREY, **beside)
    ax.set(xlabel=rf"true profile $\eta_{y}(x)/\pi_{y}$", xlim=(0, None))
    ax.set(ylabel=rf"teacher's profile $p_{y}(x)/\bar p_{y}$", ylim=(0, None))
    for handle in ax.legend(loc="upper left", frameon=False).legend_handles:
        handle.set_sizes([40])
    return ax


def _families(ax: Axes, rows: Sequence[tuple[str, float, float]], legend: str) -> None:
    """A cloud of points a family of teachers, of rows (family, x, y)."""
    for family, style in zip(FAMILIES, SERIES[1:4], strict=True):
        own = [point for name, *point in rows if name == family]
        ax.scatter(*zip(*own, strict=True), **_cloud(style, s=40, alpha=0.8, label=family))
    ax.legend(loc=legend, frameon=False, title="teacher made from $\\eta$ by")


def bound(rows: Sequence[tuple[str, float, float]], ax: Axes | None = None) -> Axes:
    """The bound of eq. (11) against what it bounds: rows of (family, B Delta, true difference)."""
    ax = axes(ax)
    _families(ax, rows, "center right")
    top = 1.05 * max(limit for _, limit, _ in rows)
    ax.plot([0, top], [0, top], color=GREY, linestyle=":")
    ax.fill_between([0, top], [0, top], top, color=GREY, alpha=0.12, linewidth=0)
    ax.annotate("forbidden by eq. (11)", (0.36 * top, 0.72 * top), ha="center", color=GREY)
    ax.set(xlim=(0, top), ylim=(0, top), xlabel=r"bound $B\,\Delta(p)$ (nats)")
    ax.set_ylabel(r"$|L_\mathrm{rob\!-\!d}(f) - L_\mathrm{rob}(f)|$ (nats)")
    return ax


def students(
    rows: Sequence[tuple[str, float, float]], optimum: float, ax: Axes | None = None
) -> Axes:
    """True worst risk of the robust student against the gap: rows of (family, Delta, risk)."""
    ax = axes(ax)
    _families(ax, rows, "upper left")
    ax.axhline(optimum, color="black", linestyle=":", linewidth=1)
    place = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "bottom"}
    ax.text(1, optimum, "taught by $\\eta$ itself ", **place)
    ax.set(xlim=(0, None), xlabel=r"teacher gap $\Delta(p)$")
    ax.set_ylabel("student's true worst risk (nats)")
    return ax


def seen_and_hidden(
    seen: Mapping[str, float], hidden: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Calibration error, which data show, against the teacher gap, which they hide."""
    ax = axes(ax)
    for name, marker in zip(seen, "o^sDvP", strict=False):
        at, colour = (seen[name], hidden[name]), PURPLE if name == "prior" else BLUE
        ax.plot(*at, marker, color=colour, markersize=9)
        ax.annotate(name, at, xytext=(9, -3), textcoords="offset points")
    right, top = max(seen.values()), max(hidden.values())
    ax.set(xlim=(-0.02 * right, 1.25 * right), ylim=(-0.05, 1.12 * top))
    ax.set_xlabel("calibration error of the worst class (on samples)")
    ax.set_ylabel(r"teacher gap $\Delta(p)$ (exact)")
    return ax


def reliability(
    teachers: Mapping[str, Tensor],
    labels: Tensor,
    y: int,
    *,
    bins: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """How often label y came against the probability given to it, (n, m), in bins of equal width.

    Bins with fewer than 50 samples are left out.
    """
    ax = axes(ax, 5.4, 4.6)
    came = (labels == y).double()
    for name, p in teachers.items():
        bin_of = (p[:, y] * bins).long().clamp_max(bins - 1)
        counts = torch.bincount(bin_of, minlength=bins)
        given, share = (torch.bincount(bin_of, v, bins) / counts for v in (p[:, y], came))
        full = counts >= 50
        ax.plot(given[full], share[full], **teacher_style(name))
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="calibrated")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel=f"probability given to class {y}")
    ax.set_ylabel(f"share of class {y} among those samples")
    ax.legend(loc="upper left", frameon=False)
    return ax
