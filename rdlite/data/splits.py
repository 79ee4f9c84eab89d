"""Images with their labels, and the three splits of one data set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rdlite.guards import checks


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    Args:
        images: (n, c, h, w) uint8.
        labels: (n,) int64 in 0..m-1.
        class_names: m names.

    Raises:
        ValueError: other types or shapes, labels out of range.
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        images, labels, m = self.images, self.labels, len(self.class_names)
        checks.tensor("images", images)
        checks.tensor("labels", labels)
        good = images.ndim == 4 and images.dtype == torch.uint8
        checks.expect(good, "images", "be uint8 of shape (n, c, h, w)", checks.kind_of(images))
        good = labels.dtype == torch.int64 and labels.shape == images.shape[:1]
        wanted, cure = f"be int64 of shape ({len(images)},)", "; use labels.long()"
        checks.expect(good, "labels", wanted, checks.kind_of(labels), cure)
        checks.expect(m >= 2, "class_names", "name at least 2 classes", m)
        checks.class_indices("labels", labels, m)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """m, whether or not each class has an image here."""
        return len(self.class_names)

    @property
    def class_counts(self) -> Tensor:
        """(m,) int64, images a class."""
        return torch.bincount(self.labels, minlength=self.num_classes)

    def one_hot(self) -> Tensor:
        """The labels as an (n, m) float32 target matrix."""
        return torch.nn.functional.one_hot(self.labels, self.num_classes).float()

    def to(self, device: torch.device | str) -> Split:
        """The same split on ``device``; ValueError if this machine has none of that name."""
        checks.device("device", device)
        return Split(self.images.to(device), self.labels.to(device), self.class_names)


@dataclass(frozen=True, eq=False)
class Splits:
    """Train, held-out and test split of one data set, and the fingerprint of the draw.

    ``selection`` is for the choice of settings: images that no seed trains on or holds out;
    ``left_out`` counts those of the pool that are in no split, (m,) int64. Printed, it is a table.
    """

    name: str
    train: Split
    heldout: Split
    test: Split
    fingerprint: str
    selection: Split | None = None
    left_out: Tensor | None = None

    def __repr__(self) -> str:
        parts = [(one, getattr(self, one)) for one in ("train", "heldout", "selection", "test")]
        counts = {one: split.class_counts.tolist() for one, split in parts if split is not None}
        if self.left_out is not None:
            counts["left out"] = self.left_out.tolist()
        columns = [[one, *numbers, sum(numbers)] for one, numbers in counts.items()]
        names = ["class", *self.class_names, "together"]
        width = max(map(len, names))
        rows = zip(names, *columns, strict=True)
        lines = [f"{first:<{width}}" + "".join(f"{n:>10}" for n in rest) for first, *rest in rows]
        return "\n".join([f"{self.name}, fingerprint {self.fingerprint}", *lines])

    @property
    def num_classes(self) -> int:
        """m."""
        return self.train.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """m names."""
        return self.train.class_names

    @property
    def in_channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.train.images.shape[1]


def check_pair(train: Split, heldout: Split) -> None:
    """Both have an image of every class, and images of one shape of the same classes."""
    for name, split in (("train", train), ("heldout", heldout)):
        checks.instance(name, split, Split, f"; use splits.{name}")
        missing = (split.class_counts == 0).nonzero().flatten().tolist()
        cure = "; raise head or heldout, or leave the class out"
        wanted, got = "have an image of every class", f"none of {missing}"
        checks.expect(not missing, name, wanted, got, cure)
    own, asked = ((s.num_classes, tuple(s.images.shape[1:])) for s in (heldout, train))
    wanted = f"have the {asked[0]} classes of train and its images' shape {asked[1]}"
    checks.expect(own == asked, "heldout", wanted, f"{own[0]} and {own[1]}")
