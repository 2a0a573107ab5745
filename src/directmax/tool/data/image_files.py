"""Image files from anywhere: named formats, limits before anything is decoded, colours as meant."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from directmax.tool.data.errors import DataError, reason
from directmax.tool.files import RunError, read_bytes

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Others are not tried: some start programs (EPS: Ghostscript)."""
MOST_PIXELS = 2**26
"""8192×8192: decoded a quarter of a gigabyte."""
MOST_BYTES = 2**28
DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError),
    *(TypeError, LookupError, ArithmeticError, RuntimeError, struct.error),
)
"""What decoders of damaged files end in; it depends on the damage."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By the orientation of EXIF data, what makes an image upright."""


@contextlib.contextmanager
def opened(path: Path, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    """An image that is not decoded yet; what goes wrong until the end is one line.

    Raises:
        DataError: the file is missing, no regular file, too large, of another format or damaged.
    """
    try:
        content = read_bytes(path, MOST_BYTES)
    except RunError as error:
        raise DataError(str(error)) from error
    with opened_bytes(content, str(path), formats) as image:
        yield image


@contextlib.contextmanager
def opened_bytes(
    content: bytes, name: str, formats: tuple[str, ...] = FORMATS
) -> Iterator[Image.Image]:
    """The same of an image file's content.

    Args:
        content: of the file.
        name: for messages.
        formats: that are tried.

    Raises:
        DataError: too many pixels, of another format or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags, and of sizes, which are judged here
            image = Image.open(io.BytesIO(content), formats=formats)
            if image.width * image.height > MOST_PIXELS:
                raise DataError(
                    f"{name} has {image.width}×{image.height} pixels, expected at most "
                    f"{MOST_PIXELS:,}; make it smaller"
                )
            with image:
                yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name} is no image of a known format; expected {' or '.join(formats)}"
        ) from error
    except (*DAMAGED, MemoryError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the image {name}: {reason(error)}") from error


def upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF data says that it is to be seen, as by viewers; most say nothing.

    What is damaged says nothing, too.

    Example:
        >>> image = Image.new("L", (4, 2))
        >>> image.getexif()[ExifTags.Base.Orientation] = 6
        >>> upright(image).size
        (2, 4)
    """
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DAMAGED:
        return image
    return image if turn is None else image.transpose(turn)


def _middle(width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the middle square."""
    side = min(width, height)
    return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2


def read_square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Return the middle square of an image, `(size, size, 3)`.

    Args:
        image: opened and, to be fast, not decoded yet.
        size: height and width that are wanted.

    Raises:
        OSError: damaged or truncated.
        ValueError: numbers of an unknown range.
    """
    full_width, full_height = image.size
    side = min(image.size)
    scale = size / side
    image.draft("RGB", (math.ceil(full_width * scale), math.ceil(full_height * scale)))
    reduction = round(full_width / image.width)  # by the decoder: 1, 2, 4 or 8
    left, top, right, bottom = (edge / reduction for edge in _middle(full_width, full_height))
    box = (left, top, right, bottom)
    square = to_rgb(image).resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.array(square)


def read_deep(image: Image.Image, size: int | None) -> NDArray[np.uint16] | None:
    """Greys of 16 bits as they are stored, `(height, width)`; None of all other images.

    Args:
        image: opened.
        size: height and width to which the middle square is resized.

    Raises:
        OSError: damaged or truncated.

    Example:
        >>> deep = Image.fromarray(np.full((2, 3), 4095, np.uint16))
        >>> read_deep(deep, 1)
        array([[4095]], dtype=uint16)
    """
    if not image.mode.startswith("I;16"):
        return None
    values = np.asarray(image).astype(np.uint16)
    if size is None:
        return values
    floats = Image.fromarray(values.astype(np.float32))
    square = floats.resize((size, size), Image.Resampling.BILINEAR, box=_middle(*image.size))
    return np.asarray(square).round().astype(np.uint16)


def read_whole(path: Path) -> NDArray[np.uint8]:
    """Return all of an image file, `(height, width, 3)`.

    Raises:
        DataError: it cannot be read.
    """
    with opened(path) as image:
        return np.asarray(to_rgb(upright(image)))


def to_rgb(image: Image.Image) -> Image.Image:
    """Eight bits a channel: deeper ones are scaled, what is transparent lies on white.

    Raises:
        ValueError: numbers of an unknown range, or colours that Pillow cannot convert.

    Example:
        >>> to_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))
        (255, 255, 255)
    """
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64)
        most = 1.0 if image.mode == "F" else 65535.0
        if not (values.min() >= 0 and values.max() <= most):  # NaN fails both
            raise ValueError(
                f"its values go from {values.min():g} to {values.max():g}, expected 0 to {most:g}"
            )
        grey = (values * (255 / most)).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
