"""Compiled search over all 2^n assignments of binary variables. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax._kernels import LOW_VARIABLES
from directmax._state_tables import descend, prepare


@njit(cache=True, nogil=True, fastmath=True)
def maximise(
    field: NDArray, pairwise: NDArray, bits: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """Write the argmax of rows start … stop−1 into `bits`.

    The last L variables are "low", the others "high". For every assignment of the high ones a
    table holds the score of all 2^L assignments of the low ones. The tables are built along a
    binary tree: switching a high variable on adds the table of its couplings to that of its parent,
    so a state costs about one addition and one comparison, both in vector registers, and no error
    builds up along the enumeration.

    Args:
        field: `(rows, n)`.
        pairwise: `(b, P)`; row r uses entry r modulo b.
        bits: `(rows, n)`, uint8.
        start: first row.
        stop: one past the last.
    """
    n = field.shape[1]
    low = min(n, LOW_VARIABLES)
    high = n - low
    size = 1 << low
    tables = np.empty((high + 1, size), field.dtype)  # of the nodes on the current path
    coupling = np.empty((max(high, 1), size), field.dtype)  # Σ_l h_dl z_l for a high d
    upper = np.zeros(1 << high, field.dtype)  # score of the high variables among themselves
    linear = np.empty(1 << high, field.dtype)
    levels = np.zeros(high + 1, np.int64)  # which table holds each level: copies are avoided
    for row in range(start, stop):
        pairs = pairwise[row % pairwise.shape[0]]
        prepare(field[row], pairs, tables[0], coupling, upper, linear)
        best = -np.inf
        best_code = 0
        last = max(high - 1, 0)
        for code in range(1 << last):
            descend(tables, coupling, levels, last, size, code)
            table = tables[levels[last]]
            offset = table[0]
            if high:
                add = coupling[last]
                on = table[0] + add[0]
                for z in range(size):
                    offset = max(offset, table[z])
                    on = max(on, table[z] + add[z])
                if on + upper[2 * code + 1] > best:
                    best = on + upper[2 * code + 1]
                    best_code = 2 * code + 1
            else:
                for z in range(size):
                    offset = max(offset, table[z])
            if offset + upper[2 * code if high else 0] > best:
                best = offset + upper[2 * code if high else 0]
                best_code = 2 * code
        _write(tables, coupling, high, size, best_code, bits[row])


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
    for row in range(start, stop):
        pairs = pairwise[row % pairwise.shape[0]]
        prepare(field[row], pairs, tables[0], coupling, upper, linear)
        for code in range(leaves):
            descend(tables, coupling, levels, high, size, code)
            leaf[code] = _take(tables[levels[high]], upper[code], code, best, code_of)
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
    table: NDArray, offset: float, code: int, best: NDArray, code_of: NDArray
) -> float:  # pragma: no cover (compiled)
    """Into `best` and `code_of` what a leaf improves for each low state; its best score."""
    local = table[0]
    if code == 0:
        for z in range(table.shape[0]):
            best[z] = table[z] + offset
            code_of[z] = 0
            local = max(local, table[z])
    else:
        code32 = np.int32(code)
        for z in range(table.shape[0]):
            score = table[z] + offset
            better = score > best[z]
            best[z] = score if better else best[z]
            code_of[z] = code32 if better else code_of[z]
            local = max(local, table[z])
    return local + offset


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
