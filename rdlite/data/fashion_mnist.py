"""Fashion-MNIST from the four official archives, which come with the repository."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch

from rdlite.data import archives
from rdlite.data.splits import Split
from rdlite.guards import files

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


def read(root: Path) -> tuple[Split, Split]:
    """The pool of 60,000 and the test set of 10,000 images, (n, 1, 28, 28)."""
    raw = root / "FashionMNIST" / "raw"
    unpacked = [_unpack(raw / file, *whole) for file, whole in FASHION_MNIST_ARCHIVES.items()]
    arrays = [torch.from_numpy(np.fromfile(file, np.uint8)) for file in unpacked]
    pool, test = (  # without the headers, 16 bytes before pixels and 8 before labels
        Split(pixels[16:].view(-1, 1, 28, 28), labels[8:].long(), FASHION_MNIST_CLASSES)
        for pixels, labels in (arrays[:2], arrays[2:])
    )
    return pool, test


def _unpack(archive: Path, md5: str, unpacked_bytes: int) -> Path:
    """The unpacked copy beside ``archive``, written unless a whole one is there."""
    target = archive.with_suffix("")
    if target.exists() and target.stat().st_size == unpacked_bytes:
        return target
    remedy = (
        "restore it with 'git checkout -- data', or copy the official archive of Fashion-MNIST "
        "there (data/README.md says where it comes from)"
    )
    if not archive.exists():
        raise FileNotFoundError(f"{archive} is missing, expected with MD5 {md5}; {remedy}")
    archives.check_sum(archive, md5, remedy)
    with files.whole(target) as file:
        file.write_bytes(gzip.decompress(archive.read_bytes()))
    return target
