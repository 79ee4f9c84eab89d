"""Figures of images, single classes and short curves, notebooks 01 and 02: ax in, ax out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from rdlite.data import Split
from rdlite.plots import BLUE, GREEN, GREY, ORANGE, plain

HATCHES = ("", "//", "..", "xx")
COLOURS = (GREY, BLUE, ORANGE, GREEN)


def _axes(ax: Axes | None, width: float = 6.4, height: float = 4.2) -> Axes:
    return ax or plt.subplots(figsize=(width, height), layout="constrained")[1]


def examples(split: Split, per_class: int = 10, ax: Axes | None = None) -> Axes:
    """The first images of every class, a row a class, with its name and number of images."""
    ax = _axes(ax, 6.4, 5.6)
    _, channels, height, width = split.images.shape
    canvas = np.full((height * split.num_classes, width * per_class), 255, dtype=np.uint8)
    for y in range(split.num_classes):
        for i, image in enumerate(split.images[split.labels == y][:per_class]):
            mean = image.float().mean(0).byte().numpy() if channels > 1 else image[0].numpy()
            canvas[y * height : (y + 1) * height, i * width : (i + 1) * width] = 255 - mean
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    counts = split.class_counts.tolist()
    names = [f"{plain(name)} ({n:,})" for name, n in zip(split.class_names, counts, strict=True)]
    ax.set_yticks((np.arange(split.num_classes) + 0.5) * height - 0.5, names)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def gallery(images: Tensor, captions: Sequence[str], ax: Axes | None = None) -> Axes:
    """A row of images (k, c, h, w) uint8, ink on white or in colour, with a caption under each."""
    ax = _axes(ax, 1.2 * len(images) + 0.4, 1.9)
    channels, height, width = images.shape[1:]
    pitch = width + 2  # two white columns between neighbours
    canvas = np.full((height, pitch * len(images) - 2, channels), 255, dtype=np.uint8)
    for i, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        canvas[:, i * pitch : i * pitch + width] = image if channels > 1 else 255 - image
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_xticks(np.arange(len(images)) * pitch + (width - 1) / 2, captions, fontsize=8)
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def predictions_of_class(
    models: Mapping[str, Tensor],
    labels: Tensor,
    y: int,
    class_names: Sequence[str],
    ax: Axes | None = None,
) -> Axes:
    """What a few models say to the images of class ``y``: the share of each predicted class.

    Args:
        models: name -> (n, m) logits.
        labels: (n,).
        y: the class.
        class_names: m names.
        ax: where to draw; by default a new figure.
    """
    shares = {}
    for name, logits in models.items():
        said = logits[labels == y].argmax(1)
        shares[name] = torch.bincount(said, minlength=len(class_names)) / len(said)
    ax = shares_of_classes(shares, class_names, ax)
    ax.get_xticklabels()[y].set_weight("bold")
    ax.set_ylabel(f"share of the images of {plain(class_names[y])}")
    ax.set_xlabel("predicted class (bold: the right one)")
    return ax


def shares_of_classes(
    shares: Mapping[str, Tensor], class_names: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Bars of (m,) shares or probabilities side by side, a colour and a hatch for each name."""
    ax = _axes(ax, 8.0, 3.6)
    positions, width = np.arange(len(class_names)), 0.8 / len(shares)
    for i, (name, values) in enumerate(shares.items()):
        x = positions + (i - (len(shares) - 1) / 2) * width
        ax.bar(
            x,
            np.asarray(values),
            width,
            color=COLOURS[i],
            hatch=HATCHES[i],
            edgecolor="white",
            label=name,
        )
    ax.set_xticks(positions, map(plain, class_names), fontsize=8)
    ax.set(ylim=(0, 1), ylabel="probability")
    ax.legend(frameon=False, fontsize=8)
    return ax


def runs(
    models: Mapping[str, Sequence[dict]], *, floor: float | None = None, ax: Axes | None = None
) -> Axes:
    """Average and worst-class accuracy of every run of a few models, with bootstrap intervals.

    Args:
        models: name -> summaries of `rdlite.metrics.summary`, one a seed.
        floor: the worst class's expected accuracy if all classes were equal, a dotted line.
        ax: where to draw; by default a new figure.
    """
    ax = _axes(ax, 7.4, 4.2)
    names, position = [], 0.0
    for name, summaries in models.items():
        x = position + np.arange(len(summaries))
        for key, colour, marker in (("average", BLUE, "o"), ("worst", ORANGE, "v")):
            label = None if names else {"average": "average", "worst": "worst class"}[key]
            low, high = np.array([s["intervals"][key] for s in summaries]).T
            ax.vlines(x, low, high, color=colour, linewidth=2.5)
            ax.plot(x, [s[key] for s in summaries], marker, color=colour, label=label)
        names.append((x.mean(), name))
        position = x[-1] + 2
    if floor is not None:
        ax.axhline(floor, color=GREY, linestyle=":", label="floor: worst class if all were equal")
    ax.set_xticks(*zip(*names, strict=True))
    ax.set(ylim=(0, 1), xlim=(-1, position - 1), ylabel="accuracy (test set)")
    ax.legend(loc="center right", frameon=False)
    return ax


def curves(
    x: Sequence[float],
    values: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """A few curves over the same few points, both axes logarithmic, every point named."""
    ax = _axes(ax, 6.4, 3.2)
    styles = ((BLUE, "-o"), (ORANGE, "--s"), (GREEN, "-.^"), (GREY, ":D"))
    for (name, y), (colour, style) in zip(values.items(), styles, strict=False):
        ax.loglog(x, y, style, color=colour, label=name)
    ax.minorticks_off()
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False)
    return ax


def lines(
    x: Sequence[float],
    values: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    marked: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Up to four named lines over the same x; colour, dashes and (if ``marked``) markers differ."""
    ax = _axes(ax, 6.4, 3.4)
    styles = ((GREY, ":", "D"), (BLUE, "--", "s"), (ORANGE, "-", "o"), (GREEN, "-.", "^"))
    for (name, y), (colour, dashes, marker) in zip(values.items(), styles, strict=False):
        ax.plot(x, y, dashes, color=colour, marker=marker if marked else "", label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False)
    return ax
