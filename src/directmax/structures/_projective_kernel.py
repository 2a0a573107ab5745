"""Compiled maximum projective trees. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def maximise(
    rows: NDArray, z: NDArray, ok: NDArray, single_root: bool, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """Write the best projective trees of rows start … stop−1, one-hot, into `z`.

    Eisner's algorithm: open spans, whose ends are joined by an edge, and closed ones, a head with
    all that it has on one side. O(n³).

    Args:
        rows: `(r, n, n + 1)`: of node j + 1, what each head is worth; head 0 is the root.
        z: `(r, n, n + 1)`, zero before.
        ok: False where there is no tree.
        single_root: one edge leaves the root.
        start: first row.
        stop: one past the last.
    """
    n = rows.shape[1] + 1
    opened, closed = np.empty((n, n)), np.zeros((n, n))  # [head, other end]; right if head < end
    open_at, close_at = np.zeros((n, n), np.int64), np.zeros((n, n), np.int64)
    stack = np.empty((2 * n, 3), np.int64)
    for row in range(start, stop):
        for width in range(1, n):
            for i in range(n - width):
                j = i + width
                best, at = -np.inf, i
                for m in range(i, j):
                    value = closed[i, m] + closed[j, m + 1]
                    if value > best:
                        best, at = value, m
                opened[i, j] = best + rows[row, j - 1, i]
                opened[j, i] = best + rows[row, i - 1, j] if i > 0 else -np.inf
                open_at[i, j] = open_at[j, i] = at
                best, at = -np.inf, j
                for m in range(i + 1, j + 1):
                    value = opened[i, m] + closed[m, j]
                    if i == 0 and single_root:  # all others hang below m, on both sides
                        value = rows[row, m - 1, 0] + closed[m, 1] + closed[m, j]
                    if value > best:
                        best, at = value, m
                closed[i, j], close_at[i, j] = best, at
                best, at = -np.inf, i
                for m in range(i, j):
                    value = closed[m, i] + opened[j, m]
                    if value > best:
                        best, at = value, m
                closed[j, i], close_at[j, i] = best, at
        ok[row] = closed[0, n - 1] > -np.inf
        if ok[row]:
            _trace(z[row], open_at, close_at, stack, single_root)


@njit(cache=True, nogil=True)
def _trace(
    z: NDArray, open_at: NDArray, close_at: NDArray, stack: NDArray, single_root: bool
) -> None:  # pragma: no cover (compiled)
    """Follow the choices down from the whole."""
    n = len(open_at)
    stack[0] = (0, n - 1, 0)  # head, other end, whether open
    size = 1
    while size > 0:
        size -= 1
        head, end, is_open = stack[size]
        if head == end:
            continue
        if is_open:
            z[end - 1, head] = 1
            low, high = min(head, end), max(head, end)
            at = open_at[head, end]
            stack[size], stack[size + 1] = (low, at, 0), (high, at + 1, 0)
            size += 2
            continue
        at = close_at[head, end]
        if head == 0 and single_root:
            z[at - 1, 0] = 1
            stack[size], stack[size + 1] = (at, 1, 0), (at, end, 0)
        else:
            stack[size], stack[size + 1] = (head, at, 1), (at, end, 0)
        size += 2
