"""CIFAR-10 and CIFAR-100 from their binary archives.

torchvision's CIFAR classes load the archives of pickles, and a pickle can run any code. The binary
archives of the same host hold the same images as plain records.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rdlite.data import decoded
from rdlite.data.archives import Archive
from rdlite.data.packed import read_tar
from rdlite.data.splits import Split
from rdlite.guards import checks


@dataclass(frozen=True)
class Layout:
    """Files of an archive; a record is the label bytes, the last of which counts, then pixels."""

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int


LAYOUTS = {
    "cifar10": Layout(
        "cifar-10-batches-bin",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        label_bytes=1,
    ),
    "cifar100": Layout(
        "cifar-100-binary",
        ("train.bin",),
        "test.bin",
        "fine_label_names.txt",
        label_bytes=2,  # coarse, fine
    ),
}


def read(name: str, root: Path) -> tuple[Split, Split]:
    """Pool and test set of ``"cifar10"`` or ``"cifar100"``, (n, 3, 32, 32)."""
    return decoded.read(name, root, partial(_decode, LAYOUTS[name]))


def _decode(
    layout: Layout, path: Path, archive: Archive, pool: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    members = [f"{layout.folder}/{f}" for f in (*layout.train, layout.test, layout.names)]
    *train_files, test_file, names_file = read_tar(path, members).items()
    names = names_file[1].decode().split()
    checks.require(
        len(names) == archive.classes,
        f"{names_file[0]} names {len(names)} classes, expected {archive.classes}",
    )
    return _fill(pool, train_files, layout), _fill(test, [test_file], layout), names


def _fill(images: np.ndarray, parts: list[tuple[str, bytes]], layout: Layout) -> np.ndarray:
    """Copy the pixels of all records to ``images``; their labels, (n,) int64."""
    n, *shape = images.shape
    record = layout.label_bytes + int(np.prod(shape))
    for file, content in parts:
        checks.require(
            len(content) % record == 0,
            f"{file} must be whole records of {record} bytes, got {len(content)} bytes",
        )
    total = sum(len(content) for _, content in parts) // record
    checks.require(total == n, f"{parts[0][0]} and its like have {total} images, expected {n}")
    records = [np.frombuffer(content, np.uint8).reshape(-1, record) for _, content in parts]
    start = 0
    for rows in records:
        images[start : start + len(rows)] = rows[:, layout.label_bytes :].reshape(-1, *shape)
        start += len(rows)
    return np.concatenate([rows[:, layout.label_bytes - 1] for rows in records]).astype(np.int64)
