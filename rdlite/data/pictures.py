"""Image files as pixels, whatever their colours, transparency and orientation."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from rdlite.guards import checks

ORIENTATION = 0x0112  # the tag of EXIF
TURNS = {  # its value: what turns the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@contextlib.contextmanager
def opened(content: bytes, name: object) -> Iterator[Image.Image]:
    """The image in the bytes of a .png or .jpg file; OSError if the block cannot read it."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
            yield image
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise OSError(f"{name} cannot be read as an image: {error}") from error


def square(content: bytes, name: object, size: int, in_channels: int) -> np.ndarray:
    """The largest centred square of an image, as (in_channels, size, size) uint8.

    It is turned upright as its EXIF says; what is transparent lies on white.

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
    turn = TURNS.get(image.getexif().get(ORIENTATION))
    if "A" in image.getbands() or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert(mode)
    upright = image if turn is None else image.transpose(turn)
    return ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
