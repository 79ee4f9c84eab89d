"""An archive decoded once: its arrays are kept as .npy files beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from rdlite.data.archives import ARCHIVES, Archive, fetch
from rdlite.data.splits import Split
from rdlite.guards import checks, files

# (archive's path, its entry, (n, 3, s, s) arrays of pool and test to fill) -> their labels, names
Decode = Callable[[Path, Archive, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, list[str]]]


def read(name: str, root: Path, decode: Decode) -> tuple[Split, Split]:
    """Pool and test set of the archive ``name``, which is fetched and decoded where needed.

    The images of the pool stay on the disk until they are drawn.

    Raises:
        OSError: the archive cannot be had, is damaged, or does not hold what it should.
    """
    archive = ARCHIVES[name]
    folder = (root / archive.file).parent / f"decoded-{archive.md5[:8]}"
    found = _stored(folder, archive)
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            found = _stored(folder, archive)  # by now another process may have done it
            if found is None:
                _decode_into(folder, archive, fetch(archive, root), decode)
                found = _stored(folder, archive)
    if found is None:
        raise OSError(f"{folder} was written and cannot be read back; delete it and try again")
    return found


def _decode_into(folder: Path, archive: Archive, path: Path, decode: Decode) -> None:
    shape = (3, archive.side, archive.side)
    try:
        with (
            files.whole(folder / "train_images.npy") as pool_file,
            files.whole(folder / "test_images.npy") as test_file,
        ):
            pool = np.lib.format.open_memmap(pool_file, "w+", np.uint8, (archive.train, *shape))
            test = np.lib.format.open_memmap(test_file, "w+", np.uint8, (archive.test, *shape))
            files.reserve(pool_file)
            files.reserve(test_file)
            pool_labels, test_labels, names = decode(path, archive, pool, test)
            for part, labels in (("train", pool_labels), ("test", test_labels)):
                _check_classes(part, labels, archive.classes)
            del pool, test  # closed before they get their names
    except ValueError as error:
        raise OSError(f"{path} does not hold what it should: {error}") from error
    small = {"train_labels": pool_labels, "test_labels": test_labels, "class_names": names}
    for key, array in small.items():
        with files.whole(folder / f"{key}.npy") as unfinished, unfinished.open("wb") as file:
            np.save(file, np.asarray(array), allow_pickle=False)


def _check_classes(part: str, labels: np.ndarray, classes: int) -> None:
    seen = np.unique(labels)
    checks.require(
        np.array_equal(seen, np.arange(classes)),
        f"its {part} part shows {len(seen)} classes, expected labels 0..{classes - 1}",
    )


def _stored(folder: Path, archive: Archive) -> tuple[Split, Split] | None:
    """What an earlier call has kept, or None where a file is missing or not as it should be."""
    try:
        names = np.load(folder / "class_names.npy", allow_pickle=False)
        parts = []
        for part, n in (("train", archive.train), ("test", archive.test)):
            # "c": read on demand, and never written back
            images = np.load(folder / f"{part}_images.npy", mmap_mode="c", allow_pickle=False)
            labels = np.load(folder / f"{part}_labels.npy", allow_pickle=False)
            if images.shape != (n, 3, archive.side, archive.side) or labels.shape != (n,):
                return None
            if names.shape != (archive.classes,):
                return None
            images = torch.from_numpy(images if part == "train" else np.array(images))
            parts.append(Split(images, torch.from_numpy(labels), tuple(map(str, names))))
    except (OSError, ValueError, TypeError, EOFError):
        return None
    return parts[0], parts[1]
