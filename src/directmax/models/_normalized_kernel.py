"""Compiled: layer normalisation of rows, then ReLU, and its gradient. Imported on first use.

Numbers in bfloat16 come as the bits they are, in int16. Everything is computed in float32.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax._compiled_math import FAST, narrowed, widened

SLICE = 2048
"""Rows whose gradients of the weights are added up first, however many threads there are."""


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
        maps: x, `(rows, c)`, float32, or bits of bfloat16.
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
            row[c] = widened(maps[r, c])
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
            out[r, c] = narrowed(zero if found <= zero else found, maps[r, c])  # NaN stays


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
                x[c] = (widened(maps[r, c]) - mean) * rate
                passed = zero if x[c] * weight[c] + bias[c] <= zero else widened(grad[r, c])
                of_weight[c] += passed * x[c]
                of_bias[c] += passed
                slope[c] = passed * weight[c]
                first += slope[c]
                second += slope[c] * x[c]
            first, second = first * share, second * share
            for c in range(channels):
                out[r, c] = narrowed(rate * (slope[c] - first - x[c] * second), maps[r, c])
        for c in range(channels):
            parts[part, 0, c], parts[part, 1, c] = of_weight[c], of_bias[c]
