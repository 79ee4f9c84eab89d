"""Shuffled, augmented batches from tensors that stay on the device.

The data set is one uint8 tensor, a batch is an indexed slice of it, and the augmentation runs on
the whole batch at once, so there are no worker processes and nothing travels to the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rdlite.guards import checks

SAMPLINGS = ("shuffled", "class-balanced")
PADDINGS = ("zero", "reflect")


def as_input(images: Tensor) -> Tensor:
    """uint8 pixels 0..255 to the float32 inputs -1..1 that every network here takes.

    >>> as_input(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    if not (isinstance(images, Tensor) and images.dtype == torch.uint8):
        checks.tensor("images", images)
        raise ValueError(f"images must be uint8, got {images.dtype}")
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
    size = min(batch_size, n)
    for i in range(steps_per_epoch(n, batch_size)):
        yield order[i * size : (i + 1) * size]


def class_balanced(labels: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index batches of one epoch in which every class comes equally often on average.

    Each image is drawn by itself: first a class, then one of its images, with replacement.

    Args:
        labels: (n,) int64, each of 0..m-1 at least once.
        batch_size: images a batch.
        generator: on the device of the labels.

    >>> labels = torch.tensor([0] * 9 + [1])
    >>> batch = next(class_balanced(labels, 8, torch.Generator().manual_seed(0)))
    >>> int((labels[batch] == 1).sum())
    6
    """
    checks.integer("batch_size", batch_size, low=1)
    checks.class_indices("labels", labels)
    counts = torch.bincount(labels)
    missing = (counts == 0).nonzero().flatten().tolist()
    checks.require(
        len(labels) > 0 and not missing,
        f"labels must have an image of every class, got none of {missing or 'any'}",
    )
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
        images: (B, c, h, w) uint8.
        generator: on the device of the images.
        shift: largest move in each direction, pixels.
        flip: mirror left-right with probability 1/2.
        padding: what comes in from the border, ``"zero"`` (black) or the image, ``"reflect"``-ed.

    Returns:
        (B, c, h, w) uint8; ``images`` itself is unchanged.

    Raises:
        ValueError: a shift below 0, or as large as an image that is reflected.
    """
    checks.integer("shift", shift, low=0)
    checks.choice("padding", padding, PADDINGS)
    if images.ndim != 4:
        raise ValueError(f"images must have shape (B, c, h, w), got {tuple(images.shape)}")
    n, _, h, w = images.shape
    draw = {"generator": generator, "device": images.device}
    if shift:
        padded = _padded(images, shift, padding)
        windows = padded.unfold(2, h, 1).unfold(3, w, 1)  # (B, c, 2s+1, 2s+1, h, w), a view
        dy, dx = torch.randint(2 * shift + 1, (2, n), **draw)
        images = windows[torch.arange(n, device=images.device), :, dy, dx]
    if flip:
        mirrored = torch.rand((n, 1, 1, 1), **draw) < 0.5
        images = torch.where(mirrored, images.flip(3), images)
    return images


def _padded(images: Tensor, shift: int, padding: str) -> Tensor:
    if padding == "zero":
        return torch.nn.functional.pad(images, (shift,) * 4)
    h, w = images.shape[2:]
    checks.require(
        shift < min(h, w),
        f"shift must be less than the image's {min(h, w)} pixels where it is reflected, "
        f"got {shift}",
    )  # torch's own reflection does not take uint8
    rows, columns = (_reflected(size, shift, images.device) for size in (h, w))
    return images[:, :, rows][:, :, :, columns]


def _reflected(size: int, shift: int, device: torch.device) -> Tensor:
    """Positions -shift .. size - 1 + shift as those of the image, mirrored at its outer pixels."""
    place = torch.arange(-shift, size + shift, device=device).abs()
    return (size - 1) - ((size - 1) - place).abs()


class Views(Iterator[tuple[Tensor, Tensor]]):
    """Endless batches, (indices (B,), augmented float inputs (B, c, h, w)), epoch after epoch.

    Its state can be kept and taken up again in the middle of an epoch.

    Args:
        images: (n, c, h, w) uint8.
        labels: (n,) int64.
        batch_size, sampling: see `shuffled` and `class_balanced`.
        seed: of the order and of the augmentation.
        augmentation: options of `augment`.

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
        **augmentation: object,
    ) -> None:
        checks.choice("sampling", sampling, SAMPLINGS)
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.sampling, self.augmentation = sampling, augmentation
        self.generator = torch.Generator(images.device).manual_seed(seed)
        self.waiting: list[Tensor] = []  # the batches of this epoch that have not been shown

    def __next__(self) -> tuple[Tensor, Tensor]:
        if not self.waiting:
            self.waiting = list(self._epoch())
        index = self.waiting.pop(0)
        view = augment(self.images[index], self.generator, **self.augmentation)
        return index, as_input(view)

    def _epoch(self) -> Iterator[Tensor]:
        if self.sampling == "class-balanced":
            return class_balanced(self.labels, self.batch_size, self.generator)
        return shuffled(len(self.images), self.batch_size, self.generator)

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on with the same batches."""
        return {"generator": self.generator.get_state(), "waiting": list(self.waiting)}

    def load_state_dict(self, state: dict) -> None:
        """Go on where the state was taken."""
        self.generator.set_state(state["generator"].cpu())
        self.waiting = [index.to(self.images.device) for index in state["waiting"]]
