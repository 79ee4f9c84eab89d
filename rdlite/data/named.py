"""The named data sets: where they are, and their long-tailed splits."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from rdlite.data import cifar, digits, fashion_mnist, protocol, tiny_imagenet
from rdlite.data.splits import Splits
from rdlite.guards import checks

SOURCES = {  # name: (how pool and test set are read from the data folder, pixels a side)
    "fashion-mnist": (fashion_mnist.read, 28),
    "cifar10": (partial(cifar.read, "cifar10"), 32),
    "cifar100": (partial(cifar.read, "cifar100"), 32),
    "tiny-imagenet": (tiny_imagenet.read, 64),
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

    Fashion-MNIST comes with the repository, the digits come with scikit-learn. The archives of
    the others are downloaded the first time (CIFAR 170 MB, Tiny ImageNet 248 MB) and decoded once.

    Args:
        name: ``"fashion-mnist"``, ``"cifar10"``, ``"cifar100"``, ``"tiny-imagenet"`` or
            ``"digits"``, whose pools have 6,000, 5,000, 500, 500 and about 120 images a class.
        imbalance: rho, images of the largest class over images of the smallest; 1 is balanced.
        head: images of the largest class in train; None for as many as the classes allow.
        heldout: images of the largest class in held-out (each class keeps at least 2); 0 for none.
        seed: which images are drawn. The draw uses NumPy's frozen legacy generator, so the same
            name, arguments and seed give the same images, and `Splits.fingerprint`, anywhere.
        root: the folder that holds ``FashionMNIST/raw``, ``CIFAR10`` and the like; by default
            ``$RDLITE_DATA``, else the ``data/`` folder of the repository.
        size: shrink the images to ``size`` x ``size`` pixels by averaging areas; None keeps them.
        selection: images of the largest class that are set aside for the choice of settings (each
            class keeps at least 20), the same for every seed, before train and held-out are drawn
            from the rest; 0 for none.

    Raises:
        ValueError: an argument out of range, more images asked for than a class has, or
            ``"digits"`` without scikit-learn.
        FileNotFoundError, OSError: an archive that is missing or damaged, or a download that
            failed; the message says what to do by hand.

    >>> splits = load(head=100, heldout=20, size=14)
    >>> splits.train.class_counts.tolist()
    [100, 59, 35, 21, 12, 7, 4, 2, 1, 1]
    >>> tuple(splits.test.images.shape)
    (10000, 1, 14, 14)
    """
    checks.choice("name", name, SOURCES)
    read, side = SOURCES[name]
    options = protocol.Options(
        imbalance=imbalance,
        head=head,
        heldout=heldout,
        selection=selection,
        seed=seed,
        size=size,
        side=side,
    )
    pool, test = read(Path(root or default_root()))
    return protocol.draw(name, pool, test, options)
