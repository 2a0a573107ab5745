"""Compiled differences in bfloat16, and sums with them. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def differences(
    moved: NDArray, source: NDArray, out: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """out[m, i] = moved[m, i] − source[m] as the bits of a bfloat16, for m in start … stop−1.

    Args:
        moved: `(m, c, h)`, float32.
        source: `(m, h)`, float32.
        out: `(m, c, h)`, int16.
        start: first row.
        stop: one past the last.
    """
    for m in range(start, stop):
        for i in range(moved.shape[1]):
            for j in range(moved.shape[2]):
                change = np.float32(moved[m, i, j] - source[m, j])
                bits = change.view(np.int32)
                # Round to the nearest, ties to even, as torch does; what is no number stays none.
                rounded = np.int16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)
                out[m, i, j] = rounded if change == change else np.int16(0x7FC0)


@njit(cache=True, nogil=True)
def sums(
    before: NDArray, change: NDArray, out: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """out[m, i] = before[m] + change[m, i], for m in start … stop−1.

    Args:
        before: `(m, d)`, float32.
        change: `(m, c, d)`, the bits of a bfloat16 as int16.
        out: `(m, c, d)`, float32.
        start: first row.
        stop: one past the last.
    """
    for m in range(start, stop):
        for i in range(change.shape[1]):
            for j in range(change.shape[2]):
                wide = np.int32(np.int32(change[m, i, j]) << 16).view(np.float32)
                out[m, i, j] = before[m, j] + wide
