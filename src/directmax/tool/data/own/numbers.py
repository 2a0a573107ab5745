"""What numbers mean: 0/1, 0 … 1, −1 … 1, 0 … 255 and the like, as [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError

BLOCK = 2**22
"""Numbers looked at together."""
ROUNDING = 1e-5
"""By which numbers may lie outside: of images that were resized or stored in half precision."""
MOST_LEVELS = 32
"""Whole numbers up to here are few shades, whose largest is white; more are 8 bits."""

DEEP = (1023, 4095, 16383, 65535)
"""White of 10, 12, 14 and 16 bits, which cameras and scanners store in 16."""


@dataclass(frozen=True)
class Range:
    """How numbers become [0, 1]: (value − low)/(high − low).

    Attributes:
        low: the value that becomes 0.
        high: the value that becomes 1.
        text: for people.
        binary: whether only these two occur.
    """

    low: float
    high: float
    text: str
    binary: bool = False

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """As float32 in [0, 1], a new array."""
        unit = values.astype(np.float32)
        if self.low:
            unit -= np.float32(self.low)
        if self.high - self.low != 1:
            unit /= np.float32(self.high - self.low)
        return np.clip(unit, 0, 1, out=unit)


def ends(path: Path, arrays: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """The least and the largest number.

    Raises:
        DataError: numbers that are not finite, or none at all.
    """
    if not {array.dtype.kind for array in arrays} <= set("biuf"):
        raise DataError(f"{path} holds images of type {arrays[0].dtype}; expected numbers")
    blocks = [block for array in arrays for block in _blocks(array)]
    lows, highs = ([float(end(block)) for block in blocks] for end in (np.min, np.max))
    if not np.isfinite([*lows, *highs]).all():
        raise DataError(f"{path} holds NaN or infinite numbers; replace or leave out these images")
    return min(lows), max(highs)


def range_of(path: Path, arrays: Sequence[NDArray[Any]], *, rows: bool = False) -> Range:
    """The range of all parts of the data together.

    Args:
        path: where they are from, for messages.
        arrays: the first axis counts images, or rows.
        rows: whether these are rows of numbers, not pictures. Of them only 0/1, 0 … 1, −1 … 1 and
            pixels of 8 or 16 bits have a range.

    Raises:
        DataError: numbers that are not finite, or of no usual range.
    """
    low, high = ends(path, arrays)
    _check_alike(path, arrays, high)
    found = _of_two(arrays, low, high) or _unit(arrays, low, high)
    if found is None and rows:
        found = _of_bytes(arrays, low, high)
    elif found is None:
        found = _of_shades(arrays, low, high)
    if found is None:
        raise DataError(
            f"{path} holds numbers from {low:g} to {high:g}; expected 0/1, 0 … 1, −1 … 1 or "
            "0 … 255: scale them to 0 … 1"
        )
    return found


def has_range(path: Path, arrays: Sequence[NDArray[Any]], *, rows: bool) -> bool:
    """Whether `range_of` finds one.

    Args:
        path: as of `range_of`.
        arrays: as of `range_of`, of finite numbers.
        rows: as of `range_of`.

    Raises:
        DataError: numbers that are not finite.

    Example:
        >>> table = np.array([[1, 30, 500.0], [0, 60, 900.0], [1, 45, 100.0]])
        >>> has_range(Path("a.csv"), [table], rows=True)
        False
    """
    ends(path, arrays)
    try:
        range_of(path, arrays, rows=rows)
    except DataError:
        return False
    return True


def is_two(path: Path, arrays: Sequence[NDArray[Any]]) -> bool:
    """Whether numbers are 0/1, or two that are taken for them.

    Raises:
        DataError: numbers that are not finite.
    """
    return _of_two(arrays, *ends(path, arrays)) is not None


def is_unit(path: Path, arrays: Sequence[NDArray[Any]]) -> bool:
    """Whether numbers are 0/1, of two values, or lie in 0 … 1 or −1 … 1, and need no other range.

    Raises:
        DataError: numbers that are not finite.

    Example:
        >>> is_unit(Path("a.npy"), [np.array([[0.5, 1]])]), is_unit(Path("a.npy"), [np.array([7])])
        (True, False)
    """
    return is_two(path, arrays) or _unit(arrays, *ends(path, arrays)) is not None


def _of_two(arrays: Sequence[NDArray[Any]], low: float, high: float) -> Range | None:
    ends = {low, high}
    if _whole(arrays) and ends <= {0.0, 1.0}:
        return Range(0, 1, "0/1", binary=True)
    for known, text in (((-1.0, 1.0), "−1/1 as 0/1"), ((0.0, 255.0), "0/255 as 0/1")):
        if ends == set(known) and _only(arrays, ends):
            return Range(*known, text, binary=True)
    return None


def _unit(arrays: Sequence[NDArray[Any]], low: float, high: float) -> Range | None:
    if not _floats(arrays) or high > 1 + ROUNDING:
        return None
    if low >= -ROUNDING:
        return Range(0, 1, f"{low:.3g} … {high:.3g}")
    if low >= -1 - ROUNDING:
        return Range(-1, 1, f"{low:.3g} … {high:.3g} as 0 … 1, −1 being 0")
    return None


def _of_shades(arrays: Sequence[NDArray[Any]], low: float, high: float) -> Range | None:
    whole = _whole(arrays)
    if low >= 0 and whole and high <= MOST_LEVELS:
        return Range(0, high, f"0 … {high:g} as 0 … 1")
    wide = any(array.dtype.kind == "u" and array.dtype.itemsize == 2 for array in arrays)
    if low >= -255 * ROUNDING and (whole or high > MOST_LEVELS) and high <= 255 * (1 + ROUNDING):
        full = "" if (low, high) == (0, 255) else ", 255 being 1"
        return Range(0, 255, f"{low:.3g} … {high:.3g} as 0 … 1{full}")
    if low >= 0 and whole and (wide or high > 4095) and high <= 65535:
        most = next(each for each in DEEP if high <= each)
        return Range(0, most, f"{low:g} … {high:g} as 0 … 1, {most} being 1")
    return None


def _of_bytes(arrays: Sequence[NDArray[Any]], low: float, high: float) -> Range | None:
    """Of rows that are pixels: up to 255 or 65535, over half of which more than half spread.

    Pixels that never change, such as corners, tell nothing.
    """
    if low < 0 or high not in (255, 65535):
        return None
    flat = [array.reshape(len(array), -1) for array in arrays]
    lows = np.min([array.min(0) for array in flat], 0).astype(np.float64)
    spread = np.max([array.max(0) for array in flat], 0) - lows
    spread = spread[spread > 0]
    if len(spread) and np.mean(spread >= high / 2) <= 0.5:
        return None
    return Range(0, high, f"{low:.3g} … {high:g} as 0 … 1")


def _check_alike(path: Path, arrays: Sequence[NDArray[Any]], high: float) -> None:
    """Parts of 0 … 1 beside others of 0 … 255 would all be black."""
    tops = [float(array.max()) for array in arrays]
    if high > MOST_LEVELS and any(0 < top <= 1 for top in tops):
        least = min(top for top in tops if top > 0)
        raise DataError(
            f"{path} has a part whose numbers go up to {least:g}, and one up to {high:g}; expected "
            "one range for training, validation and test: scale all to 0 … 1"
        )


def _only(arrays: Sequence[NDArray[Any]], values: set[float]) -> bool:
    first, other = sorted(values)
    blocks = (block for array in arrays for block in _blocks(array))
    return all(((block == first) | (block == other)).all() for block in blocks)


def _floats(arrays: Sequence[NDArray[Any]]) -> bool:
    return any(array.dtype.kind == "f" for array in arrays)


def _whole(arrays: Sequence[NDArray[Any]]) -> bool:
    if not _floats(arrays):
        return True
    blocks = (block for array in arrays for block in _blocks(array))
    return all((block == np.round(block)).all() for block in blocks)


def _blocks(array: NDArray[Any]) -> Sequence[NDArray[Any]]:
    each = max(1, BLOCK // max(1, int(np.prod(array.shape[1:]))))
    return [array[start : start + each] for start in range(0, len(array), each)]
