"""Your own images under the same protocol: from arrays, or from a folder of files."""

from __future__ import annotations

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


def from_arrays(
    images: np.ndarray | Tensor,
    labels: np.ndarray | Tensor,
    *,
    test_images: np.ndarray | Tensor,
    test_labels: np.ndarray | Tensor,
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
        imbalance, head, heldout, seed, size, selection: see `rdlite.data.load`; ``head=None`` takes
            as many images as the classes allow.
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
    checks.require(
        came == shape,
        f"test_images must have the shape of images after the first axis, {shape}, got {came}",
    )
    side = min(shape[1:])
    options = protocol.Options(
        imbalance=imbalance,
        head=head,
        heldout=heldout,
        selection=selection,
        seed=seed,
        size=size,
        side=side,
    )
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
        imbalance, head, heldout, seed, selection, name: see `from_arrays`. The fingerprint covers
            the names and bytes of the files, so it does not depend on ``size``.

    Raises:
        ValueError: class folders that differ between train and test, a class without images.
        FileNotFoundError, OSError: no such folder, or an image that cannot be read.
    """
    options = protocol.Options(
        imbalance=imbalance, head=head, heldout=heldout, selection=selection, seed=seed
    )
    checks.integer("size", size, low=4)
    checks.require(
        isinstance(path, (str, os.PathLike)), f"path must be the name of a folder, got {path!r}"
    )
    checks.require(in_channels in (1, 3), f"in_channels must be 1 or 3, got {in_channels!r}")
    folders = Path(path) / "train", Path(path) / "test"
    found, in_test = map(_classes, folders)
    checks.require(
        found == in_test,
        f"{folders[0]} and {folders[1]} must have the same class folders; "
        f"only one of them has {sorted(set(found) ^ set(in_test))}",
    )
    names = tuple(found if class_names is None else class_names)
    checks.require(
        sorted(names) == found,
        f"class_names must be the class folders {found} in some order, got {class_names!r}",
    )
    (pool, digest), (test, test_digest) = (
        _read_folder(folder, names, size, in_channels) for folder in folders
    )
    content = f"{in_channels}:{digest}:{test_digest}"
    return protocol.draw(name, pool, test, options, content=content)


def _split(
    part: str,
    images: np.ndarray | Tensor,
    labels: np.ndarray | Tensor,
    class_names: Sequence[str] | None,
) -> Split:
    """Images and labels of the arguments whose names begin with ``part``, checked and copied."""
    is_text = isinstance(class_names, str)
    checks.require(not is_text, f"class_names must be a list of names, got {class_names!r}")
    pixels, targets = _pixels(f"{part}images", images), _array(f"{part}labels", labels)
    checks.require(
        targets.shape == pixels.shape[:1] and targets.dtype.kind in "iu",
        f"{part}labels must be whole numbers of shape ({len(pixels)},), one for each image, "
        f"got {targets.dtype} {targets.shape}",
    )
    if class_names is None:
        class_names = range(int(targets.max()) + 1)
    names, targets = tuple(map(str, class_names)), torch.from_numpy(targets.astype(np.int64))
    checks.class_indices(f"{part}labels", targets, len(names))
    split = Split(torch.from_numpy(pixels), targets, names)
    missing = (split.class_counts == 0).nonzero().flatten().tolist()
    checks.require(
        not missing,
        f"{part}labels must have every class of 0..{len(names) - 1}, got none of {missing[:10]}",
    )
    return split


def _pixels(name: str, values: np.ndarray | Tensor) -> np.ndarray:
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
    checks.require(
        array.dtype == np.uint8 and array.ndim == 4 and array.size > 0 and not last,
        f"{name} must be uint8 of shape (n, c, h, w) with n >= 1, "
        f"got {array.dtype} {array.shape}{hint}",
    )
    return np.array(array, order="C")


def _array(name: str, values: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name} must be an array of one shape, got {checks.shown(values)}; do the images "
            "differ in size?"
        ) from None


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing; it must hold a folder for each class")
    found = sorted(f.name for f in folder.iterdir() if f.is_dir() and f.name[0] != ".")
    checks.require(len(found) >= 2, f"{folder} must hold at least 2 class folders, got {found}")
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
