"""Your own images under the same protocol: from arrays, from a folder of files, from a data set."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdlite.data import folders, items, pictures, shares
from rdlite.data.shares import SHARE
from rdlite.data.splits import Split, Splits
from rdlite.guards import checks

Array = np.ndarray | Tensor


def from_arrays(
    images: Array,
    labels: Array,
    *,
    test_images: Array | None = None,
    test_labels: Array | None = None,
    class_names: Sequence[str] | None = None,
    groups: Sequence[Hashable] | None = None,
    imbalance: float | None = None,
    order: Sequence[str] | None = None,
    head: int | None = None,
    heldout: float = SHARE,
    test: float | None = None,
    seed: int = 0,
    size: int | None = None,
    selection: float = 0,
    name: str = "mine",
) -> Splits:
    """Cut images in memory into train, held-out and, where none is given, test splits.

    Args:
        images: (n, c, h, w) uint8, the pool of which train and held-out are drawn; copied.
        labels: (n,) whole numbers, every class of 0..m-1 at least once.
        test_images: (n', c, h, w) uint8, kept whole. Where it has not equally many of each class,
            the average accuracy is still the mean over the classes, and each counts the same.
        test_labels: (n',) like ``labels``.
        class_names: m names; by default the numbers.
        groups: n values; images with the same one, such as photographs of one animal, stay in one
            split. Held-out, test and selection then have about the numbers asked for.
        imbalance: None takes the images as they are, each class in proportion to its size. A number
            imposes a long tail, see `rdlite.data.load`; printed, the splits say what it leaves out.
        order: class names from the largest class of that tail to the smallest; by default by size.
        head: images of the largest class in train; None for as many as there are.
        heldout: images of the largest class in held-out, as a number or as a share below 1 of those
            it has, or may have in the tail. The others give in proportion, each class at least 2; 0
            for none.
        test: likewise for the test set, the same for every seed; only where none is given, and then
            by default a fifth.
        selection: likewise of images for the choice of settings, see `rdlite.data.load`; 0 for
            none. In a tail each class gives at least 20.
        seed, size: see `rdlite.data.load`.
        name: of the data set. The fingerprint covers the pixels too.

    Raises:
        ValueError: other types or shapes, a class without images, more asked for than there are.

    >>> pixels, labels = np.zeros((70, 1, 8, 8), np.uint8), np.repeat([0, 1, 2], [10, 40, 20])
    >>> print(from_arrays(pixels, labels, class_names=["ant", "bee", "cat"], name="zoo"))
    zoo, fingerprint b404d65683272138
    class        train   heldout      test  left out
    ant              6         2         2         0
    bee             24         8         8         0
    cat             12         4         4         0
    together        42        14        14         0
    """
    pool, tested = _split("", _pixels("images", images), labels, class_names), None
    side = min(pool.images.shape[2:])
    options = shares.Own(imbalance, head, heldout, seed, selection, size, side, test, order)
    options.check_test(test_images is not None or test_labels is not None)
    if test_images is not None or test_labels is not None:
        pixels = _pixels("test_images", test_images)
        tested = _split("test_", pixels, test_labels, pool.class_names)
    return shares.draw(name, pool, tested, options, groups)


def from_folder(
    path: str | os.PathLike,
    *,
    size: int = 32,
    in_channels: int = 3,
    background: str = "white",
    class_names: Sequence[str] | None = None,
    groups: str | Callable[[Path], Hashable] | None = None,
    imbalance: float | None = None,
    order: Sequence[str] | None = None,
    head: int | None = None,
    heldout: float = SHARE,
    test: float | None = None,
    seed: int = 0,
    selection: float = 0,
    name: str = "mine",
) -> Splits:
    """Cut image files into train, held-out and, where there is no folder for it, test splits.

    Args:
        path: holds ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` alone, with files
            of any format that Pillow reads, also in folders below; links are followed. They are
            turned upright as their EXIF says. Files that are not read are counted in a warning,
            but those that are hidden or that systems leave, such as ``Thumbs.db``.
        size: the largest centred square of each image is resized to ``size`` x ``size`` pixels.
        in_channels: 3 for colour, 1 for grey; the images are converted.
        background: the colour below what is transparent, by name or as ``"#rrggbb"``.
        class_names: the class folders in the order of their labels; by default alphabetical.
        groups: a regular expression; files with the same match at the start of their names stay in
            one split. ``"[^_]+"`` is what stands before a ``_``. Or a function of the path.
        imbalance, order, head, heldout, test, seed, selection: see `from_arrays`.
        name: of the data set. The fingerprint covers names and bytes of the files, not ``size``.

    Raises:
        ValueError: class folders that differ between train and test, a class without images.
        FileNotFoundError, OSError: no such folder, or images that cannot be read; ten are named.
    """
    options = shares.Own(imbalance, head, heldout, seed, selection, test=test, order=order)
    is_path = isinstance(path, (str, os.PathLike))
    checks.expect(is_path, "path", "be the name of a folder", repr(path))
    pictures.check(size, in_channels, background)
    names, parts = folders.find(Path(path).expanduser(), class_names)
    options.check_test(len(parts) > 1)
    ids = None if groups is None else folders.grouped(groups, parts)
    read = [folders.read(part, names, size, in_channels, background) for part in parts]
    (pool, _), *tested = read
    content = ":".join([f"{in_channels}:{background}", *(digest for _, digest in read)])
    return shares.draw(name, pool, tested[0][0] if tested else None, options, ids, content)


def from_dataset(
    dataset: Any,
    *,
    test_dataset: Any = None,
    columns: Sequence[str] = ("image", "label"),
    size: int | None = None,
    in_channels: int = 3,
    background: str = "white",
    class_names: Sequence[str] | None = None,
    groups: Sequence[Hashable] | None = None,
    name: str = "mine",
    **how: Any,
) -> Splits:
    """Cut a map-style data set of torch or Hugging Face into train, held-out and test splits.

    Args:
        dataset: the pool; its items are (image, label) or dicts, with images of PIL, tensors or
            arrays, uint8 or floats in 0..1.
        test_dataset: likewise, kept whole; by default a part of the pool.
        columns: the names of image and label, where the items are dicts.
        size, in_channels, background: see `from_folder`; a size of None keeps images that are equal
            in size as they are.
        class_names: m names; by default those of ``dataset.classes`` or of the label's feature.
        groups, name: see `from_arrays`, ...
        how: ... and so are ``imbalance, order, head, heldout, test, seed, selection``.

    Raises:
        ValueError: items of another kind, more than this machine's memory, a class without images.
        OSError: items that cannot be read; ten are named.

    >>> pixels, labels = torch.zeros(30, 3, 8, 8), torch.arange(30) % 2
    >>> splits = from_dataset(torch.utils.data.TensorDataset(pixels, labels))
    >>> len(splits.train), len(splits.heldout), len(splits.test)
    (18, 6, 6)
    """
    options = shares.Own(**how)
    options.check_test(test_dataset is not None)
    pictures.check(size, in_channels, background)
    good = isinstance(columns, (tuple, list)) and len(columns) == 2
    checks.expect(good, "columns", "be the names of image and label", repr(columns))
    if class_names is None:
        class_names = items.class_names(dataset, columns[1])
    looks, tested = (columns, size, in_channels, background), None
    pool = _split("", *items.read("dataset", dataset, *looks), class_names)
    if test_dataset is not None:
        read = items.read("test_dataset", test_dataset, *looks)
        tested = _split("test_", *read, pool.class_names)
    return shares.draw(name, pool, tested, options, groups)


def _split(
    part: str, pixels: np.ndarray, labels: Array, class_names: Sequence[str] | None
) -> Split:
    """``pixels`` and the labels of the argument whose name begins with ``part``, checked."""
    is_text = isinstance(class_names, str)
    checks.expect(not is_text, "class_names", "be a list of names", repr(class_names))
    name, targets = f"{part}labels", _array(f"{part}labels", labels)
    good = targets.shape == pixels.shape[:1] and targets.dtype.kind in "iu"
    wanted = f"be whole numbers of shape ({len(pixels)},), one for each image"
    checks.expect(good, name, wanted, checks.kind_of(targets))
    if class_names is None:
        class_names = range(int(targets.max()) + 1)
    names, targets = tuple(map(str, class_names)), torch.from_numpy(targets.astype(np.int64))
    checks.expect(len({*names}) == len(names), "class_names", "be different names", list(names))
    checks.class_indices(name, targets, len(names))
    split = Split(torch.from_numpy(pixels), targets, names)
    missing = [names[k] for k in (split.class_counts == 0).nonzero().flatten()]
    wanted = f"have every class of 0..{len(names) - 1}"
    checks.expect(not missing, name, wanted, f"none of {', '.join(missing[:10])}")
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
