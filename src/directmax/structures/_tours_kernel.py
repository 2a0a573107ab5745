"""Compiled longest tours. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def maximise(
    rows: NDArray, z: NDArray, ok: NDArray, edge: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """Write the heaviest tours of rows start … stop−1, zeros and ones, into `z`.

    Dynamic programming over sets of vertices, O(v² 2^v): the best path from the last vertex through
    a set to one of its members.

    Args:
        rows: weights `(r, m)`.
        z: `(r, m)`, zero before.
        ok: False where no tour is left.
        edge: `(v, v)`, the number of the edge between two vertices.
        start: first row.
        stop: one past the last.
    """
    inner = len(edge) - 1  # vertices beside the last, from which tours start
    best = np.empty((1 << inner, inner))
    before = np.empty((1 << inner, inner), np.int8)
    for row in range(start, stop):
        weights = rows[row]
        for taken in range(1, 1 << inner):
            for end in range(inner):
                best[taken, end] = -np.inf
                if not (taken >> end) & 1:
                    continue
                rest = taken ^ (1 << end)
                if rest == 0:
                    best[taken, end] = weights[edge[inner, end]]
                for middle in range(inner):
                    if (rest >> middle) & 1:
                        value = best[rest, middle] + weights[edge[middle, end]]
                        if value > best[taken, end]:
                            best[taken, end], before[taken, end] = value, middle
        most, end, taken = -np.inf, -1, (1 << inner) - 1
        for each in range(inner):
            value = best[taken, each] + weights[edge[each, inner]]
            if value > most:
                most, end = value, each
        ok[row] = end >= 0
        if end < 0:
            continue
        z[row, edge[end, inner]] = 1
        while taken != 1 << end:
            middle = before[taken, end]
            z[row, edge[middle, end]] = 1
            taken ^= 1 << end
            end = middle
        z[row, edge[inner, end]] = 1
