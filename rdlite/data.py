"""Named data sets as long-tailed splits of plain tensors.

The training pool of a data set is cut into train and held-out, both with the same exponential
profile; the official test set stays whole. Nothing is ever chosen on the test set.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rdlite import checks

FASHION_MNIST_CLASSES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FASHION_MNIST_ARCHIVES = {  # file: (MD5 of the archive, bytes when unpacked)
    "train-images-idx3-ubyte.gz": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 47_040_016),
    "train-labels-idx1-ubyte.gz": ("25c81989df183df01b3e8a0aad5dffbe", 60_008),
    "t10k-images-idx3-ubyte.gz": ("bef4ecab320f06d8554ea6380940ec79", 7_840_016),
    "t10k-labels-idx1-ubyte.gz": ("bb300cfdad3c16e7a12a480ee83cd310", 10_008),
}


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
        checks.require(
            images.ndim == 4 and images.dtype == torch.uint8,
            f"images must be uint8 of shape (n, c, h, w), got {images.dtype} {tuple(images.shape)}",
        )
        checks.require(
            labels.dtype == torch.int64 and labels.shape == images.shape[:1],
            f"labels must be int64 of shape ({len(images)},), "
            f"got {labels.dtype} {tuple(labels.shape)}; use labels.long()",
        )
        checks.require(m >= 2, f"class_names must name at least 2 classes, got {m}")
        if len(labels):
            low, high = int(labels.min()), int(labels.max())
            checks.require(
                low >= 0 and high < m, f"labels must be in 0..{m - 1}, got {low}..{high}"
            )

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
        """The same split on ``device``."""
        return Split(self.images.to(device), self.labels.to(device), self.class_names)


@dataclass(frozen=True, eq=False)
class Splits:
    """Train, held-out and test split of one data set, and the fingerprint of the draw."""

    name: str
    train: Split
    heldout: Split
    test: Split
    fingerprint: str

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


def long_tail_counts(
    head: int, num_classes: int, imbalance: float, *, at_least: int = 0
) -> list[int]:
    """Images a class, ``floor(head * imbalance^(-k/(m-1)))`` for class k = 0..m-1.

    Args:
        head: images of class 0.
        num_classes: m.
        imbalance: images of the first class over images of the last one, at least 1.
        at_least: raise smaller counts to this many.

    >>> long_tail_counts(1000, 3, 100)
    [1000, 100, 10]
    """
    checks.whole("head", head, low=0)
    checks.whole("num_classes", num_classes, low=2)
    checks.number("imbalance", imbalance, low=1)
    exponents = [-k / (num_classes - 1) for k in range(num_classes)]
    return [max(at_least, int(head * imbalance**e + 1e-9)) for e in exponents]


def load(
    name: str = "fashion-mnist",
    *,
    imbalance: float = 100,
    head: int = 1000,
    heldout: int = 200,
    seed: int = 0,
    root: str | os.PathLike | None = None,
    size: int | None = None,
) -> Splits:
    """Load a data set and draw its long-tailed train and held-out splits.

    Args:
        name: ``"fashion-mnist"``.
        imbalance: rho, images of the largest class over images of the smallest; 1 is balanced.
        head: images of the largest class in train.
        heldout: images of the largest class in held-out (each class keeps at least 2); 0 for none.
        seed: which images are drawn. The draw uses NumPy's frozen legacy generator, so the same
            name, arguments and seed give the same images, and `Splits.fingerprint`, anywhere.
        root: the folder that holds ``FashionMNIST/raw``; by default ``$RDLITE_DATA``, else the
            ``data/`` folder of the repository.
        size: shrink the images to ``size`` x ``size`` pixels by averaging areas; None keeps them.

    Raises:
        ValueError: an argument out of range, or more images asked for than a class has.
        FileNotFoundError, OSError: an archive that is missing or damaged.

    >>> splits = load(head=100, heldout=20, size=14)
    >>> splits.train.class_counts.tolist()
    [100, 59, 35, 21, 12, 7, 4, 2, 1, 1]
    >>> tuple(splits.test.images.shape)
    (10000, 1, 14, 14)
    """
    checks.choice("name", name, ["fashion-mnist"])
    checks.whole("head", head, low=1)
    checks.whole("heldout", heldout, low=0)
    checks.whole("seed", seed, low=0, high=2**32 - 1)
    if size is not None:
        checks.whole("size", size, low=4, high=28)
    root = Path(root or os.environ.get("RDLITE_DATA") or Path(__file__).parents[1] / "data")
    pool, test = _fashion_mnist(root)
    m = pool.num_classes
    train_counts = long_tail_counts(head, m, imbalance, at_least=1)
    heldout_counts = long_tail_counts(heldout, m, imbalance, at_least=2 if heldout else 0)
    train, held, fingerprint = _draw(name, pool.labels, train_counts, heldout_counts, seed)
    return Splits(
        name,
        train=_take(pool, train, size),
        heldout=_take(pool, held, size),
        test=_take(test, slice(None), size),
        fingerprint=fingerprint,
    )


def _draw(
    name: str, labels: Tensor, train_counts: list[int], heldout_counts: list[int], seed: int
) -> tuple[Tensor, Tensor, str]:
    """Indices of train and held-out, disjoint, and the hash that identifies them."""
    random = np.random.RandomState(seed)
    train, heldout = [], []
    for k, (n_train, n_heldout) in enumerate(zip(train_counts, heldout_counts, strict=True)):
        members = random.permutation(np.flatnonzero(labels.numpy() == k))
        checks.require(
            n_train + n_heldout <= len(members),
            f"head and heldout ask for {n_train} + {n_heldout} images of class {k}, "
            f"which has {len(members)}; lower head or heldout",
        )
        train.append(members[:n_train])
        heldout.append(members[n_train : n_train + n_heldout])
    parts = [np.concatenate(part).astype("<i8") for part in (train, heldout)]
    digest = hashlib.sha256(b"|".join([name.encode(), *(p.tobytes() for p in parts)]))
    return torch.from_numpy(parts[0]), torch.from_numpy(parts[1]), digest.hexdigest()[:16]


def _take(split: Split, indices: Tensor | slice, size: int | None) -> Split:
    images = split.images[indices]
    if size is not None and size != images.shape[-1] and len(images):
        pooled = torch.nn.functional.adaptive_avg_pool2d(images.float(), size)
        images = pooled.round().to(torch.uint8)
    return Split(images, split.labels[indices], split.class_names)


def _fashion_mnist(root: Path) -> tuple[Split, Split]:
    # imported here: it would double the time of `import rdlite`
    from torchvision.datasets import FashionMNIST

    raw = root / "FashionMNIST" / "raw"
    for file, (md5, unpacked_bytes) in FASHION_MNIST_ARCHIVES.items():
        _unpack(raw / file, md5, unpacked_bytes)
    parts = []
    for is_train in (True, False):
        part = FashionMNIST(root, train=is_train)
        parts.append(Split(part.data[:, None], part.targets.long(), FASHION_MNIST_CLASSES))
    return parts[0], parts[1]


def _unpack(archive: Path, md5: str, unpacked_bytes: int) -> None:
    """Write the unpacked copy beside ``archive`` unless a whole one is there."""
    target = archive.with_suffix("")
    if target.exists() and target.stat().st_size == unpacked_bytes:
        return
    remedy = (
        "restore it with 'git checkout -- data', or copy the official archive of Fashion-MNIST "
        "there (data/README.md says where it comes from)"
    )
    if not archive.exists():
        raise FileNotFoundError(f"{archive} is missing, expected with MD5 {md5}; {remedy}")
    packed = archive.read_bytes()
    found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if found != md5:
        raise OSError(
            f"{archive} is damaged: expected MD5 {md5}, got {found} ({len(packed)} bytes); {remedy}"
        )
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.part")
    unfinished.write_bytes(gzip.decompress(packed))
    os.replace(unfinished, target)  # atomic: another process never sees half a file
