"""Shuffled, augmented batches from tensors that stay on the device.

The data set is one uint8 tensor, a batch is an indexed slice of it, and the augmentation runs on
the whole batch at once, so there are no worker processes and nothing travels to the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rdlite.guards import checks

PADDINGS = ("zero", "reflect")


def as_input(images: Tensor) -> Tensor:
    """uint8 pixels 0..255 to the float32 inputs -1..1 that every network here takes.

    >>> as_input(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    checks.tensor("images", images)
    checks.expect(images.dtype == torch.uint8, "images", "be uint8", images.dtype)
    return images.float().mul_(2 / 255).sub_(1)


def shuffled(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index batches of one epoch over ``n`` images in a new random order.

    Every batch is full: the images left over come in another epoch. Only a set smaller than
    ``batch_size`` makes one smaller batch.

    >>> [len(b) for b in shuffled(10, 4, torch.Generator().manual_seed(0))]
    [4, 4]
    """
    checks.integer("n", n, low=1)
    checks.integer("batch_size", batch_size, low=1)
    order = torch.randperm(n, generator=generator, device=generator.device)
    yield from order.split(int(min(batch_size, n)))[: steps_per_epoch(n, batch_size)]


def class_balanced(labels: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index batches of one epoch in which every class comes equally often on average.

    Each image is drawn by itself: first a class, then one of its images, with replacement. The
    labels, (n,) int64, hold each of 0..m-1; the generator is on their device.

    >>> labels = torch.tensor([0] * 9 + [1])
    >>> batch = next(class_balanced(labels, 8, torch.Generator().manual_seed(0)))
    >>> int((labels[batch] == 1).sum())
    6
    """
    checks.integer("batch_size", batch_size, low=1)
    checks.class_indices("labels", labels)
    counts = torch.bincount(labels)
    missing = (counts == 0).nonzero().flatten().tolist()
    good, wanted = len(labels) > 0 and not missing, "have an image of every class"
    checks.expect(good, "labels", wanted, f"none of {missing or 'any'}")
    by_class, ends = labels.argsort(stable=True), counts.cumsum(0)
    size, draw = min(batch_size, len(labels)), {"generator": generator, "device": labels.device}
    for _ in range(steps_per_epoch(len(labels), batch_size)):
        y = torch.randint(len(counts), (size,), **draw)
        place = (torch.rand(size, **draw) * counts[y]).long().clamp_max(counts[y] - 1)
        yield by_class[ends[y] - counts[y] + place]


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Full batches in an epoch, at least one.

    >>> steps_per_epoch(10, 4)
    2
    """
    return max(1, n // batch_size)


def augment(
    images: Tensor,
    generator: torch.Generator,
    *,
    shift: int = 0,
    flip: bool = False,
    padding: str = "zero",
) -> Tensor:
    """A random view of each image: moved by up to ``shift`` pixels, mirrored half of the time.

    Args:
        images: (B, c, h, w) uint8; unchanged, and the views are of the same shape and type.
        generator: on the device of the images.
        shift: largest move in each direction, pixels.
        flip: mirror left-right with probability 1/2.
        padding: what comes in from the border, ``"zero"`` (black) or the image, ``"reflect"``-ed.

    Raises:
        ValueError: a shift below 0, or as large as an image that is reflected.
    """
    everything = torch.arange(len(images), device=images.device)
    return _views(_padded(images, shift, padding), everything, generator, shift, flip)


def _padded(images: Tensor, shift: int, padding: str) -> Tensor:
    """(n, c, h + 2 shift, w + 2 shift): the images with a border to move into."""
    checks.integer("shift", shift, low=0)
    checks.choice("padding", padding, PADDINGS)
    checks.expect(images.ndim == 4, "images", "have shape (B, c, h, w)", tuple(images.shape))
    if not shift:
        return images
    if padding == "zero":
        return torch.nn.functional.pad(images, (shift,) * 4)
    side = min(images.shape[2:])
    wanted = f"be less than the image's {side} pixels where it is reflected"
    checks.expect(shift < side, "shift", wanted, shift)
    # torch's own reflection does not take uint8
    rows, columns = (np.pad(np.arange(n), shift, mode="reflect") for n in images.shape[2:])
    return images[:, :, rows[:, None], columns]


def _views(
    padded: Tensor, index: Tensor, generator: torch.Generator, shift: int, flip: bool
) -> Tensor:
    """A random window of each image of ``index``, mirrored half of the time."""
    draw = {"generator": generator, "device": padded.device}
    h, w = (size - 2 * shift for size in padded.shape[2:])
    windows = padded.unfold(2, h, 1).unfold(3, w, 1)  # (n, c, 2s+1, 2s+1, h, w), a view
    dy, dx = torch.randint(2 * shift + 1, (2, len(index)), **draw) if shift else (0, 0)
    views = windows[index, :, dy, dx]
    if flip:
        mirrored = torch.rand((len(index), 1, 1, 1), **draw) < 0.5
        views = torch.where(mirrored, views.flip(3), views)
    return views


SAMPLINGS = {  # name: index batches of one epoch for labels, batch_size, generator
    "shuffled": lambda labels, *how: shuffled(len(labels), *how),
    "class-balanced": class_balanced,
}


class Views(Iterator[tuple[Tensor, Tensor]]):
    """Endless batches, (indices (B,), augmented float inputs (B, c, h, w)), epoch after epoch.

    Its state can be kept and taken up again in the middle of an epoch. The images are padded once.

    Args:
        images, labels: (n, c, h, w) uint8 and (n,) int64.
        batch_size, sampling: see `shuffled` and `class_balanced`.
        seed: of the order and of the augmentation.
        shift, flip, padding: see `augment`.

    Raises:
        ValueError: an unknown sampling or padding, a shift out of range.

    >>> views = Views(torch.zeros(5, 1, 4, 4).byte(), torch.zeros(5).long(), batch_size=2, seed=0)
    >>> index, inputs = next(views)
    >>> index.shape, inputs.shape
    (torch.Size([2]), torch.Size([2, 1, 4, 4]))
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        seed: int,
        sampling: str = "shuffled",
        shift: int = 0,
        flip: bool = False,
        padding: str = "zero",
    ) -> None:
        checks.choice("sampling", sampling, SAMPLINGS)
        self.labels, self.batch_size, self.epoch = labels, batch_size, SAMPLINGS[sampling]
        self.padded, self.shift, self.flip = _padded(images, shift, padding), shift, flip
        self.generator = torch.Generator(images.device).manual_seed(seed)
        self.waiting: list[Tensor] = []  # the batches of this epoch that have not been shown

    def __next__(self) -> tuple[Tensor, Tensor]:
        if not self.waiting:
            self.waiting = list(self.epoch(self.labels, self.batch_size, self.generator))
        index = self.waiting.pop(0)
        return index, as_input(_views(self.padded, index, self.generator, self.shift, self.flip))

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on with the same batches."""
        return {"generator": self.generator.get_state(), "waiting": list(self.waiting)}

    def load_state_dict(self, state: dict) -> None:
        """Go on where the state was taken."""
        self.generator.set_state(state["generator"].cpu())
        self.waiting = [index.to(self.padded.device) for index in state["waiting"]]
