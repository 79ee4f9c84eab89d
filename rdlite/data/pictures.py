"""Image files as pixels, whatever their colours, transparency and orientation."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base
from torch import Tensor

from rdlite.guards import checks

NO_PIXELS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # names only, or by another program
NAMED = 10  # images that cannot be read which one message names


@functools.cache
def endings() -> dict[str, str]:
    """Ending, in lower case -> format, of every file that Pillow reads by itself."""
    Image.init()
    known = Image.registered_extensions().items()
    return {end: name for end, name in known if name in Image.OPEN and name not in NO_PIXELS}


@functools.cache
def formats() -> list[str]:
    """The formats of these files, the usual ones first."""
    return sorted({*endings().values()}, key=Image.ID.index)


def check(size: int | None, in_channels: int, background: str) -> None:
    """The arguments of `fitted` that a user gives."""
    if size is not None:
        checks.integer("size", size, low=4)
    checks.expect(in_channels in (1, 3), "in_channels", "be 1 or 3", repr(in_channels))
    try:
        ImageColor.getrgb(background)
    except (ValueError, AttributeError, TypeError):
        wanted = "be a colour such as 'white' or '#ffffff'"
        checks.expect(False, "background", wanted, repr(background))


@contextlib.contextmanager
def opened(
    content: bytes, name: object, formats: Sequence[str] = ("PNG", "JPEG")
) -> Iterator[Image.Image]:
    """The image in the bytes of a file; OSError if the block cannot read it."""
    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            yield image
    except Exception as error:  # each format's decoder raises what it likes
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "it is of no format that is read" if unknown else error
        raise OSError(f"{name} cannot be read as an image: {reason}") from error


def fitted(
    image: Image.Image, size: int | None, in_channels: int, background: str = "white"
) -> np.ndarray:
    """The largest centred square, upright, as (in_channels, size, size) uint8.

    Args:
        size: pixels a side; None keeps the whole image as it is.
        background: the colour below what is transparent.

    Raises:
        ValueError: more than 8 bits a channel, or several frames.
    """
    frames = 1 if image.format in ("MPO", "PSD") else getattr(image, "n_frames", 1)
    checks.require(frames == 1, f"it has {frames} frames; save one of them")
    image.load()
    checks.require(image.mode[0] not in "IF", "it has more than 8 bits a channel; save it with 8")
    is_upright = image.format == "TIFF"  # Pillow has turned it by now
    orientation = None if is_upright else image.getexif().get(Base.Orientation)
    if "A" in image.getbands() or "transparency" in image.info:
        below = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(below, image.convert("RGBA"))
    image = image.convert("L" if in_channels == 1 else "RGB")
    image.info = {}  # the rest of its EXIF may be odd, and turning would write it again
    image.getexif()[Base.Orientation] = orientation
    upright = ImageOps.exif_transpose(image)
    if size is not None:
        upright = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(upright).reshape(upright.height, upright.width, in_channels)
    return pixels.transpose(2, 0, 1)


def gather(n: int, read: Callable[[int], np.ndarray]) -> Tensor:
    """``read(0)`` to ``read(n - 1)``, uint8 arrays of one shape, as one tensor.

    Raises:
        ValueError: other shapes, more than this machine's memory.
        OSError: images that cannot be read; up to ten are named.
    """
    from tqdm.auto import tqdm

    images, bad = None, []
    for i in tqdm(range(n), desc="reading", unit="image", disable=None):  # no bar in a file
        try:
            pixels = read(i)
        except OSError as error:
            bad.append(str(error))
            continue
        if images is None:
            _check_room(n, pixels.shape)
            images = np.empty((n, *pixels.shape), np.uint8)
        first, cure = images.shape[1:], "; use size= to make them equal"
        checks.expect(
            pixels.shape == first, "images", f"have one shape, {first}", pixels.shape, cure
        )
        images[i] = pixels
    if bad:
        more = f"; and {len(bad) - NAMED:,} more" if len(bad) > NAMED else ""
        raise OSError("; ".join(bad[:NAMED]) + more)
    return torch.from_numpy(images)


def _check_room(n: int, shape: tuple[int, ...]) -> None:
    """The images fit twice into memory: they are copied once, when the splits are cut."""
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    needed = 2 * n * math.prod(shape)
    words = f"{n:,} images of shape {shape} take {needed:,} bytes of memory with their splits"
    cure = "use a smaller size or a subset"
    checks.require(not room or needed <= room, f"{words}, this machine has {room:,}; {cure}")
