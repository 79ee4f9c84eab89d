"""Shuffled, augmented batches from tensors that stay on the device.

The data set is one uint8 tensor, a batch is an indexed slice of it, and the augmentation runs on
the whole batch at once, so there are no worker processes and nothing travels to the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rdlite import checks


def as_input(images: Tensor) -> Tensor:
    """uint8 pixels 0..255 to the float32 inputs -1..1 that every network here takes.

    >>> as_input(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    checks.require(images.dtype == torch.uint8, f"images must be uint8, got {images.dtype}")
    return images.float().mul_(2 / 255).sub_(1)


def shuffled(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index batches of one epoch over ``n`` images in a new random order.

    Every batch is full: the images left over come in another epoch. Only a set smaller than
    ``batch_size`` makes one smaller batch.

    >>> [len(b) for b in shuffled(10, 4, torch.Generator().manual_seed(0))]
    [4, 4]
    """
    checks.whole("n", n, low=1)
    checks.whole("batch_size", batch_size, low=1)
    order = torch.randperm(n, generator=generator, device=generator.device)
    size = min(batch_size, n)
    for i in range(steps_per_epoch(n, batch_size)):
        yield order[i * size : (i + 1) * size]


def uniform(labels: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index batches of one epoch in which every class comes equally often on average.

    Each image is drawn by itself: first a class, then one of its images, with replacement.

    Args:
        labels: (n,) int64, each of 0..m-1 at least once.
        batch_size: images a batch.
        generator: on the device of the labels.

    >>> labels = torch.tensor([0] * 9 + [1])
    >>> batch = next(uniform(labels, 8, torch.Generator().manual_seed(0)))
    >>> int((labels[batch] == 1).sum())
    6
    """
    checks.whole("batch_size", batch_size, low=1)
    counts = torch.bincount(labels)
    checks.require(bool((counts > 0).all()), "labels must have an image of every class")
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
    images: Tensor, generator: torch.Generator, *, shift: int = 0, flip: bool = False
) -> Tensor:
    """A random view of each image: moved by up to ``shift`` pixels, mirrored half of the time.

    Args:
        images: (B, c, h, w) uint8; the moved image is filled with 0 from the border.
        generator: on the device of the images.
        shift: largest move in each direction, pixels.
        flip: mirror left-right with probability 1/2.

    Returns:
        (B, c, h, w) uint8; ``images`` itself is unchanged.
    """
    checks.whole("shift", shift, low=0)
    n, _, h, w = images.shape
    draw = {"generator": generator, "device": images.device}
    if shift:
        padded = torch.nn.functional.pad(images, (shift,) * 4)
        windows = padded.unfold(2, h, 1).unfold(3, w, 1)  # (B, c, 2s+1, 2s+1, h, w), a view
        dy, dx = torch.randint(2 * shift + 1, (2, n), **draw)
        images = windows[torch.arange(n, device=images.device), :, dy, dx]
    if flip:
        mirrored = torch.rand((n, 1, 1, 1), **draw) < 0.5
        images = torch.where(mirrored, images.flip(3), images)
    return images
