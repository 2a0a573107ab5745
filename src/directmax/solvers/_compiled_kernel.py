"""What is compiled around every compiled solver: before, and after. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def prepare(
    unary: NDArray, pairwise: NDArray, field: NDArray
) -> tuple[bool, bool]:  # pragma: no cover (compiled)
    """Write what each variable gains; whether no value is forbidden, and whether some pair loses.

    Args:
        unary: h_i, `(rows, n, 2)`.
        pairwise: h_ij, `(b, P)`.
        field: h_i(1) − h_i(0), `(rows, n)`.
    """
    allowed, negative = True, False
    for row in range(unary.shape[0]):
        for i in range(unary.shape[1]):
            off, on = unary[row, i, 0], unary[row, i, 1]
            field[row, i] = on - off
            allowed &= (off > -np.inf) & (on > -np.inf)  # NaN is not
    for row in range(pairwise.shape[0]):
        for pair in range(pairwise.shape[1]):
            negative |= pairwise[row, pair] < 0
    return allowed, negative


@njit(cache=True, nogil=True)
def answer(
    bits: NDArray,
    unary: NDArray,
    pairwise: NDArray,
    value: NDArray,
    singles: NDArray,
    pairs: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write z as one-hot, h_i(z_i) and h_ij z_i z_j of rows start … stop−1.

    Args:
        bits: z, `(rows, n)`, uint8.
        unary: h_i, `(rows, n, 2)`.
        pairwise: h_ij, `(b, P)`; row r uses entry r modulo b.
        value: z, `(rows, n, 2)`.
        singles: h_i(z_i), `(rows, n)`.
        pairs: h_ij z_i z_j, `(rows, P)`.
        start: first row.
        stop: one past the last.
    """
    n, count = bits.shape[1], pairwise.shape[1]
    first, second = np.empty(count, np.uint32), np.empty(count, np.uint32)
    pair = 0
    for i in range(n):
        for j in range(i + 1, n):
            first[pair], second[pair] = i, j
            pair += 1
    on = np.empty(n, value.dtype)
    for row in range(start, stop):
        for i in range(n):
            one = bits[row, i]
            on[i] = one
            value[row, i, 0] = 1 - one
            value[row, i, 1] = one
            singles[row, i] = unary[row, i, one]
        problem = row % pairwise.shape[0]
        for pair in range(count):  # not by i and j: one loop that is long is vectorised better
            pairs[row, pair] = on[first[pair]] * on[second[pair]] * pairwise[problem, pair]
