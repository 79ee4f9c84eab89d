"""What every panel shares: controls in, a pure computation, numbers and a picture out.

A panel never prints and opens no pyplot figure: its answer is the value of one HTML widget and of
one Image widget. Of the next picture only what moves is drawn again.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from rdlite.guards import checks
from rdlite.panels.drawing import StaticFigure
from rdlite.plots import ORANGE

REMEMBERED = 64  # results a panel keeps


class Panel(widgets.VBox):
    """Base of the panels: override `compute`, `describe` and `draw`; `move` makes a slider fast.

    A subclass stores its own data first and then calls this constructor, which draws.

    Args:
        controls: name -> input made by `slider` or `dropdown`; the names are those of `state`.
        size: width and height of the picture, pixels.
        actions: further widgets, shown beside the Reset button.
        hint: one sentence above the controls.

    Attributes:
        numbers, picture: the HTML and the Image (PNG) of the present state.

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
        self._results: dict[Hashable, Any] = {}  # the last used at the end
        self._kept: tuple[Hashable, StaticFigure, Any, Any] | None = None  # of the last scene
        self._quiet = False
        self.numbers = widgets.HTML()
        width = widgets.Layout(width=f"{size[0]}px", max_width="100%", flex="0 0 auto")
        self.picture = widgets.Image(format="png", layout=width)
        self.reset_button = widgets.Button(description="Reset", tooltip="Back to the first values")
        self.reset_button.on_click(lambda _: self.reset())
        self.default = self.state
        label = max(len(control.description) for control in self.controls.values())
        for control in self.controls.values():
            control.style.description_width = f"{label + 1}ch"  # aligned, and nothing is clipped
            control.layout.width = f"calc({label + 1}ch + 230px)"
            control.observe(self.refresh, "value")
        row = widgets.Layout(flex_flow="row wrap", align_items="center")
        self.children = [
            widgets.HTML(html.escape(hint)),
            widgets.Box(list(self.controls.values()), layout=row),
            widgets.Box([*actions, self.reset_button], layout=row),
            self.picture,
            self.numbers,
        ]
        self.refresh()

    def compute(self, state: dict[str, Any]) -> Any:
        """The answer for one state: pure, it reads the panel's data and touches no widget."""
        raise NotImplementedError

    def describe(self, result: Any) -> str:
        """The answer's numbers as HTML, text from outside escaped, see `drawing.class_table`."""
        raise NotImplementedError

    def draw(self, figure: Figure, result: Any) -> Any:
        """Draw what all answers of one `scene` share, in an empty figure of the panel's size.

        Returns the parts that `move` moves; None if this answer is already drawn in full.
        """
        raise NotImplementedError

    def move(self, parts: Any, result: Any) -> None:
        """Show an answer in the ``parts`` that `draw` made; axes, ticks and legends stay."""
        raise NotImplementedError

    def scene(self, state: dict[str, Any]) -> Hashable:
        """What axes and legends depend on: where it differs, the picture is drawn afresh."""
        return None

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
    def state(self, new: dict[str, Any]) -> None:
        checks.instance("state", new, dict, "; its names are those of the controls")
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
            self.show_error(error)

    def show_error(self, error: BaseException) -> None:
        """The error instead of the numbers and the picture."""
        self.numbers.value = (
            f'<div role="alert" style="border: 2px solid {ORANGE}; padding: 6px">'
            f"<b>{type(error).__name__}</b>: {html.escape(str(error))}</div>"
        )
        self.picture.value = b""
        self.picture.layout.display = "none"

    def render(self, result: Any) -> None:
        """Put an answer into `numbers` and `picture`."""
        scene = self.scene(self.state)
        shown = self.remember(
            ("shown", *self.state.values()),
            lambda: (self.describe(result), self._png(result, scene)),
        )
        self.numbers.value, self.picture.value = shown
        self.picture.layout.display = None

    def result(self) -> Any:
        """`compute` of the present state, kept for the next time."""
        state = self.state
        return self.remember(("state", *state.values()), lambda: self.compute(state))

    def figure(self) -> Figure:
        """The present picture as a figure of its own, for readers with no kernel."""
        result, figure = self.result(), StaticFigure(self.size)
        parts = self.draw(figure, result)
        if parts is not None:
            self.move(parts, result)
        return figure

    def _png(self, result: Any, scene: Hashable) -> bytes:
        """What `figure` shows, to the pixel; axes, ticks and legends are drawn once a scene."""
        if self._kept is None or self._kept[0] != scene:
            figure = StaticFigure(self.size)
            parts = self.draw(figure, result)
            if parts is None:
                return figure._repr_png_()
            for artist in figure.moving():
                artist.set_animated(True)  # leaves it out of the drawing of the whole
            figure.canvas.draw()
            self._kept = scene, figure, parts, figure.canvas.copy_from_bbox(figure.bbox)
        _, figure, parts, still = self._kept
        figure.canvas.restore_region(still)
        self.move(parts, result)
        for artist in figure.moving():
            artist.draw(figure.canvas.get_renderer())
        return figure.encoded()

    def remember(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What ``make()`` gave for this key; the last 64 keys used are kept."""
        self._results[key] = self._results.pop(key) if key in self._results else make()
        while len(self._results) > REMEMBERED:
            del self._results[next(iter(self._results))]
        return self._results[key]

    def forget(self) -> None:
        """Compute and draw anew from now on, because the panel's data have changed."""
        self._results.clear()
        self._kept = None

    def __repr__(self) -> str:  # the same in every run, unlike the widget's own
        return f"{type(self).__name__}({self.state!r})"


def slider(
    description: str, values: Iterable[float], value: float, *, readout: bool = True
) -> widgets.SelectionSlider:
    """A slider over an ascending grid of numbers, from ``value``; it answers when it is let go."""
    return widgets.SelectionSlider(
        options=[(f"{number:g}", number) for number in values],
        value=value,
        description=description,
        continuous_update=False,
        readout=readout,
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
