"""Your own images under the same protocol: from arrays, or from a folder of files."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rdlite.data import protocol
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
    protocol.check(imbalance=imbalance, head=head, heldout=heldout, seed=seed, selection=selection)
    _check_names(class_names)
    images, test_images = _pixels("images", images), _pixels("test_images", test_images)
    labels = _labels("labels", labels, len(images))
    test_labels = _labels("test_labels", test_labels, len(test_images))
    checks.require(
        images.shape[1:] == test_images.shape[1:],
        f"test_images must have the shape of images after the first axis, "
        f"{tuple(images.shape[1:])}, got {tuple(test_images.shape[1:])}",
    )
    if size is not None:
        checks.integer("size", size, low=4, high=min(images.shape[2:]))
    if class_names is None:
        class_names = tuple(str(k) for k in range(int(labels.max()) + 1))
    pool = _checked("labels", images, labels, class_names)
    test = _checked("test_labels", test_images, test_labels, class_names)
    content = hashlib.sha256()
    for part in (images, labels, test_images, test_labels):
        content.update(f"{tuple(part.shape)}".encode())
        content.update(part.numpy())
    return protocol.draw(
        name,
        pool,
        test,
        imbalance=imbalance,
        head=head,
        heldout=heldout,
        seed=seed,
        size=size,
        selection=selection,
        content=content.hexdigest(),
    )


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
        path: holds ``train/<class>/*`` and ``test/<class>/*`` with .png, .jpg or .jpeg files.
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
    protocol.check(imbalance=imbalance, head=head, heldout=heldout, seed=seed, selection=selection)
    checks.integer("size", size, low=4)
    checks.require(
        isinstance(path, (str, os.PathLike)), f"path must be the name of a folder, got {path!r}"
    )
    _check_names(class_names)
    checks.require(in_channels in (1, 3), f"in_channels must be 1 or 3, got {in_channels!r}")
    train_folder, test_folder = Path(path) / "train", Path(path) / "test"
    found, found_in_test = _classes(train_folder), _classes(test_folder)
    checks.require(
        found == found_in_test,
        f"{train_folder} and {test_folder} must have the same class folders; "
        f"only one of them has {sorted(set(found) ^ set(found_in_test))}",
    )
    names = tuple(found if class_names is None else class_names)
    checks.require(
        sorted(names) == found,
        f"class_names must be the class folders {found} in some order, got {list(names)}",
    )
    pool, pool_digest = _read_folder(train_folder, names, size, in_channels)
    test, test_digest = _read_folder(test_folder, names, size, in_channels)
    return protocol.draw(
        name,
        pool,
        test,
        imbalance=imbalance,
        head=head,
        heldout=heldout,
        seed=seed,
        selection=selection,
        content=f"{in_channels}:{pool_digest}:{test_digest}",
    )


def _check_names(class_names: Sequence[str] | None) -> None:
    checks.require(
        not isinstance(class_names, str),
        f"class_names must be a list of names, got {class_names!r}",
    )


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


def _pixels(name: str, values: np.ndarray | Tensor) -> Tensor:
    array = _array(name, values)
    hint = ""
    if array.ndim == 3:
        hint = f"; for grey images use {name}[:, None]"
    elif array.ndim == 4 and array.shape[-1] in (1, 3) and array.shape[1] not in (1, 3):
        hint = f"; use numpy.moveaxis({name}, -1, 1)"
    elif array.dtype != np.uint8:
        hint = "; scale the pixels to 0..255 and use .astype('uint8')"
    good = array.dtype == np.uint8 and array.ndim == 4 and array.size > 0
    checks.require(
        good and "moveaxis" not in hint,
        f"{name} must be uint8 of shape (n, c, h, w) with n >= 1, "
        f"got {array.dtype} {array.shape}{hint}",
    )
    return torch.from_numpy(np.array(array, order="C"))


def _labels(name: str, values: np.ndarray | Tensor, n: int) -> Tensor:
    array = _array(name, values)
    checks.require(
        array.shape == (n,) and array.dtype.kind in "iu",
        f"{name} must be whole numbers of shape ({n},), one for each image, "
        f"got {array.dtype} {array.shape}",
    )
    return torch.from_numpy(array.astype(np.int64))


def _checked(name: str, images: Tensor, labels: Tensor, class_names: Sequence[str]) -> Split:
    checks.class_indices(name, labels, len(class_names))
    split = Split(images, labels, tuple(map(str, class_names)))
    missing = (split.class_counts == 0).nonzero().flatten().tolist()
    checks.require(
        not missing,
        f"{name} must have every class of 0..{split.num_classes - 1}, got none of {missing[:10]}",
    )
    return split


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
        chosen = sorted(
            file
            for file in (folder / name).iterdir()
            if file.suffix.lower() in ENDINGS and file.name[0] != "."
        )
        checks.require(
            len(chosen) > 0, f"{folder / name} must hold an image, {', '.join(ENDINGS)}; got none"
        )
        for file in chosen:
            content = file.read_bytes()
            digest.update(f"{name}/{file.name}/{len(content)}/".encode() + content)
            images.append(_read_image(file, content, size, in_channels))
        labels += [k] * len(chosen)
    split = Split(torch.from_numpy(np.stack(images)), torch.tensor(labels), names)
    return split, digest.hexdigest()


def _read_image(file: Path, content: bytes, size: int, in_channels: int) -> np.ndarray:
    """The ``content`` of ``file`` as (in_channels, size, size) uint8."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
            checks.require(
                image.mode[0] not in "IF",
                f"{file} has more than 8 bits a channel; save it with 8",
            )
            upright = ImageOps.exif_transpose(image).convert("L" if in_channels == 1 else "RGB")
            square = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f"{file} cannot be read as an image: {error}") from error
    array = np.asarray(square)
    return (array[None] if in_channels == 1 else array.transpose(2, 0, 1)).copy()
