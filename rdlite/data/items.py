"""The images and labels of any map-style data set: what has ``len`` and gives items by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import Subset

from rdlite.data import pictures
from rdlite.guards import checks


def read(
    name: str,
    dataset: Any,
    columns: Sequence[str],
    size: int | None,
    in_channels: int,
    background: str,
) -> tuple[np.ndarray, list]:
    """Images (n, c, h, w) uint8 and labels of a data set, which messages call ``name``."""
    parts = isinstance(dataset, Mapping)
    good = not parts and hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    cure = f"; use one of its parts, {list(dataset)}" if parts else ""
    wanted, got = "have items by number, at least one", f"a {type(dataset).__name__}"
    checks.expect(good and len(dataset) > 0, name, wanted, got, cure)
    labels = []

    def pixels(i: int) -> np.ndarray:
        try:
            item = dataset[i]
        except Exception as error:  # of the decoder, or whatever it reads from
            raise OSError(f"{name}[{i}] cannot be read: {error}") from error
        image, label = _image_and_label(f"{name}[{i}]", item, columns)
        labels.append(label)
        try:
            return pictures.fitted(image, size, in_channels, background)
        except Exception as error:
            raise OSError(f"{name}[{i}] cannot be read as an image: {error}") from error

    return pictures.gather(len(dataset), pixels).numpy(), labels


def class_names(dataset: Any, column: str) -> list[str] | None:
    """What the data set calls its classes; None where it does not say."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    features = getattr(dataset, "features", None)
    label = features.get(column) if isinstance(features, Mapping) else None
    found = getattr(label, "names", None) or getattr(dataset, "classes", None)
    if not isinstance(found, (list, tuple)):
        return None
    return [one[0] if isinstance(one, (list, tuple)) else str(one) for one in found]  # of synonyms


def _image_and_label(name: str, item: Any, columns: Sequence[str]) -> tuple[Image.Image, int]:
    if isinstance(item, Mapping):
        found = f"be two of the columns {list(item)}"
        checks.expect(set(columns) <= {*item}, "columns", found, repr(columns))
        image, label = (item[column] for column in columns)
    else:
        pair = isinstance(item, (tuple, list)) and len(item) >= 2
        wanted = "be (image, label) or a dict of columns"
        checks.expect(pair, name, wanted, checks.shown(item))
        image, label = item[:2]
    label = label.item() if getattr(label, "ndim", None) == 0 else label
    good, wanted = isinstance(label, int), "have a whole number as its label"
    checks.expect(good, name, wanted, checks.shown(label))
    return image if isinstance(image, Image.Image) else _picture(name, image), label


def _picture(name: str, values: Any) -> Image.Image:
    """An image of an array: (c, h, w), (h, w, c) or (h, w), bytes or fractions."""
    good = isinstance(values, (Tensor, np.ndarray))
    wanted = "have an image of PIL, a tensor or an array"
    checks.expect(good, name, wanted, checks.shown(values))
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    if array.dtype.kind == "f":
        inside = array.size > 0 and array.min() >= 0 and array.max() <= 1
        got, cure = checks.kind_of(array), "; leave out transforms such as Normalize"
        checks.expect(inside, name, "have pixels in 0..1 where they are floats", got, cure)
        array = np.round(array * 255).astype(np.uint8)
    if array.ndim == 3 and array.shape[0] <= 4:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    good = array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] in [(2,), (3,), (4,)])
    wanted = "have pixels of shape (c, h, w), (h, w, c) or (h, w), uint8 or floats"
    checks.expect(good, name, wanted, checks.kind_of(array))
    return Image.fromarray(array)
