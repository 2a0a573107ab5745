"""Which axis of an array counts the images, and which its height, width and colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError

CHANNELS = (1, 3, 4)
"""Grey, colours, and colours with transparency."""
SMALLEST_SQUARE = 64
"""Rows of so many numbers or more are taken for square pictures where their number is a square."""


@dataclass(eq=False)
class Upright:
    """An array whose first axis counts the images, and what was done to it, for people."""

    images: NDArray[Any]
    note: str = ""


def number_first(
    array: NDArray[Any],
    labels: int | None,
    shapes: Sequence[tuple[int, ...]],
    by_columns: bool,
) -> Upright:
    """The array with the axis in front that counts the images.

    It is the one that is as long as the labels; without labels the one in which the parts of the
    data differ; else the first, unless pictures of one square shape are stacked along the last.

    Args:
        array: images.
        labels: how many there are, if any.
        shapes: of the arrays of all parts.
        by_columns: MATLAB's; a single matrix, where nothing tells, has more images than numbers.
    """
    last = array.shape[-1]
    if labels is not None:
        move = array.shape[0] != labels and last == labels
    elif len({shape[:-1] for shape in shapes}) == 1 < len(set(shapes)):
        move = True
    elif array.ndim == 2:
        move = len(shapes) == 1 and by_columns and _columns(*array.shape)
    else:
        square = array.shape[0] == array.shape[1] != last
        move = square and last > array.shape[0] and last not in CHANNELS
    if not move or array.ndim < 2:
        return Upright(array)
    if array.ndim > 2:
        return Upright(np.moveaxis(array, -1, 0), "the last axis counts the images")
    rows = array.T
    side = math.isqrt(rows.shape[1])
    if by_columns and side * side == rows.shape[1] >= SMALLEST_SQUARE:
        rows = rows.reshape(-1, side, side).transpose(0, 2, 1)
    return Upright(rows, "columns are the images")


def _columns(height: int, width: int) -> bool:
    square_rows = math.isqrt(width) ** 2 == width
    square_columns = math.isqrt(height) ** 2 == height
    return height < width if square_rows == square_columns else square_columns


def pictures(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    """A view `(N, channels, height, width)` of images in any usual shape.

    Rows of d numbers are square pictures where d is a square of at least 64, else d×1.

    Raises:
        DataError: another number of axes, or of channels.

    Example:
        >>> from pathlib import Path
        >>> [pictures(Path("x"), np.zeros(s)).shape for s in ((5, 64), (5, 9), (5, 8, 6, 3))]
        [(5, 1, 8, 8), (5, 1, 1, 9), (5, 3, 8, 6)]
    """
    shape = images.shape
    if images.ndim == 2:
        side = math.isqrt(shape[1])
        square = side * side == shape[1] >= SMALLEST_SQUARE
        return images.reshape(len(images), 1, *((side, side) if square else (1, shape[1])))
    if images.ndim == 3:
        return images[:, None]
    ways = [(shape[2:], 1)] if images.ndim == 4 and shape[1] in CHANNELS else []
    ways += [(shape[1:3], 3)] if images.ndim == 4 and shape[3] in CHANNELS else []
    if ways:  # where both could be channels, the pictures are rather square than narrow
        _, axis = min(ways, key=lambda way: (max(way[0]) / max(1, min(way[0])), -way[1]))
        return np.moveaxis(images, axis, 1)
    raise DataError(
        f"{path} has images of shape {shape}; expected (N, d), (N, height, width), or 1, 3 or 4 "
        "channels as the second or the last of four axes"
    )
