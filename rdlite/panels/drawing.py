"""What the panels draw with: maps of the plane, sampled points, pairs of bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from rdlite import plots
from rdlite.plots import BLUE, GREEN, GREY, ORANGE, PURPLE

PLANE_CLASSES = ("left", "right", "top")  # of `GaussianMixture.three_classes`
CLASS_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
CLASS_MARKERS = ("o", "s", "^", "D")
VIEW = (-3.6, 3.6, -2.6, 3.4)  # the part of the plane that is drawn: x from, to, y from, to


def draw_maps(
    ax: Axes,
    maps: Mapping[str, np.ndarray],
    grid: np.ndarray,
    centres: np.ndarray,
    names: Sequence[str],
) -> float:
    """Which class is predicted where: maps side by side, each name at its class's centre.

    One axes and one image for all of them, without ticks, because those take longest to draw.

    Args:
        ax: where to draw, in the plane's unit.
        maps: title -> (r, r) classes, at most four, a row for each y.
        grid: (r * r, 2), the centres of the cells, x first, as `GaussianMixture.on_grid`.
        centres: (m, 2), where to write the names.
        names: m names.

    Returns:
        How far each map lies to the right of the one before.
    """
    across, up, columns, rows = _cells(grid)
    cell, height = across[1] - across[0], up[1] - up[0]
    image = _image(maps.values(), grid)
    left, bottom, top = across[columns][0] - cell / 2, up[rows][0] - height / 2, up[rows][-1]
    extent = (left, left + cell * image.shape[1], bottom, top + height / 2)
    ax.imshow(image, origin="lower", extent=extent, aspect="auto")
    ax.autoscale(False)  # points beyond the outermost cells do not stretch the map
    step = cell * (columns.sum() + 5)
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}
    for k, title in enumerate(maps):
        ax.text(k * step, extent[3] + 0.15, title, ha="center", fontsize=10)
        for (x, y), name in zip(centres, names, strict=True):
            at = {"ha": "center", "va": "center"}
            ax.text(x + k * step, y, plain(name), fontsize=9, bbox=box, **at)
    ax.set_axis_off()
    return step


def move_maps(ax: Axes, maps: Iterable[np.ndarray], grid: np.ndarray) -> list[Artist]:
    """Show other classes in `draw_maps`; returns what to draw again, with all that lies over it."""
    ax.images[0].set_data(_image(maps, grid))
    names = [text for text in ax.texts if text.get_bbox_patch()]  # titles have no box
    return [*ax.images, *ax.collections, *ax.lines, *names]


def _image(maps: Iterable[np.ndarray], grid: np.ndarray) -> np.ndarray:
    """Maps side by side, colours from 0 to 255: (rows, columns of all maps, 3)."""
    _, _, columns, rows = _cells(grid)
    pale = 0.45 + 0.55 * np.array([to_rgb(colour) for colour in CLASS_COLOURS])
    pale = (255 * pale).round().astype(np.uint8)
    gap = np.full((rows.sum(), 5, 3), 255, np.uint8)
    parts = [part for square in maps for part in (pale[square[rows][:, columns]], gap)]
    return np.concatenate(parts[:-1], 1)


def _cells(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The x and y of a square grid's cells, and which of each are in view."""
    side = math.isqrt(len(grid))
    across, up = grid[:side, 0], grid[::side, 1]
    seen = (across > VIEW[0]) & (across < VIEW[1]), (up > VIEW[2]) & (up < VIEW[3])
    return across, up, *seen


def draw_points(ax: Axes, points: Tensor, labels: Tensor, right: float = 0.0) -> None:
    """Sampled points (n, 2), a colour and a marker for each of at most four labels (n,).

    Args:
        ax: where to draw.
        points, labels: what was sampled.
        right: how far to the right of its place; points beyond the map are left out.
    """
    low, high = points.new_tensor(VIEW).reshape(2, 2).T
    inside = ((points > low) & (points < high)).all(1)
    points, labels = points[inside] + points.new_tensor([right, 0.0]), labels[inside]
    for k, (colour, marker) in enumerate(zip(CLASS_COLOURS, CLASS_MARKERS, strict=True)):
        x, y = points[labels == k].T.numpy()
        ax.plot(x, y, marker, color=colour, markersize=2.2, zorder=1.5)


def draw_bars(
    ax: Axes, before: Sequence[float], after: Sequence[float], labels: tuple[str, str], worst: int
) -> None:
    """Two bars a class, the first hatched; a star on the second of the worst class.

    Args:
        ax: where to draw; the legend goes above it.
        before, after: (m,) values.
        labels: what the two are.
        worst: index of the class to mark.
    """
    before, after, x = np.asarray(before), np.asarray(after), np.arange(len(before))
    ax.bar(x - 0.2, before, 0.4, color=GREY, hatch="//", edgecolor="white", label=labels[0])
    ax.bar(x + 0.2, after, 0.4, color=BLUE, edgecolor="white", label=labels[1])
    ax.text(worst + 0.2, after[worst], "★", ha="center", va="bottom", color=BLUE, fontsize=10)
    ax.margins(y=0.12)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlim(-0.6, len(x) - 0.4)
    legend_above(ax, 2)


def move_bars(
    ax: Axes, before: Sequence[float], after: Sequence[float], worst: int
) -> list[Artist]:
    """Give the bars of `draw_bars` other heights; returns what to draw again."""
    for bar, height in zip(ax.patches, [*before, *after], strict=True):
        bar.set_height(height)
    (star,) = ax.texts
    star.set_position((worst + 0.2, after[worst]))
    return [*ax.patches, *ax.spines.values(), star]


def legend_above(ax: Axes, columns: int) -> None:
    """A legend over the top edge, where it hides nothing."""
    ax.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 0.99),
        ncols=columns,
        fontsize=8.5,
        frameon=False,
        handlelength=1.6,
        columnspacing=1.2,
    )


def plain(name: str, longest: int = 14) -> str:
    """A class name for a figure: shortened, and a dollar does not start a formula.

    >>> plain("a very long class name"), plain("$5")
    ('a very long c…', '\\\\$5')
    """
    short = name if len(name) <= longest else name[: longest - 1] + "…"
    return plots.plain(short)
