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


def range_of(path: Path, arrays: Sequence[NDArray[Any]]) -> Range:
    """The range of all parts of the data together.

    Raises:
        DataError: numbers that are not finite, or of no usual range.
    """
    kinds = {array.dtype.kind for array in arrays}
    if not kinds <= set("biuf"):
        raise DataError(f"{path} holds images of type {arrays[0].dtype}; expected numbers")
    blocks = [block for array in arrays for block in _blocks(array)]
    lows, highs = ([float(end(block)) for block in blocks] for end in (np.min, np.max))
    if not np.isfinite([*lows, *highs]).all():
        raise DataError(f"{path} holds NaN or infinite numbers; replace or leave out these images")
    low, high = min(lows), max(highs)
    _check_alike(path, arrays, high)
    floats = "f" in kinds
    ends = {low, high}
    whole = not floats or all((block == np.round(block)).all() for block in blocks)
    if whole and {low, high} <= {0.0, 1.0}:
        return Range(0, 1, "0/1", binary=True)
    if _only(blocks, ends):
        if ends == {-1.0, 1.0}:
            return Range(-1, 1, "−1/1 as 0/1", binary=True)
        if ends == {0.0, 255.0}:
            return Range(0, 255, "0/255 as 0/1", binary=True)
    if floats and low >= -ROUNDING and high <= 1 + ROUNDING:
        return Range(0, 1, f"{low:.3g} … {high:.3g}")
    if floats and low >= -1 - ROUNDING and high <= 1 + ROUNDING:
        return Range(-1, 1, f"{low:.3g} … {high:.3g} as 0 … 1, −1 being 0")
    if low >= 0 and whole and high <= MOST_LEVELS:
        return Range(0, high, f"0 … {high:g} as 0 … 1")
    wide = any(array.dtype.kind == "u" and array.dtype.itemsize == 2 for array in arrays)
    if low >= -255 * ROUNDING and (whole or high > MOST_LEVELS) and high <= 255 * (1 + ROUNDING):
        full = "" if (low, high) == (0, 255) else ", 255 being 1"
        return Range(0, 255, f"{low:.3g} … {high:.3g} as 0 … 1{full}")
    if low >= 0 and whole and (wide or high > 4095) and high <= 65535:
        return Range(0, 65535, f"{low:g} … {high:g} as 0 … 1, 65535 being 1")
    raise DataError(
        f"{path} holds numbers from {low:g} to {high:g}; expected 0/1, 0 … 1, −1 … 1 or 0 … 255: "
        "scale them to 0 … 1"
    )


def _check_alike(path: Path, arrays: Sequence[NDArray[Any]], high: float) -> None:
    """Parts of 0 … 1 beside others of 0 … 255 would all be black."""
    tops = [float(array.max()) for array in arrays]
    if high > MOST_LEVELS and any(0 < top <= 1 for top in tops):
        least = min(top for top in tops if top > 0)
        raise DataError(
            f"{path} has a part whose numbers go up to {least:g}, and one up to {high:g}; expected "
            "one range for training, validation and test: scale all to 0 … 1"
        )


def _only(blocks: Sequence[NDArray[Any]], values: set[float]) -> bool:
    first, *others = sorted(values)
    other = others[0] if others else first
    return all(((block == first) | (block == other)).all() for block in blocks)


def _blocks(array: NDArray[Any]) -> Sequence[NDArray[Any]]:
    each = max(1, BLOCK // max(1, int(np.prod(array.shape[1:]))))
    return [array[start : start + each] for start in range(0, len(array), each)]
