"""Compiled: layer normalisation of rows, then ReLU, and its gradient. Imported on first use.

Numbers in bfloat16 come as the 16 bits they are. Everything is computed in float32.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import overload
from numpy.typing import NDArray

from directmax._compiled_math import FAST

SLICE = 2048
"""Rows whose gradients of the weights are added up first, however many threads there are."""


def _wide(number: np.float32) -> np.float32:
    """As float32, of either type."""
    return (
        np.uint32(int(number) << 16).view(np.float32) if isinstance(number, np.uint16) else number
    )


@overload(_wide, inline="always")
def _wide_compiled(number):  # type: ignore[no-untyped-def]
    if number.bitwidth == 32:
        return lambda number: number
    return lambda number: np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)


def _narrow(number: np.float32, like: np.float32) -> np.float32:
    """A float32 in the type of another number, rounded to the nearest."""
    if not isinstance(like, np.uint16):
        return number
    bits = int(number.view(np.uint32))
    return np.uint16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF)


@overload(_narrow, inline="always")
def _narrow_compiled(number, like):  # type: ignore[no-untyped-def]
    if like.bitwidth == 32:
        return lambda number, like: number
    half, one, places = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)

    def rounded(number, like):  # type: ignore[no-untyped-def]
        bits = np.float32(number).view(np.uint32)
        return np.uint16((bits + half + (bits >> places & one)) >> places)

    return rounded


@njit(cache=True, nogil=True, fastmath=FAST)
def forward(
    maps: NDArray,
    weight: NDArray,
    bias: NDArray,
    epsilon: float,
    out: NDArray,
    moments: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write ReLU(weight · (x − mean)/√(variance + ε) + bias), and of each row mean and 1/√….

    Args:
        maps: x, `(rows, c)`, float32, or bfloat16 as uint16.
        weight: `(c,)`, float32.
        bias: `(c,)`, float32.
        epsilon: ε.
        out: of the type of `maps`.
        moments: `(rows, 2)`, float32.
        start: first row.
        stop: one past the last.
    """
    channels = maps.shape[1]
    share, zero = np.float32(1 / channels), np.float32(0)
    row = np.empty(channels, np.float32)
    for r in range(start, stop):
        total = zero
        for c in range(channels):
            row[c] = _wide(maps[r, c])
            total += row[c]
        mean = total * share
        total = zero
        for c in range(channels):
            row[c] -= mean
            total += row[c] * row[c]
        rate = np.float32(1) / np.sqrt(total * share + np.float32(epsilon))
        moments[r, 0], moments[r, 1] = mean, rate
        for c in range(channels):
            found = row[c] * rate * weight[c] + bias[c]
            out[r, c] = _narrow(zero if found <= zero else found, maps[r, c])  # NaN stays


@njit(cache=True, nogil=True, fastmath=FAST)
def backward(
    grad: NDArray,
    maps: NDArray,
    weight: NDArray,
    bias: NDArray,
    moments: NDArray,
    out: NDArray,
    parts: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write the gradient of x, and of weight and bias for each of the slices start … stop−1.

    Args:
        grad: of the result, `(rows, c)`, of the type of `maps`.
        maps: x.
        weight: `(c,)`.
        bias: `(c,)`.
        moments: as `forward` wrote them.
        out: of the type of `maps`.
        parts: `(slices, 2, c)`, float32.
        start: first slice.
        stop: one past the last.
    """
    rows, channels = maps.shape
    share, zero = np.float32(1 / channels), np.float32(0)
    x, slope = np.empty(channels, np.float32), np.empty(channels, np.float32)
    of_weight, of_bias = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for part in range(start, stop):
        of_weight[:] = 0
        of_bias[:] = 0
        for r in range(part * SLICE, min(rows, part * SLICE + SLICE)):
            mean, rate = moments[r, 0], moments[r, 1]
            first, second = zero, zero
            for c in range(channels):
                x[c] = (_wide(maps[r, c]) - mean) * rate
                passed = zero if x[c] * weight[c] + bias[c] <= zero else _wide(grad[r, c])
                of_weight[c] += passed * x[c]
                of_bias[c] += passed
                slope[c] = passed * weight[c]
                first += slope[c]
                second += slope[c] * x[c]
            first, second = first * share, second * share
            for c in range(channels):
                out[r, c] = _narrow(rate * (slope[c] - first - x[c] * second), maps[r, c])
        for c in range(channels):
            parts[part, 0, c], parts[part, 1, c] = of_weight[c], of_bias[c]
