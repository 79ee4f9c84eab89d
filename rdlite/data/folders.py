"""A folder of image files: each file is an image of a class, or counted aloud."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from rdlite.data import pictures
from rdlite.data.splits import Split
from rdlite.guards import checks

BY_SYSTEMS = {"__macosx", "@eadir", "$recycle.bin", "thumbs.db", "ehthumbs.db", "desktop.ini"}
Files = dict[Path, list[Path]]  # the images in each class folder


def find(path: Path, class_names: Sequence[str] | None) -> tuple[tuple[str, ...], list[Files]]:
    """Class names, and the image files of the pool and, where there is one, of the test set.

    Every other file is counted in a warning, but those that are hidden or a system's own.

    Raises:
        ValueError: class folders that differ between train and test, a class without images.
        FileNotFoundError: no such folder.
    """
    split = any((path / part).is_dir() for part in ("train", "test"))
    folders = [path / "train", path / "test"] if split else [path]
    in_pool, *in_test = map(_classes, folders)
    for found in in_test:
        words = f"{folders[0]} and {folders[1]} must have the same class folders; only one of them"
        alone = sorted({*in_pool} ^ {*found})
        checks.require(not alone, f"{words} has {alone}")
    names = tuple(in_pool if class_names is None else class_names)
    wanted = f"be the class folders {in_pool} in some order"
    checks.expect(sorted(names) == in_pool, "class_names", wanted, repr(class_names))
    images = [{folder / name: _images(folder / name) for name in names} for folder in folders]
    read = {file for part in images for files in part.values() for file in files}
    others = [file for file in _below(path) if file not in read]
    if others:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in Counter(map(_kind, others)).items())
        words = f"{len(others):,} files below {path} are not read: {kinds}"
        warnings.warn(f"{words}; the first is {others[0]}", stacklevel=3)
    return names, images


def read(
    files: Files, names: tuple[str, ...], size: int, in_channels: int, background: str
) -> tuple[Split, str]:
    """The images in the ``files``, and a hash of the names and bytes of the files."""
    every = [(folder, file) for folder, found in files.items() for file in found]
    digest = hashlib.sha256()

    def pixels(i: int) -> np.ndarray:
        folder, file = every[i]
        content, place = file.read_bytes(), os.fsencode(file.relative_to(folder.parent).as_posix())
        digest.update(place + f"/{len(content)}/".encode() + content)
        with pictures.opened(content, file, pictures.formats()) as image:
            image.draft(None, (4 * size, 4 * size))  # of a large .jpg, fewer pixels are decoded
            return pictures.fitted(image, size, in_channels, background)

    labels = torch.arange(len(names)).repeat_interleave(torch.tensor([*map(len, files.values())]))
    return Split(pictures.gather(len(every), pixels), labels, names), digest.hexdigest()


def grouped(groups: str | Callable[[Path], Hashable], parts: list[Files]) -> list[Hashable]:
    """The group of each image of the pool: what a regular expression matches of its file's name.

    Raises:
        ValueError: no regular expression, one that does not match, a group in pool and test set.
    """

    def of(file: Path) -> Hashable:
        found = groups(file) if callable(groups) else re.match(groups, file.name)
        wanted, cure = "match the start of every file name", "; '[^_]+' is what comes before a '_'"
        checks.expect(found is not None, "groups", wanted, f"{groups!r} for {file.name!r}", cure)
        return found[0] if isinstance(found, re.Match) else found

    try:
        pool, *test = [[of(file) for files in part.values() for file in files] for part in parts]
    except (re.error, TypeError) as error:
        wanted = "be a function of a path, or a regular expression"
        checks.expect(False, "groups", wanted, f"{groups!r} ({error})")
    both = sorted(map(repr, {*pool}.intersection(*test))) if test else []
    wanted = "keep train and test apart"
    checks.expect(not both, "groups", wanted, f"{len(both)} in both, such as {', '.join(both[:3])}")
    return pool


def _shown(path: Path) -> bool:
    return path.name[0] != "." and path.name.lower() not in BY_SYSTEMS


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        cure = f"; without {folder} give {folder.parent}/train" if folder.name == "test" else ""
        raise FileNotFoundError(f"{folder} is missing; it must hold a folder for each class{cure}")
    found = sorted(one.name for one in folder.iterdir() if one.is_dir() and _shown(one))
    checks.expect(len(found) >= 2, str(folder), "hold at least 2 class folders", found)
    odd = [name for name in found if not name.isprintable()]
    checks.expect(not odd, str(folder), "hold folders whose names can be printed", odd)
    return found


def _below(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """The visible files in a folder and in the folders in it, in order."""
    if (real := folder.resolve()) not in above:  # else a link has led back
        for path in filter(_shown, sorted(folder.iterdir())):
            if path.is_dir():
                yield from _below(path, above | {real})
            else:
                yield path


def _images(folder: Path) -> list[Path]:
    found = [file for file in _below(folder) if file.suffix.lower() in pictures.endings()]
    words = f"{folder} must hold an image of a format that Pillow reads; got none"
    checks.require(bool(found), words)
    return found


def _kind(file: Path) -> str:
    """What is said of a file that is not read."""
    ending = file.suffix.lower()
    return f"{ending} in no class folder" if ending in pictures.endings() else ending or "no ending"
