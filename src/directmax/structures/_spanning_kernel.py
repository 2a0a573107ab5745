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


@njit(cache=True, nogil=True)
def swaps(
    rows: NDArray,
    tree: NDArray,
    other: NDArray,
    reached: NDArray,
    edges: NDArray,
    vertices: int,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """The heaviest spanning tree with each edge in it, if it is not in `tree`, or else out of it.

    An edge outside closes a circle, whose lightest edge of the tree it replaces; an edge of the
    tree is replaced by the heaviest edge outside whose circle it is on. O(mv) for all.

    Args:
        rows: weights `(r, m)`.
        tree: the heaviest spanning trees, `(r, m)`.
        other: `(m, r, m)`, zero before.
        reached: False before, `(m, r)`.
        edges: `(m, 2)`.
        vertices: their number.
        start: first row.
        stop: one past the last.
    """
    m = len(edges)
    above, by = np.empty(vertices, np.int64), np.empty(vertices, np.int64)
    depth = np.empty(vertices, np.int64)
    instead = np.empty(m, np.int64)
    for row in range(start, stop):
        _hang(tree[row], edges, above, by, depth)
        instead[:] = -1
        for e in range(m):
            if tree[row, e] > 0 or rows[row, e] == -np.inf:
                continue
            one, two = edges[e]
            while one != two:  # up to where the ends meet
                if depth[one] < depth[two]:
                    one, two = two, one
                f, one = by[one], above[one]
                if instead[e] < 0 or rows[row, f] < rows[row, instead[e]]:
                    instead[e] = f
                if instead[f] < 0 or rows[row, e] > rows[row, instead[f]]:
                    instead[f] = e
        for e in range(m):
            if instead[e] >= 0:
                other[e, row] = tree[row]
                other[e, row, e] = 1 - tree[row, e]
                other[e, row, instead[e]] = 1 - tree[row, instead[e]]
                reached[e, row] = True


@njit(cache=True, nogil=True)
def _hang(
    tree: NDArray, edges: NDArray, above: NDArray, by: NDArray, depth: NDArray
) -> None:  # pragma: no cover (compiled)
    """The vertex above each, the edge to it, and how deep it hangs, from vertex 0."""
    above[:], depth[:] = -1, -1
    depth[0], grown = 0, True
    while grown:
        grown = False
        for e in range(len(edges)):
            one, two = edges[e]
            if tree[e] > 0 and (depth[one] < 0) != (depth[two] < 0):
                if depth[one] < 0:
                    one, two = two, one
                above[two], by[two], depth[two], grown = one, e, depth[one] + 1, True
