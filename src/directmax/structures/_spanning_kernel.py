"""Compiled maximum spanning trees. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def maximise(
    rows: NDArray,
    z: NDArray,
    ok: NDArray,
    edges: NDArray,
    vertices: int,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write the heaviest spanning trees of rows start … stop−1, zeros and ones, into `z`.

    Kruskal's algorithm: edges in falling order, unless their ends are already joined.

    Args:
        rows: weights `(r, m)`.
        z: `(r, m)`, zero before.
        ok: False where no tree is left.
        edges: `(m, 2)`.
        vertices: their number.
        start: first row.
        stop: one past the last.
    """
    above = np.empty(vertices, np.int64)
    for row in range(start, stop):
        above[:] = np.arange(vertices)
        left = vertices - 1
        for e in np.argsort(-rows[row]):
            if left == 0 or rows[row, e] == -np.inf:
                break
            first, second = edges[e]
            while above[first] != first:
                above[first] = above[above[first]]
                first = above[first]
            while above[second] != second:
                above[second] = above[above[second]]
                second = above[second]
            if first != second:
                above[first] = second
                z[row, e] = 1
                left -= 1
        ok[row] = left == 0
