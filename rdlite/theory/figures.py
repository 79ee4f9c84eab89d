"""Figures of the exact theory, notebook 04: an axes in, the same axes out.

Risks are in nats. Colour-blind safe; marker and line style differ too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from rdlite.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, TEACHER_COLOURS
from rdlite.theory.mixture import GaussianMixture

CLASS_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))
OBJECTIVE_MARKERS = {"standard": "o", "balanced": "s", "robust": "^"}
FAMILY_STYLES = {
    "temperature": (BLUE, "o", "-"),
    "bias": (ORANGE, "^", "--"),
    "noise": (GREEN, "s", "-."),
}


def _axes(ax: Axes | None, width: float = 6.4, height: float = 4.2) -> Axes:
    return ax or plt.subplots(figsize=(width, height), layout="constrained")[1]


def samples(mixture: GaussianMixture, n: int, *, seed: int, ax: Axes | None = None) -> Axes:
    """n draws of the mixture; a cross marks the centre of each class, a circle its spread."""
    ax = _axes(ax, 6.4, 4.4)
    points, labels = mixture.sample(n, seed)
    for y, (colour, marker) in enumerate(CLASS_STYLES):
        own = points[labels == y]
        label = f"class {y}: prior {float(mixture.prior[y]):.3f}"
        style = {"s": 18, "color": colour, "marker": marker, "alpha": 0.7, "linewidths": 0}
        ax.scatter(*own.T, label=label, **style)
        centre, spread = mixture.means[y], float(mixture.scale[y])
        ax.add_patch(plt.Circle(centre, spread, fill=False, color=GREY, linestyle=":"))
        ax.plot(*centre, "x", color="black")
    ax.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal")
    ax.set(xlim=(-4.2, 4.2), ylim=(-2.8, 3.6))
    ax.legend(loc="upper center", ncols=3, frameon=False, fontsize=8, columnspacing=1.0)
    return ax


def class_risks(risks: Mapping[str, Tensor], ax: Axes | None = None) -> Axes:
    """Risk of every class for a few objectives; each one's worst class is ringed.

    Args:
        risks: objective name -> (m,), nats.
        ax: where to draw; by default a new figure.
    """
    ax = _axes(ax)
    for name, values in risks.items():
        style = {"color": TEACHER_COLOURS[name], "marker": OBJECTIVE_MARKERS[name]}
        line = {"standard": "-", "balanced": "--", "robust": "-."}[name]
        worst = int(values.argmax())
        ax.plot(values, linestyle=line, markersize=8, label=f"{name}: worst {values[worst]:.2f}",
                **style)  # fmt: skip
        if float(values.max() - values.min()) > 1e-6:  # where all are equal, none is the worst
            ax.plot(worst, values[worst], "o", markersize=17, fillstyle="none", color="black")
    ax.set_xticks(range(len(values)), [f"class {y}" for y in range(len(values))])
    ax.set(ylim=(0, None), ylabel="class risk $R_y$ (nats)", xlim=(-0.3, len(values) - 0.7))
    ax.legend(loc="upper left", frameon=False, title="objective (ring: its worst class)")
    return ax


def regret(rounds: Sequence[int], gaps: Sequence[float], bounds: Sequence[float],
           ax: Axes | None = None) -> Axes:  # fmt: skip
    """Measured gap to the optimum and the promise of eq. (9) against the number of rounds."""
    ax = _axes(ax)
    ax.loglog(rounds, bounds, "--s", color=ORANGE, label="eq. (9) allows at most")
    ax.loglog(rounds, gaps, "-o", color=BLUE, label="measured gap of the averaged scorer")
    ax.fill_between(rounds, bounds, max(bounds) * 2, color=ORANGE, alpha=0.1, linewidth=0)
    ax.set(
        xlabel="rounds K", ylabel="worst risk above the optimum (nats)", xlim=(min(rounds), None)
    )
    ax.set_ylim(None, max(bounds) * 2)
    ax.legend(loc="lower left", frameon=False)
    return ax


def own_and_student(
    own: Mapping[str, float], student: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Left, each teacher's own worst risk; right, the worst risk of its robust student."""
    ax = _axes(ax, 6.4, 4.4)
    apart = 0.05 * max(*own.values(), *student.values())  # of two labels, at least
    for x, values, align in ((-0.04, own, "right"), (1.04, student, "left")):
        height = -apart
        for name in sorted(values, key=values.get):
            height = max(values[name], height + apart)
            style = {"ha": align, "va": "center", "color": TEACHER_COLOURS[name]}
            ax.annotate(f"{name} {values[name]:.2f}", (x, height), **style)
    for name, line in zip(own, ("-", "--", "-."), strict=False):
        style = {"color": TEACHER_COLOURS[name], "marker": OBJECTIVE_MARKERS[name]}
        ax.plot([0, 1], [own[name], student[name]], line, markersize=8, **style)
    ax.set_xticks([0, 1], ["the teacher itself", "its robust student"])
    ax.set(xlim=(-0.6, 1.6), ylim=(0, None), ylabel="true worst-class risk (nats)")
    return ax


def profiles(
    eta: Tensor, weights: Tensor, teachers: Mapping[str, Tensor], y: int, ax: Axes | None = None
) -> Axes:
    """p_y / pbar_y against eta_y / pi_y, a dot a point x; area shows how often x occurs.

    Args:
        eta: (n, m).
        weights: (n,), how often each point occurs.
        teachers: name -> p (n, m); names of objectives give their colours.
        y: the class to look at.
        ax: where to draw; by default a new figure.
    """
    ax = _axes(ax, 6.4, 4.6)
    true = eta[:, y] / (weights @ eta[:, y])
    top = 1.08 * float(true.max())
    for name, p in teachers.items():
        ratio = p[:, y] / (weights @ p[:, y])
        style = {"color": TEACHER_COLOURS[name], "marker": OBJECTIVE_MARKERS[name], "alpha": 0.6}
        area = 4 + 4e3 * weights
        ax.scatter(true, ratio, area, linewidths=0, label=f"{name} teacher", **style)
        top = max(top, 1.08 * float(ratio.max()))
    ax.axline((0, 0), slope=1, color=GREY, linestyle=":", zorder=0)
    ax.annotate("right profile", (0.8 * float(true.max()), 0.8 * float(true.max())), color=GREY,
                ha="right", va="bottom", xytext=(-6, 6), textcoords="offset points")  # fmt: skip
    ax.set(xlim=(0, None), ylim=(0, None), xlabel=rf"true profile $\eta_{y}(x)/\pi_{y}$")
    ax.set_ylabel(rf"teacher's profile $p_{y}(x)/\bar p_{y}$")
    legend = ax.legend(loc="upper left", frameon=False)
    for handle in legend.legend_handles:
        handle.set_sizes([40])
    return ax


def bound(rows: Sequence[tuple[str, float, float]], ax: Axes | None = None) -> Axes:
    """The bound of eq. (11) against what it bounds: rows of (family, B Delta, true difference)."""
    ax = _axes(ax)
    for family, (colour, marker, _) in FAMILY_STYLES.items():
        own = [(limit, gap) for name, limit, gap in rows if name == family]
        style = {"s": 40, "color": colour, "marker": marker, "alpha": 0.8}
        ax.scatter(*zip(*own, strict=True), label=family, **style)
    top = 1.05 * max(limit for _, limit, _ in rows)
    ax.plot([0, top], [0, top], color=GREY, linestyle=":")
    ax.fill_between([0, top], [0, top], top, color=GREY, alpha=0.12, linewidth=0)
    ax.annotate("forbidden by eq. (11)", (0.36 * top, 0.72 * top), ha="center", color=GREY)
    ax.set(xlim=(0, top), ylim=(0, top), xlabel=r"bound $B\,\Delta(p)$ (nats)")
    ax.set_ylabel(r"$|L_\mathrm{rob\!-\!d}(f) - L_\mathrm{rob}(f)|$ (nats)")
    ax.legend(loc="center right", frameon=False, title="teacher made from $\\eta$ by")
    return ax


def students(
    rows: Sequence[tuple[str, float, float]], optimum: float, ax: Axes | None = None
) -> Axes:
    """True worst risk of the robust student against the gap: rows of (family, Delta, risk)."""
    ax = _axes(ax)
    for family, (colour, marker, _) in FAMILY_STYLES.items():
        own = [(gap, risk) for name, gap, risk in rows if name == family]
        style = {"s": 40, "color": colour, "marker": marker, "alpha": 0.8}
        ax.scatter(*zip(*own, strict=True), label=family, **style)
    ax.axhline(optimum, color="black", linestyle=":", linewidth=1)
    ax.annotate(r"taught by $\eta$ itself", (0.99, optimum), xycoords=("axes fraction", "data"),
                xytext=(0, 4), textcoords="offset points", ha="right")  # fmt: skip
    ax.set(xlim=(0, None), xlabel=r"teacher gap $\Delta(p)$")
    ax.set_ylabel("student's true worst risk (nats)")
    ax.legend(loc="upper left", frameon=False, title="teacher made from $\\eta$ by")
    return ax


def seen_and_hidden(
    seen: Mapping[str, float], hidden: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Calibration error, which data show, against the teacher gap, which they hide."""
    ax = _axes(ax)
    for name, marker in zip(seen, "o^sDvP", strict=False):
        ax.plot(seen[name], hidden[name], marker, color=PURPLE if name == "prior" else BLUE,
                markersize=9)  # fmt: skip
        ax.annotate(name, (seen[name], hidden[name]), xytext=(9, -3), textcoords="offset points")
    ax.set(
        xlim=(-0.02 * max(seen.values()), 1.25 * max(seen.values())),
        ylim=(-0.05, 1.12 * max(hidden.values())),
    )
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
    """How often label y came against the probability that was given to it; bins of equal width.

    Args:
        teachers: name -> p (n, m) at sampled points; names of objectives give their colours.
        labels: (n,), the sampled labels.
        y: the class to look at.
        bins: number of bins; those with fewer than 50 samples are left out.
        ax: where to draw; by default a new figure.
    """
    ax = _axes(ax, 5.4, 4.6)
    came = (labels == y).double()
    for name, p in teachers.items():
        bin_of = (p[:, y] * bins).long().clamp_max(bins - 1)
        counts = torch.bincount(bin_of, minlength=bins)
        given, share = (torch.bincount(bin_of, v, bins) / counts for v in (p[:, y], came))
        full = counts >= 50
        ax.plot(given[full], share[full], color=TEACHER_COLOURS[name],
                marker=OBJECTIVE_MARKERS[name], label=f"{name} teacher")  # fmt: skip
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="calibrated")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel=f"probability given to class {y}")
    ax.set_ylabel(f"share of class {y} among those samples")
    ax.legend(loc="upper left", frameon=False)
    return ax
