"""What the panels show: figures without pyplot and their parts, and a table of the classes.

A part of a picture draws what stays when it is made; its `move` shows other values.
"""

from __future__ import annotations

import html
import io
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from PIL import Image

from rdlite import plots
from rdlite.plots import BLUE, GREEN, GREY, ORANGE, PURPLE

PLANE_CLASSES = ("left", "right", "top")  # of `GaussianMixture.three_classes`
CLASS_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"))
PALE = 255 * (0.45 + 0.55 * np.array([to_rgb(colour) for colour, _ in CLASS_STYLES]))  # of maps
VIEW = (-3.6, 3.6, -2.6, 3.4)  # the part of the plane that is drawn: x from, to, y from, to
GAP = 5  # white columns between two maps
DPI = 100  # pixels an inch, of every picture


class StaticFigure(Figure):
    """A figure of a size in pixels that pyplot does not know, which still shows in a notebook."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        self.canvas.draw()
        return self.encoded()

    def moving(self) -> list[Artist]:
        """What a panel draws for every answer, from the bottom up: all but axes and legends.

        So whatever lies over something that moves is drawn again, too.
        """
        parts = [part for ax in self.axes for part in ax.get_children() if part is not ax.patch]
        moving = [part for part in parts if not isinstance(part, (Axis, Legend))]
        return sorted([*moving, *self.texts], key=Artist.get_zorder)

    def encoded(self) -> bytes:
        """The pixels as they are, as PNG."""
        buffer = io.BytesIO()
        image = Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")
        image.save(buffer, "png", compress_level=1)  # fast
        return buffer.getvalue()


class Maps:
    """Which class is predicted where: maps side by side, each name at its class's centre.

    One axes and one image for all of them, because axes take longest to draw. The ``grid`` is that
    of `GaussianMixture.on_grid`, ``centres`` is class name -> x and y, at most four, and `step` is
    how far each map lies to the right of the one before.
    """

    def __init__(
        self, ax: Axes, titles: Sequence[str], grid: np.ndarray, centres: Mapping[str, np.ndarray]
    ) -> None:
        side = math.isqrt(len(grid))
        across, up = grid[:side, 0], grid[::side, 1]
        columns = (across > VIEW[0]) & (across < VIEW[1])
        rows = (up > VIEW[2]) & (up < VIEW[3])
        self.ax, self.seen = ax, np.ix_(rows, columns)
        cell, height = across[1] - across[0], up[1] - up[0]
        self.step = cell * (columns.sum() + GAP)
        left, top = across[columns][0] - cell / 2, up[rows][-1] + height / 2
        extent = (left, left + self.step * len(titles) - cell * GAP, up[rows][0] - height / 2, top)
        ax.imshow(np.zeros((1, 1, 3)), origin="lower", extent=extent, aspect="auto")
        ax.autoscale(False)  # points beyond the outermost cells do not stretch the map
        box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}
        style = {"ha": "center", "va": "center", "fontsize": 9, "bbox": box}
        middles = self.step * np.arange(len(titles))
        for name, (x, y) in centres.items():
            for middle in middles:
                ax.text(x + middle, y, plain(name), **style)
        ax.set_xticks(middles, titles, fontsize=10)
        ax.tick_params(length=0, labeltop=True, labelbottom=False)
        ax.set_yticks([])
        ax.spines[:].set_visible(False)

    def move(self, maps: Iterable[np.ndarray]) -> None:
        """Show other classes, (r, r) a map, a row for each y."""
        shown = [PALE.round().astype(np.uint8)[classes[self.seen]] for classes in maps]
        gap = np.full((len(shown[0]), GAP, 3), 255, np.uint8)
        parts = [part for square in shown for part in (square, gap)]
        self.ax.images[0].set_data(np.concatenate(parts[:-1], 1))


class TwoBars:
    """Two bars a class, the first hatched; a star on the second of the worst class."""

    def __init__(self, ax: Axes, classes: int, labels: tuple[str, str]) -> None:
        self.ax, x = ax, np.arange(classes)
        ax.bar(x - 0.2, 1, 0.4, color=GREY, hatch="//", edgecolor="white", label=labels[0])
        ax.bar(x + 0.2, 1, 0.4, color=BLUE, edgecolor="white", label=labels[1])
        self.star = ax.text(0, 0, "★", ha="center", va="bottom", color=BLUE, fontsize=10)
        ax.set(ylim=(0, 1), yticks=[0, 0.5, 1], xlim=(-0.6, classes - 0.4))
        legend_above(ax, 2)

    def move(self, before: Sequence[float], after: Sequence[float], worst: int) -> None:
        """Show other values, (m,) each; ``worst`` is the class to mark."""
        for bar, height in zip(self.ax.patches, [*before, *after], strict=True):
            bar.set_height(height)
        self.star.set_position((worst + 0.2, after[worst]))


def legend_above(ax: Axes, columns: int) -> None:
    """A legend over the top edge, where it hides nothing."""
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.99), "frameon": False}
    ax.legend(ncols=columns, fontsize=8.5, handlelength=1.6, columnspacing=1.2, **place)


def plain(name: str, longest: int = 14) -> str:
    """A class name for a figure: shortened, and a dollar does not start a formula.

    >>> plain("a very long class name"), plain("$5")
    ('a very long c…', '\\\\$5')
    """
    return plots.plain(shortened(name, longest))


def shortened(name: str, longest: int = 20) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


def class_table(columns: Mapping[str, Iterable], worst: int) -> str:
    """An HTML table, a row a class, that of the worst class in bold and with a star.

    Args:
        columns: header -> m values: text, whole numbers, or numbers shown to three digits.
        worst: index of the class to mark.

    >>> "<b>&lt;i&gt; ★</b>" in class_table({"class": ["<i>"], "accuracy": [0.5]}, worst=0)
    True
    """
    style = 'style="padding: 0 10px; text-align: right"'
    lines = ["".join(f"<th {style}>{_text(header)}</th>" for header in columns)]
    for k, row in enumerate(zip(*columns.values(), strict=True)):
        texts = [_text(value) for value in row]
        if k == worst:
            texts = [f"<b>{text}</b>" for text in [f"{texts[0]} ★", *texts[1:]]]
        lines.append("".join(f"<td {style}>{text}</td>" for text in texts))
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _text(value: object) -> str:
    if isinstance(value, str):
        return html.escape(value)
    return f"{value:,}" if isinstance(value, int) else f"{float(value):.3f}"
