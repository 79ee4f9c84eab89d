"""Tiny ImageNet: 200 classes of ImageNet at 64 x 64 pixels, read from the zip archive.

Its test images have no published labels, so its labelled validation images are the test set here.
They lie in one folder, and a table tells their classes.
"""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from rdlite.data import archives, pictures
from rdlite.data.archives import Archive
from rdlite.guards import checks

TOP = "tiny-imagenet-200"
TRAIN_IMAGE = re.compile(rf"{TOP}/train/([^/]+)/images/[^/]+\.JPEG")


def decode(
    path: Path, archive: Archive, pool: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Fill the (n, 3, 64, 64) pool and test set; labels, in the order of the ids, and names."""
    with archives.open_zip(path) as zipped:
        wnids = sorted(set(_text(zipped, "wnids.txt").split()))
        n, m = len(wnids), archive.classes
        checks.require(n == m, f"wnids.txt has {n} classes, expected {m}")
        train = sorted(
            (found[1], name) for name in zipped.namelist() if (found := TRAIN_IMAGE.fullmatch(name))
        )
        rows = [line.split("\t") for line in _text(zipped, "val/val_annotations.txt").splitlines()]
        val = [(row[1], f"{TOP}/val/images/{row[0]}") for row in rows if len(row) > 1]
        names = _class_names(_text(zipped, "words.txt"), wnids)
        return _fill(pool, zipped, train, wnids), _fill(test, zipped, val, wnids), names


def _text(zipped: ZipFile, name: str) -> str:
    return zipped.read(f"{TOP}/{name}").decode("utf-8")


def _class_names(words: str, wnids: list[str]) -> list[str]:
    """The first synonym of each class, with its id where two classes share it."""
    synonyms = dict(line.split("\t", 1) for line in words.splitlines() if "\t" in line)
    checks.require(set(wnids) <= set(synonyms), "words.txt does not name every class of wnids.txt")
    first = [synonyms[wnid].split(",")[0].strip() for wnid in wnids]
    return [
        f"{name} ({wnid})" if first.count(name) > 1 else name
        for name, wnid in zip(first, wnids, strict=True)
    ]


def _fill(
    images: np.ndarray, zipped: ZipFile, members: list[tuple[str, str]], wnids: list[str]
) -> np.ndarray:
    """Decode the (class, name) ``members`` into ``images``; their labels, (n,) int64."""
    from tqdm.auto import tqdm

    unique, entries = len({name for _, name in members}), len(members)
    n, side = len(images), images.shape[-1]
    words = f"{unique} images in {entries} entries, expected {n} of each"
    checks.require(unique == entries == n, words)
    unknown = sorted({wnid for wnid, _ in members} - set(wnids))
    checks.require(not unknown, f"the classes {unknown[:3]} are not in wnids.txt")
    for i, (_, name) in enumerate(tqdm(members, desc="decoding", unit="image")):
        with pictures.opened(zipped.read(name), f"{zipped.filename}/{name}") as image:
            found = image.convert("RGB")  # a grey image gets three equal channels
        w, h = found.size
        checks.require(w == h == side, f"{name} has {w} x {h} pixels, expected {side} x {side}")
        images[i] = np.asarray(found).transpose(2, 0, 1)
    return np.searchsorted(wnids, [wnid for wnid, _ in members]).astype(np.int64)  # sorted ids
