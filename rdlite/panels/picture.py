"""Figures without pyplot, and pictures of which only the moving parts are drawn again."""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

DPI = 100  # pixels an inch, of every picture


class StaticFigure(Figure):
    """A figure of a size in pixels that pyplot does not know, which still shows in a notebook."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        self.canvas.draw()
        return self.encoded()

    def encoded(self) -> bytes:
        """The pixels as they are, as PNG."""
        buffer = io.BytesIO()
        image = Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")
        image.save(buffer, "png", compress_level=1)  # fast
        return buffer.getvalue()


class Picture:
    """The PNG of one result after another; axes, ticks and legends are drawn once a scene.

    Args:
        size: width and height, pixels.
        draw, move: see `Panel.draw` and `Panel.move`.

    Example: a line that turns.

    >>> def draw(figure, slope):
    ...     return figure.subplots().plot([-1, 1], [-1, 1])
    >>> def move(lines, slope):
    ...     lines[0].set_ydata([-slope, slope])
    ...     return lines
    >>> picture = Picture((200, 100), draw, move)
    >>> picture.png(0.5) == picture.figure(0.5)._repr_png_() != picture.png(-0.5)
    True
    """

    def __init__(
        self,
        size: tuple[int, int],
        draw: Callable[[Figure, Any], Any],
        move: Callable[[Any, Any], Iterable[Artist]],
    ) -> None:
        self.size, self.draw, self.move = size, draw, move
        self.kept: tuple[Hashable, StaticFigure, Any, Any] | None = None

    def figure(self, result: Any) -> StaticFigure:
        """A figure of its own, drawn afresh."""
        figure = StaticFigure(self.size)
        parts = self.draw(figure, result)
        if parts is not None:
            self.move(parts, result)
        return figure

    def png(self, result: Any, scene: Hashable = None) -> bytes:
        """What `figure` shows, to the pixel. Results of another scene are drawn afresh."""
        if self.kept is None or self.kept[0] != scene:
            figure = StaticFigure(self.size)
            parts = self.draw(figure, result)
            if parts is None:
                return figure._repr_png_()
            for artist in self.move(parts, result):
                artist.set_animated(True)  # leaves it out of the drawing of the whole
            figure.canvas.draw()
            self.kept = scene, figure, parts, figure.canvas.copy_from_bbox(figure.bbox)
        _, figure, parts, still = self.kept
        figure.canvas.restore_region(still)
        for artist in sorted(self.move(parts, result), key=Artist.get_zorder):
            artist.draw(figure.canvas.get_renderer())
        return figure.encoded()

    def forget(self) -> None:
        """Draw afresh the next time."""
        self.kept = None
