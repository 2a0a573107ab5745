"""Compiled search over all 2^n assignments of binary variables. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax._compiled_math import FAST
from directmax._kernels import LOW_VARIABLES
from directmax._state_tables import descend, of_groups, prepare


@njit(cache=True, nogil=True, fastmath=FAST)
def maximise(
    field: NDArray, pairwise: NDArray, bits: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """Write the argmax of rows start … stop−1 into `bits`.

    The variables are split into three groups A, B, C of about n/3. Score and state are sums of
    entries of three tables, and from two of them follows for every b and c what no a can exceed
    (`of_groups`). The best a is looked for only where that is more than the best score found so
    far: usually for less than one in a hundred of the pairs b, c.

    Args:
        field: `(rows, n)`.
        pairwise: `(b, P)`; row r uses entry r modulo b.
        bits: `(rows, n)`, uint8.
        start: first row.
        stop: one past the last.
    """
    n, kind = field.shape[1], field.dtype
    groups = ((n + 2) // 3, (n + 1) // 3, n // 3)
    a, b, c = 1 << groups[0], 1 << groups[1], 1 << groups[2]
    ab, ac, bc = np.empty((a, b), kind), np.empty((a, c), kind), np.empty((b, c), kind)
    work = np.empty(2 * (a + b + c), kind)
    for row in range(start, stop):
        pairs = pairwise[row % pairwise.shape[0]]
        highest = of_groups(field[row], pairs, groups, ab, ac, bc, work)
        best_b, best_c = _place(bc, highest)
        best_a = _best_of_cell(ab, ac, best_b, best_c)
        best = bc[best_b, best_c] + ab[best_a, best_b] + ac[best_a, best_c]
        for x in range(b):
            count = 0
            for y in range(c):
                count += bc[x, y] > best
            if 8 * count > c:
                _columns_maxima(ab, ac, x, work)
            for y in range(c):
                if count and bc[x, y] > best:
                    if 8 * count > c and not work[y] + bc[x, y] > best:
                        continue
                    z = _best_of_cell(ab, ac, x, y)
                    score = bc[x, y] + ab[z, x] + ac[z, y]
                    if score > best:
                        best, best_a, best_b, best_c = score, z, x, y
        code = (((best_a << groups[1]) | best_b) << groups[2]) | best_c
        for i in range(n):
            bits[row, i] = (code >> (n - 1 - i)) & 1


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _place(table: NDArray, value: float) -> tuple[int, int]:  # pragma: no cover (compiled)
    """Where the table has this value."""
    for x in range(table.shape[0]):
        for y in range(table.shape[1]):
            if table[x, y] == value:
                return x, y
    return 0, 0


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _best_of_cell(ab: NDArray, ac: NDArray, b: int, c: int) -> int:  # pragma: no cover (compiled)
    """The first a with the largest ab + ac."""
    best, place = ab[0, b] + ac[0, c], 0
    for a in range(1, ab.shape[0]):
        score = ab[a, b] + ac[a, c]
        if score > best:
            best, place = score, a
    return place


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _columns_maxima(
    ab: NDArray, ac: NDArray, b: int, out: NDArray
) -> None:  # pragma: no cover (compiled)
    """max_a ab + ac for this b and every c."""
    for c in range(ac.shape[1]):
        out[c] = ab[0, b] + ac[0, c]
    for a in range(1, ac.shape[0]):
        this, row = ab[a, b], ac[a]
        for c in range(len(row)):
            out[c] = max(out[c], this + row[c])


@njit(cache=True, nogil=True, fastmath=True)
def alternatives(
    field: NDArray,
    pairwise: NDArray,
    bits: NDArray,
    out: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """For rows start … stop−1 and every variable, the argmax in which it is not as in `bits`.

    All n of them in one pass: the best score of every leaf (for the high variables) and, with its
    leaf, of every low state (for the low ones) are kept.

    Args:
        field: `(rows, n)`.
        pairwise: `(b, P)`; row r uses entry r modulo b.
        bits: `(rows, n)`, uint8.
        out: `(n, rows, n)`, uint8.
        start: first row.
        stop: one past the last.
    """
    n = field.shape[1]
    low = min(n, LOW_VARIABLES)
    high = n - low
    size = 1 << low
    leaves = 1 << high
    tables = np.empty((high + 1, size), field.dtype)
    coupling = np.empty((max(high, 1), size), field.dtype)
    upper = np.zeros(leaves, field.dtype)
    linear = np.empty(leaves, field.dtype)
    levels = np.zeros(high + 1, np.int64)
    leaf = np.empty(leaves, field.dtype)
    best = np.empty(size, field.dtype)
    code_of = np.empty(size, np.int32)
    scratch = np.empty(size, field.dtype)
    for row in range(start, stop):
        pairs = pairwise[row % pairwise.shape[0]]
        prepare(field[row], pairs, tables[0], coupling, upper, linear)
        for code in range(leaves):
            descend(tables, coupling, levels, high, size, code)
            leaf[code] = _take(tables[levels[high]], upper[code], code, best, code_of, scratch)
        for i in range(n):
            wanted = 1 - bits[row, i]
            if i < high:
                found = _argmax_with(leaf, high - 1 - i, wanted)
                _write(tables, coupling, high, size, found, out[i, row])
            else:
                state = _argmax_with(best, n - 1 - i, wanted)
                for d in range(high):
                    out[i, row, d] = (code_of[state] >> (high - 1 - d)) & 1
                for d in range(high, n):
                    out[i, row, d] = (state >> (n - 1 - d)) & 1


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _take(
    table: NDArray,
    offset: float,
    code: int,
    best: NDArray,
    code_of: NDArray,
    scratch: NDArray,
) -> float:  # pragma: no cover (compiled)
    """Into `best` and `code_of` what a leaf improves for each low state; its best score."""
    if code == 0:
        for z in range(table.shape[0]):
            best[z] = table[z] + offset
            code_of[z] = 0
    else:
        code32 = np.int32(code)
        for z in range(table.shape[0]):
            score = table[z] + offset
            better = score > best[z]
            best[z] = score if better else best[z]
            code_of[z] = code32 if better else code_of[z]
    return _largest(table, scratch) + offset


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _largest(values: NDArray, scratch: NDArray) -> float:  # pragma: no cover (compiled)
    """By halves: the compiler vectorises the larger of two, not a largest of all."""
    half = values.shape[0] // 2
    for z in range(half):
        scratch[z] = max(values[z], values[half + z])
    while half > 8:
        half //= 2
        for z in range(half):
            scratch[z] = max(scratch[z], scratch[half + z])
    largest = scratch[0]
    for z in range(1, half):
        largest = max(largest, scratch[z])
    return largest


@njit(cache=True, nogil=True)
def _argmax_with(scores: NDArray, bit: int, wanted: int) -> int:  # pragma: no cover (compiled)
    """The index of the largest score among those whose index has a bit as wanted."""
    best, index = -np.inf, 0
    for z in range(scores.shape[0]):
        if (z >> bit) & 1 == wanted and scores[z] > best:
            best, index = scores[z], z
    return index


@njit(cache=True, nogil=True)
def _write(
    tables: NDArray, coupling: NDArray, high: int, size: int, code: int, bits: NDArray
) -> None:  # pragma: no cover (compiled)
    """The assignment of the best high code and its best low code."""
    best, best_low = -np.inf, 0
    for z in range(size):
        score = tables[0, z]
        for d in range(high):
            if (code >> (high - 1 - d)) & 1:
                score += coupling[d, z]
        if score > best:
            best, best_low = score, z
    n = bits.shape[0]
    for d in range(high):
        bits[d] = (code >> (high - 1 - d)) & 1
    for d in range(high, n):
        bits[d] = (best_low >> (n - 1 - d)) & 1
