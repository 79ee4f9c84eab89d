"""The named data sets: where they come from, and their long-tailed splits."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rdlite.data import archives, cifar, digits, fashion_mnist, protocol, tiny_imagenet
from rdlite.data.archives import Archive
from rdlite.data.splits import Split, Splits
from rdlite.guards import checks


def _cifar(classes: int, md5: str, num_bytes: int) -> Archive:
    file = f"cifar-{classes}-binary.tar.gz"
    url = f"https://www.cs.toronto.edu/~kriz/{file}"
    return Archive(f"CIFAR{classes}/{file}", url, md5, num_bytes, 50_000, 10_000, classes, side=32)


ARCHIVES = {  # the official ones, of the sets that are downloaded
    "cifar10": _cifar(10, "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171),
    "cifar100": _cifar(100, "03b5dce01913d631647c71ecec9e9cb8", 168_513_733),
    "tiny-imagenet": Archive(
        "TinyImageNet/tiny-imagenet-200.zip",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "90528d7ca1a48142e341f4ef8d21d0de",
        248_100_043,
        train=100_000,
        test=10_000,
        classes=200,
        side=64,
    ),
}


def _archived(name: str, decode: Callable, root: Path) -> list[Split]:
    return archives.read(ARCHIVES[name], decode, root)


SOURCES = {  # name: (how pool and test set are read from the data folder, pixels a side)
    "fashion-mnist": (fashion_mnist.read, 28),
    "cifar10": (partial(_archived, "cifar10", cifar.decode), 32),
    "cifar100": (partial(_archived, "cifar100", cifar.decode), 32),
    "tiny-imagenet": (partial(_archived, "tiny-imagenet", tiny_imagenet.decode), 64),
    "digits": (digits.read, 8),
}


def default_root() -> Path:
    """The data folder: ``$RDLITE_DATA``, else ``data/`` of the repository."""
    return Path(os.environ.get("RDLITE_DATA") or Path(__file__).parents[2] / "data")


def load(
    name: str = "fashion-mnist",
    *,
    imbalance: float = 100,
    head: int | None = 1000,
    heldout: int = 200,
    seed: int = 0,
    root: str | os.PathLike | None = None,
    size: int | None = None,
    selection: int = 0,
) -> Splits:
    """Load a data set and draw its long-tailed train and held-out splits.

    Fashion-MNIST comes with the repository, the digits come with scikit-learn. The others are
    downloaded the first time (CIFAR 170 MB, Tiny ImageNet 248 MB) and decoded once.

    Args:
        name: ``"fashion-mnist"``, ``"cifar10"``, ``"cifar100"``, ``"tiny-imagenet"`` or
            ``"digits"``, whose pools have 6,000, 5,000, 500, 500 and about 120 images a class.
        imbalance: rho, images of the largest class over images of the smallest; 1 is balanced.
        head: images of the largest class in train; None for as many as the classes allow.
        heldout: images of the largest class in held-out (each class keeps at least 2); 0 for none.
        seed: which images are drawn: the same ones, with the same `Splits.fingerprint`, anywhere,
            by NumPy's frozen legacy generator.
        root: holds ``FashionMNIST/raw``, ``CIFAR10`` and the like; by default `default_root`.
        size: shrink the images to ``size`` x ``size`` pixels by averaging areas; None keeps them.
        selection: images of the largest class that are set aside for the choice of settings (each
            class keeps at least 20), the same for every seed; 0 for none.

    Raises:
        ValueError: out of range, more images asked for than a class has, no scikit-learn.
        OSError: an archive is missing or damaged; the message says what to do by hand.

    >>> splits = load(head=100, heldout=20, size=14)
    >>> splits.train.class_counts.tolist()
    [100, 59, 35, 21, 12, 7, 4, 2, 1, 1]
    >>> tuple(splits.test.images.shape)
    (10000, 1, 14, 14)
    """
    checks.choice("name", name, SOURCES)
    read, side = SOURCES[name]
    options = protocol.Options(imbalance, head, heldout, seed, selection, size, side)
    pool, test = read(Path(root or default_root()))
    return protocol.draw(name, pool, test, options)
