"""The official archives: where they come from, and what is in them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """An official archive and what is in it; every image has 3 channels."""

    file: str  # where it lies below the data folder
    url: str
    md5: str  # CIFAR's page publishes its own, Tiny ImageNet's is the one in wide use
    num_bytes: int
    train: int  # labelled images for the pool
    test: int
    classes: int
    side: int  # pixels


def _cifar(classes: int, md5: str, num_bytes: int) -> Archive:
    file = f"cifar-{classes}-binary.tar.gz"
    url = f"https://www.cs.toronto.edu/~kriz/{file}"
    return Archive(f"CIFAR{classes}/{file}", url, md5, num_bytes, 50_000, 10_000, classes, side=32)


ARCHIVES = {
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
