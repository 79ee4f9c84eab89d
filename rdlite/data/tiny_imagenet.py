"""Tiny ImageNet: 200 classes of ImageNet at 64 x 64 pixels, read from the zip archive.

Its test images have no published labels, so its labelled validation images are the test set here.
They lie in one folder, and a table tells their classes.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from rdlite.data import decoded
from rdlite.data.archives import Archive
from rdlite.data.packed import open_zip
from rdlite.data.splits import Split
from rdlite.guards import checks

TOP = "tiny-imagenet-200"
TRAIN_IMAGE = re.compile(rf"{TOP}/train/([^/]+)/images/[^/]+\.JPEG")


def read(root: Path) -> tuple[Split, Split]:
    """Pool and test set, (n, 3, 64, 64); the classes are in the order of their WordNet ids."""
    return decoded.read("tiny-imagenet", root, _decode)


def _decode(
    path: Path, archive: Archive, pool: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    with open_zip(path) as zipped:
        wnids = sorted(set(_text(zipped, "wnids.txt").split()))
        checks.require(
            len(wnids) == archive.classes,
            f"wnids.txt has {len(wnids)} classes, expected {archive.classes}",
        )
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

    unique = len({name for _, name in members})
    checks.require(
        unique == len(members) == len(images),
        f"{unique} images in {len(members)} entries, expected {len(images)} of each",
    )
    index = {wnid: k for k, wnid in enumerate(wnids)}
    unknown = sorted({wnid for wnid, _ in members} - set(wnids))
    checks.require(not unknown, f"the classes {unknown[:3]} are not in wnids.txt")
    for i, (_, name) in enumerate(tqdm(members, desc="decoding", unit="image")):
        images[i] = _pixels(zipped.read(name), name, images.shape[-1])
    return np.array([index[wnid] for wnid, _ in members], dtype=np.int64)


def _pixels(content: bytes, name: str, side: int) -> np.ndarray:
    """(3, side, side) uint8; a grey image gets three equal channels."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG"]) as image:
            size = image.size
            if size == (side, side):
                return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} is not a readable image: {error}") from error
    raise ValueError(f"{name} has {size[0]} x {size[1]} pixels, expected {side} x {side}")
