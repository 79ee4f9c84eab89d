"""CIFAR-10 and CIFAR-100 from their binary archives.

torchvision's CIFAR classes load the archives of pickles, and a pickle can run any code. The binary
archives of the same host hold the same images as plain records: the bytes of the label, the last of
which counts, then the pixels.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from rdlite.data import archives
from rdlite.data.hosts import Archive
from rdlite.data.splits import Split
from rdlite.guards import checks

FILES = {  # name: of the pool, of the test set, of the class names
    "cifar10": [
        *(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
        "cifar-10-batches-bin/test_batch.bin",
        "cifar-10-batches-bin/batches.meta.txt",
    ],
    "cifar100": [
        "cifar-100-binary/train.bin",
        "cifar-100-binary/test.bin",
        "cifar-100-binary/fine_label_names.txt",
    ],
}
LABEL_BYTES = {"cifar10": 1, "cifar100": 2}  # 2: coarse, fine


def read(name: str, root: Path) -> tuple[Split, Split]:
    """Pool and test set of ``"cifar10"`` or ``"cifar100"``, (n, 3, 32, 32)."""
    return archives.read(name, root, partial(_decode, name))


def _decode(
    name: str, path: Path, archive: Archive, pool: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    *parts, (names_file, text) = archives.read_tar(path, FILES[name]).items()
    names, label_bytes = text.decode().split(), LABEL_BYTES[name]
    checks.require(
        len(names) == archive.classes,
        f"{names_file} names {len(names)} classes, expected {archive.classes}",
    )
    return _fill(pool, parts[:-1], label_bytes), _fill(test, parts[-1:], label_bytes), names


def _fill(images: np.ndarray, parts: list[tuple[str, bytes]], label_bytes: int) -> np.ndarray:
    """Copy the pixels of all records to ``images``; their labels, (n,) int64."""
    n, record = len(images), label_bytes + images[0].size
    for file, content in parts:
        checks.require(
            len(content) % record == 0,
            f"{file} must be whole records of {record} bytes, got {len(content)} bytes",
        )
    content = b"".join(content for _, content in parts)
    rows = np.frombuffer(content, np.uint8).reshape(-1, record)
    total = len(rows)
    checks.require(total == n, f"{parts[0][0]} and its like have {total} images, expected {n}")
    images.reshape(n, -1)[:] = rows[:, label_bytes:]
    return rows[:, label_bytes - 1].astype(np.int64)
