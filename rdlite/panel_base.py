"""What every panel shares: controls in, a pure computation, numbers and a picture out.

A panel never prints and opens no pyplot figure: its answer is the value of one HTML widget and of
one Image widget, so plain Python can read it and nothing piles up.
"""

from __future__ import annotations

import html
import io
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from rdlite import checks
from rdlite.plots import BLUE, GREEN, GREY, ORANGE, PURPLE

DPI = 100  # pixels an inch, of every picture
REMEMBERED = 64  # results a panel keeps
CLASS_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
CLASS_MARKERS = ("o", "s", "^", "D")
VIEW = (-3.6, 3.6, -2.6, 3.4)  # the part of the plane that is drawn: x from, to, y from, to


class Panel(widgets.VBox):
    """Base of the panels: override `compute`, `describe` and `draw`.

    A subclass stores its own data first and then calls this constructor, which draws.

    Args:
        controls: name -> input made by `slider` or `dropdown`; the names are those of `state`.
        size: width and height of the picture, pixels.
        actions: further widgets, shown beside the Reset button.
        hint: one sentence above the controls.

    Attributes:
        controls: the inputs, by name.
        numbers, picture: the HTML and the Image (PNG) of the present state.

    Example: a panel that squares its number.

    >>> class Square(Panel):
    ...     def compute(self, state):
    ...         return state["x"] ** 2
    ...     def describe(self, result):
    ...         return f"{result}"
    ...     def draw(self, figure, result):
    ...         figure.text(0.5, 0.5, f"{result}")
    >>> panel = Square({"x": slider("x", [1, 2, 3], 2)}, size=(200, 100))
    >>> panel.state = {"x": 3}
    >>> panel, panel.numbers.value
    (Square({'x': 3}), '9')
    """

    def __init__(
        self,
        controls: Mapping[str, widgets.Widget],
        *,
        size: tuple[int, int] = (900, 360),
        actions: Sequence[widgets.Widget] = (),
        hint: str = "",
    ) -> None:
        super().__init__()
        self.controls = dict(controls)
        self.size = size
        self._results: OrderedDict[Hashable, Any] = OrderedDict()
        self._quiet = False
        self.numbers = widgets.HTML()
        width = widgets.Layout(width=f"{size[0]}px", max_width="100%", flex="0 0 auto")
        self.picture = widgets.Image(format="png", layout=width)
        reset = widgets.Button(description="Reset", tooltip="Back to the first values")
        reset.on_click(lambda _: self.reset())
        self.default = self.state
        label = max(len(control.description) for control in self.controls.values())
        for control in self.controls.values():
            control.style.description_width = f"{label + 1}ch"  # aligned, and nothing is clipped
            control.layout.width = f"calc({label + 1}ch + 230px)"
            control.observe(self.refresh, "value")
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        self.reset_button = reset
        self.children = [
            widgets.HTML(html.escape(hint)),
            widgets.Box(list(self.controls.values()), layout=row),
            widgets.Box([*actions, reset], layout=row),
            self.picture,
            self.numbers,
        ]
        self.refresh()

    def compute(self, state: dict[str, Any]) -> Any:
        """The answer for one state: pure, it reads the panel's data and touches no widget."""
        raise NotImplementedError

    def describe(self, result: Any) -> str:
        """The answer's numbers as HTML; text that came from outside is escaped, see `table`."""
        raise NotImplementedError

    def draw(self, figure: Figure, result: Any) -> None:
        """The answer's picture, in an empty figure of the panel's size."""
        raise NotImplementedError

    @property
    def state(self) -> dict[str, Any]:
        """Names and values of all controls; assigning a dict of some or all of them sets those.

        A number between two values of its control's grid snaps to the nearer one. Nothing is set
        unless everything can be.

        Raises:
            ValueError: an unknown name, or a value that its control cannot take.
        """
        return {name: control.value for name, control in self.controls.items()}

    @state.setter
    def state(self, new: Mapping[str, Any]) -> None:
        checks.require(
            isinstance(new, Mapping), f"state must be a dict of names to values, got {new!r}"
        )
        for name in new:
            checks.choice("state's names", name, self.controls)
        snapped = {name: _snap(name, value, self.controls[name]) for name, value in new.items()}
        self._quiet = True  # one drawing for all of them
        try:
            for name, value in snapped.items():
                self.controls[name].value = value
        finally:
            self._quiet = False
        self.refresh()

    def reset(self) -> None:
        """Back to the first values."""
        self.state = self.default

    def refresh(self, _change: object = None) -> None:
        """Show the present state. An error is shown in the panel: raised, it would be lost."""
        if self._quiet:
            return
        try:
            self.render(self.result())
        except Exception as error:
            self.numbers.value = (
                f'<div role="alert" style="border: 2px solid {ORANGE}; padding: 6px">'
                f"<b>{type(error).__name__}</b>: {html.escape(str(error))}</div>"
            )
            self.picture.value = b""
            self.picture.layout.display = "none"

    def render(self, result: Any) -> None:
        """Put an answer into `numbers` and `picture`."""
        shown = self.remember(
            ("shown", *self.state.values()),
            lambda: (self.describe(result), self._figure(result)._repr_png_()),
        )
        self.numbers.value, self.picture.value = shown
        self.picture.layout.display = None

    def result(self) -> Any:
        """`compute` of the present state, kept for the next time."""
        state = self.state
        return self.remember(("state", *state.values()), lambda: self.compute(state))

    def figure(self) -> Figure:
        """The present picture as a figure of its own, for readers with no kernel."""
        return self._figure(self.result())

    def remember(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What ``make()`` gave for this key; the last 64 keys used are kept."""
        if key not in self._results:
            self._results[key] = make()
        self._results.move_to_end(key)
        while len(self._results) > REMEMBERED:
            self._results.popitem(last=False)
        return self._results[key]

    def _figure(self, result: Any) -> Figure:
        figure = StaticFigure(figsize=(self.size[0] / DPI, self.size[1] / DPI), dpi=DPI)
        FigureCanvasAgg(figure)
        self.draw(figure, result)
        return figure

    def __repr__(self) -> str:  # the same in every run, unlike the widget's own
        return f"{type(self).__name__}({self.state!r})"


class StaticFigure(Figure):
    """A figure that pyplot does not know, which still shows as a cell's output."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.canvas.print_png(buffer, pil_kwargs={"compress_level": 1})  # fast
        return buffer.getvalue()


def slider(
    description: str, values: Iterable[float], value: float, *, show: str = "{:g}", **options: Any
) -> widgets.SelectionSlider:
    """A slider over a grid of numbers; it answers when it is let go.

    Args:
        description: the label.
        values: the grid, ascending.
        value: where it starts, one of them.
        show: format of the number beside it.
        options: of `ipywidgets.SelectionSlider`.
    """
    pairs = [(show.format(number), number) for number in values]
    return widgets.SelectionSlider(
        options=pairs, value=value, description=description, continuous_update=False, **options
    )


def dropdown(description: str, options: Mapping[str, str], value: str) -> widgets.Dropdown:
    """A choice of names; ``options`` is name -> the words shown for it."""
    pairs = [(words, name) for name, words in options.items()]
    return widgets.Dropdown(options=pairs, value=value, description=description)


def _snap(name: str, value: Any, control: widgets.Widget) -> Any:
    """The control's nearest value, or ValueError."""
    values = [value for _, value in control.options]
    if isinstance(values[0], Real):
        checks.number(name, value, low=min(values), high=max(values))
        return min(values, key=lambda other: abs(other - value))
    checks.choice(name, value, values)
    return value


def table(header: Sequence[str], rows: Sequence[Sequence[str]], worst: int) -> str:
    """An HTML table of escaped text, the row of the worst class in bold and with a star.

    >>> "&lt;b&gt; ★" in table(["class"], [["<b>"]], worst=0)
    True
    """
    cell = '<{0} style="padding: 0 10px; text-align: {1}">{2}</{0}>'
    lines = ["".join(cell.format("th", "right", html.escape(text)) for text in header)]
    for k, row in enumerate(rows):
        texts = [html.escape(text) for text in row]
        if k == worst:
            texts = [f"<b>{text}</b>" for text in [f"{texts[0]} ★", *texts[1:]]]
        lines.append("".join(cell.format("td", "right", text) for text in texts))
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def plain(name: str, longest: int = 14) -> str:
    """A class name for a figure: shortened, and a dollar does not start a formula.

    >>> plain("a very long class name"), plain("$5")
    ('a very long c…', '\\\\$5')
    """
    short = name if len(name) <= longest else name[: longest - 1] + "…"
    return short.replace("$", r"\$")


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
    side = math.isqrt(len(grid))
    across, up = grid[:side, 0], grid[::side, 1]
    cell, height = across[1] - across[0], up[1] - up[0]
    columns = (across > VIEW[0]) & (across < VIEW[1])
    rows = (up > VIEW[2]) & (up < VIEW[3])
    pale = 0.45 + 0.55 * np.array([to_rgb(colour) for colour in CLASS_COLOURS])
    gap = np.ones((rows.sum(), 5, 3))
    parts = [part for square in maps.values() for part in (pale[square[rows][:, columns]], gap)]
    image = np.concatenate(parts[:-1], 1)
    left, bottom, top = across[columns][0] - cell / 2, up[rows][0] - height / 2, up[rows][-1]
    extent = (left, left + cell * image.shape[1], bottom, top + height / 2)
    ax.imshow(image, origin="lower", extent=extent, aspect="auto")
    step = cell * (columns.sum() + 5)
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}
    for k, title in enumerate(maps):
        ax.text(k * step, extent[3] + 0.15, title, ha="center", fontsize=10)
        for (x, y), name in zip(centres, names, strict=True):
            at = {"ha": "center", "va": "center"}
            ax.text(x + k * step, y, plain(name), fontsize=9, bbox=box, **at)
    ax.set_axis_off()
    return step


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
