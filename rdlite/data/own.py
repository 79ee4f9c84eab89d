"""Your own images under the same protocol: from arrays, or from a folder of files."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rdlite.data import pictures, protocol
from rdlite.data.splits import Split, Splits
from rdlite.guards import checks

ENDINGS = (".png", ".jpg", ".jpeg")
Array = np.ndarray | Tensor


def from_arrays(
    images: Array,
    labels: Array,
    *,
    test_images: Array,
    test_labels: Array,
    class_names: Sequence[str] | None = None,
    imbalance: float = 100,
    head: int | None = None,
    heldout: int = 20,
    seed: int = 0,
    size: int | None = None,
    selection: int = 0,
    name: str = "mine",
) -> Splits:
    """Draw long-tailed train and held-out splits from images in memory.

    Args:
        images: (n, c, h, w) uint8, the pool of which train and held-out are drawn; copied.
        labels: (n,) whole numbers, every class of 0..m-1 at least once. Class 0 is the largest
            class of the long tail and class m-1 the smallest.
        test_images: (n', c, h, w) uint8, kept whole, best with equally many of each class.
        test_labels: (n',) like ``labels``.
        class_names: m names; by default the numbers.
        imbalance, head, heldout, seed, size, selection: see `rdlite.data.load`.
        name: of the data set. The fingerprint covers the pixels too.

    Raises:
        ValueError: other types or shapes, a class without images, more asked for than there are.

    >>> pixels, labels = np.zeros((60, 1, 8, 8), np.uint8), np.arange(60) % 3
    >>> splits = from_arrays(pixels, labels, test_images=pixels, test_labels=labels, heldout=4)
    >>> splits.train.class_counts.tolist(), splits.heldout.class_counts.tolist()
    ([16, 1, 1], [4, 2, 2])
    """
    pool = _split("", images, labels, class_names)
    test = _split("test_", test_images, test_labels, pool.class_names)
    shape, came = (tuple(split.images.shape[1:]) for split in (pool, test))
    wanted = f"have the shape of images after the first axis, {shape}"
    checks.expect(came == shape, "test_images", wanted, came)
    options = protocol.Options(imbalance, head, heldout, seed, selection, size, min(shape[1:]))
    content = hashlib.sha256()
    for part in (pool.images, pool.labels, test.images, test.labels):
        content.update(f"{tuple(part.shape)}".encode())
        content.update(part.numpy())
    return protocol.draw(name, pool, test, options, content=content.hexdigest())


def from_folder(
    path: str | os.PathLike,
    *,
    size: int = 32,
    in_channels: int = 3,
    class_names: Sequence[str] | None = None,
    imbalance: float = 100,
    head: int | None = None,
    heldout: int = 20,
    seed: int = 0,
    selection: int = 0,
    name: str = "mine",
) -> Splits:
    """Draw long-tailed train and held-out splits from image files.

    Args:
        path: holds ``train/<class>/*`` and ``test/<class>/*`` with .png, .jpg or .jpeg files, which
            are turned upright as their EXIF says; what is transparent lies on white.
        size: the largest centred square of each image is resized to ``size`` x ``size`` pixels.
        in_channels: 3 for colour, 1 for grey; the images are converted.
        class_names: the class folders from the largest class of the long tail to the smallest;
            by default in alphabetical order.
        imbalance, head, heldout, seed, selection: see `rdlite.data.load`.
        name: of the data set. The fingerprint covers names and bytes of the files, not ``size``.

    Raises:
        ValueError: class folders that differ between train and test, a class without images.
        FileNotFoundError, OSError: no such folder, or an image that cannot be read.
    """
    options = protocol.Options(imbalance, head, heldout, seed, selection)
    checks.integer("size", size, low=4)
    is_path = isinstance(path, (str, os.PathLike))
    checks.expect(is_path, "path", "be the name of a folder", repr(path))
    checks.expect(in_channels in (1, 3), "in_channels", "be 1 or 3", repr(in_channels))
    folders = Path(path) / "train", Path(path) / "test"
    found, in_test = map(_classes, folders)
    words = f"{folders[0]} and {folders[1]} must have the same class folders; only one of them has"
    alone = sorted({*found} ^ {*in_test})
    checks.require(not alone, f"{words} {alone}")
    names = tuple(found if class_names is None else class_names)
    wanted = f"be the class folders {found} in some order"
    checks.expect(sorted(names) == found, "class_names", wanted, repr(class_names))
    pool, digest = _read_folder(folders[0], names, size, in_channels)
    test, test_digest = _read_folder(folders[1], names, size, in_channels)
    content = f"{in_channels}:{digest}:{test_digest}"
    return protocol.draw(name, pool, test, options, content=content)


def _split(part: str, images: Array, labels: Array, class_names: Sequence[str] | None) -> Split:
    """Images and labels of the arguments whose names begin with ``part``, checked and copied."""
    is_text = isinstance(class_names, str)
    checks.expect(not is_text, "class_names", "be a list of names", repr(class_names))
    name = f"{part}labels"
    pixels, targets = _pixels(f"{part}images", images), _array(name, labels)
    good = targets.shape == pixels.shape[:1] and targets.dtype.kind in "iu"
    wanted = f"be whole numbers of shape ({len(pixels)},), one for each image"
    checks.expect(good, name, wanted, checks.kind_of(targets))
    if class_names is None:
        class_names = range(int(targets.max()) + 1)
    names, targets = tuple(map(str, class_names)), torch.from_numpy(targets.astype(np.int64))
    checks.class_indices(name, targets, len(names))
    split = Split(torch.from_numpy(pixels), targets, names)
    missing = (split.class_counts == 0).nonzero().flatten().tolist()
    wanted = f"have every class of 0..{len(names) - 1}"
    checks.expect(not missing, name, wanted, f"none of {missing[:10]}")
    return split


def _pixels(name: str, values: Array) -> np.ndarray:
    """A copy of (n, c, h, w) uint8 images; the message says what makes others such."""
    array, hint = _array(name, values), ""
    last = array.ndim == 4 and array.shape[-1] <= 4 and array.shape[1] not in (1, 3, array.shape[3])
    if array.ndim == 3:
        hint = f"; for grey images use {name}[:, None]"
    elif last and array.shape[-1] in (2, 4):
        hint = f"; use numpy.moveaxis({name}[..., :-1], -1, 1), which leaves out the transparency"
    elif last:
        hint = f"; use numpy.moveaxis({name}, -1, 1)"
    elif array.dtype != np.uint8:
        hint = "; scale the pixels to 0..255 and use .astype('uint8')"
    good = array.dtype == np.uint8 and array.ndim == 4 and array.size > 0 and not last
    wanted = "be uint8 of shape (n, c, h, w) with n >= 1"
    checks.expect(good, name, wanted, checks.kind_of(array), hint)
    return np.array(array, order="C")


def _array(name: str, values: Array) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    with contextlib.suppress(ValueError):
        return np.asarray(values)
    cure = "; do the images differ in size?"
    checks.expect(False, name, "be an array of one shape", checks.shown(values), cure)


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing; it must hold a folder for each class")
    found = sorted(f.name for f in folder.iterdir() if f.is_dir() and f.name[0] != ".")
    checks.expect(len(found) >= 2, folder, "hold at least 2 class folders", found)
    return found


def _read_folder(
    folder: Path, names: tuple[str, ...], size: int, in_channels: int
) -> tuple[Split, str]:
    """Every image below ``folder``, and a hash of the names and bytes of the files."""
    images, labels, digest = [], [], hashlib.sha256()
    for k, name in enumerate(names):
        shown = (file for file in (folder / name).iterdir() if file.name[0] != ".")
        chosen = sorted(file for file in shown if file.suffix.lower() in ENDINGS)
        endings = ", ".join(ENDINGS)
        checks.require(bool(chosen), f"{folder / name} must hold an image, {endings}; got none")
        for file in chosen:
            content = file.read_bytes()
            digest.update(f"{name}/{file.name}/{len(content)}/".encode() + content)
            images.append(pictures.square(content, file, size, in_channels))
        labels += [k] * len(chosen)
    split = Split(torch.from_numpy(np.stack(images)), torch.tensor(labels), names)
    return split, digest.hexdigest()
