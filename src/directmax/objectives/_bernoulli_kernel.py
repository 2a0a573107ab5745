"""Compiled sums of softplus over pixels. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax._compiled_math import FAST, exp, narrowed, widened

WIDE, NARROW = 64, 16
"""Pixels in a loop of fixed length, which the compiler turns into vector code without a rest. A
factor 1 + e^{−|l|} is at most 2, so 64 of them fit a float32, and 15 such products a float64."""


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def _part(
    logits: NDArray, change: NDArray, images: NDArray, first: int, count: int
) -> tuple[np.float32, np.float32]:  # pragma: no cover (compiled)
    """Σ max(l, 0) − x Δ and Π (1 + e^{−|l|}) over a few pixels, l = L + Δ."""
    zero, one = np.float32(0), np.float32(1)
    linear, product = zero, one
    for offset in range(count):
        d = first + offset
        step = widened(change[d])
        logit = logits[d] + step
        linear += max(logit, zero) - images[d] * step
        product *= one + exp(-abs(logit))
    return linear, product


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _loss_change(
    logits: NDArray, change: NDArray, images: NDArray
) -> float:  # pragma: no cover (compiled)
    """Σ_d softplus(L_d + Δ_d) − x_d Δ_d.

    softplus(l) = max(l, 0) + log(1 + e^{−|l|}), with the logarithm of a product taken once for
    many pixels, so that a pixel costs one exponential and no memory is written.
    """
    pixels = logits.shape[0]
    total, product, factors = 0.0, 1.0, 0
    d = 0
    while d + WIDE <= pixels:
        linear, part = _part(logits, change, images, d, WIDE)
        total += linear
        product *= part
        factors += 1
        d += WIDE
        if factors == 15:
            total += np.log(product)
            product, factors = 1.0, 0
    while d + NARROW <= pixels:
        linear, part = _part(logits, change, images, d, NARROW)
        total += linear
        product *= part
        d += NARROW
    linear, part = _part(logits, change, images, d, pixels - d)
    return total + linear + np.log(product * part)


@njit(cache=True, nogil=True, fastmath=FAST)
def loss_changes(
    logits: NDArray, change: NDArray, images: NDArray, out: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """out[m, i] = Σ_d softplus(L_d + Δ_id) − softplus(L_d) − x_d Δ_id for m in start … stop−1.

    Args:
        logits: L `(m, d)`, float32.
        change: Δ `(m, c, d)`, float32 or the bits of a bfloat16 as int16.
        images: x `(m, d)`, float32.
        out: `(m, c)`, float32.
        start: first row.
        stop: one past the last.
    """
    none = np.zeros(logits.shape[1], np.float32)
    for m in range(start, stop):
        before = _loss_change(logits[m], none, images[m])
        for i in range(change.shape[1]):
            out[m, i] = _loss_change(logits[m], change[m, i], images[m]) - before


@njit(cache=True, nogil=True)  # not fast: the order of the sums is that of torch
def moved_relu(
    before: NDArray, columns: NDArray, values: NDArray, out: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """out[m, i(k−1)+r−1] = relu(a_m + c_i,new − c_i,old) − relu(a_m).

    new = old + r modulo k, r = 1 … k−1, for m in start … stop−1.

    Args:
        before: a `(m, h)`, float32.
        columns: c `(n, k, h)`, float32.
        values: z `(m, n)`, old.
        out: `(m, n(k−1), h)`, float32, or bits of bfloat16 in int16.
        start: first row.
        stop: one past the last.
    """
    zero, k = np.float32(0), columns.shape[1]
    for m in range(start, stop):
        for i in range(columns.shape[0]):
            old = values[m, i]
            for r in range(1, k):
                new = (old + r) % k
                row = i * (k - 1) + r - 1
                for j in range(before.shape[1]):
                    a = before[m, j]
                    moved = a + (columns[i, new, j] - columns[i, old, j])
                    change = max(moved, zero) - max(a, zero)
                    out[m, row, j] = narrowed(change, out[m, row, j])
