"""Image files as pixels, whatever their colours, transparency and orientation."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from rdlite.guards import checks


@contextlib.contextmanager
def opened(content: bytes, name: object) -> Iterator[Image.Image]:
    """The image in the bytes of a .png or .jpg file; OSError if the block cannot read it."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
            yield image
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise OSError(f"{name} cannot be read as an image: {error}") from error


def square(content: bytes, name: object, size: int, in_channels: int) -> np.ndarray:
    """The largest centred square, upright and on white, as (in_channels, size, size) uint8.

    Raises:
        ValueError: more than 8 bits a channel.
        OSError: it cannot be read.
    """
    with opened(content, name) as image:
        deep = image.mode[0] in "IF"
        fitted = None if deep else _fitted(image, size, "L" if in_channels == 1 else "RGB")
    checks.require(not deep, f"{name} has more than 8 bits a channel; save it with 8")
    return np.array(fitted).reshape(size, size, in_channels).transpose(2, 0, 1).copy()


def _fitted(image: Image.Image, size: int, mode: str) -> Image.Image:
    orientation = image.getexif().get(Base.Orientation)
    if "A" in image.getbands() or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert(mode)
    image.info = {}  # the rest of its EXIF may be odd, and turning would write it again
    image.getexif()[Base.Orientation] = orientation
    upright = ImageOps.exif_transpose(image)
    return ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
