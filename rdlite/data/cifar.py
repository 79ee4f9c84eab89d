"""CIFAR-10 and CIFAR-100 from their binary archives.

torchvision's CIFAR classes load the archives of pickles, and a pickle can run any code. The binary
archives of the same host hold the same images as plain records: the bytes of the label, the last of
which counts, then the pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rdlite.data import archives
from rdlite.data.archives import Archive
from rdlite.guards import checks

FILES = {  # classes: of the pool, of the test set, of the class names
    10: [
        *(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
        "cifar-10-batches-bin/test_batch.bin",
        "cifar-10-batches-bin/batches.meta.txt",
    ],
    100: [
        "cifar-100-binary/train.bin",
        "cifar-100-binary/test.bin",
        "cifar-100-binary/fine_label_names.txt",
    ],
}
LABEL_BYTES = {10: 1, 100: 2}  # 2: coarse, fine


def decode(
    path: Path, archive: Archive, pool: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Fill the (n, 3, 32, 32) pool and test set; returns their labels and the class names."""
    m = archive.classes
    *parts, (names_file, text) = archives.read_tar(path, FILES[m]).items()
    names = text.decode().split()
    checks.require(len(names) == m, f"{names_file} names {len(names)} classes, expected {m}")
    return _fill(pool, parts[:-1], LABEL_BYTES[m]), _fill(test, parts[-1:], LABEL_BYTES[m]), names


def _fill(images: np.ndarray, parts: list[tuple[str, bytes]], label_bytes: int) -> np.ndarray:
    """Copy the pixels of all records to ``images``; their labels, (n,) int64."""
    n, record = len(images), label_bytes + images[0].size
    for file, content in parts:
        good, wanted = len(content) % record == 0, f"be whole records of {record} bytes"
        checks.expect(good, file, wanted, f"{len(content)} bytes")
    rows = np.frombuffer(b"".join(content for _, content in parts), np.uint8).reshape(-1, record)
    total = len(rows)
    checks.require(total == n, f"{parts[0][0]} and its like have {total} images, expected {n}")
    images.reshape(n, -1)[:] = rows[:, label_bytes:]
    return rows[:, label_bytes - 1].astype(np.int64)
