"""Compiled knapsack by dynamic programming. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def maximise(
    rows: NDArray,
    z: NDArray,
    ok: NDArray,
    sizes: NDArray,
    capacity: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write the most valuable packings of rows start … stop−1, zeros and ones, into `z`.

    Args:
        rows: values `(r, m)`.
        z: `(r, m)`, zero before.
        ok: stays True; nothing may be packed.
        sizes: `(b or 1, m)`.
        capacity: `(b or 1,)`.
        start: first row.
        stop: one past the last.
    """
    m, most = rows.shape[1], capacity.max()
    best = np.zeros((m + 1, most + 1), rows.dtype)  # of the first i items in each capacity
    for row in range(start, stop):
        size, room = sizes[row % len(sizes)], capacity[row % len(capacity)]
        for i in range(m):
            value, width = rows[row, i], size[i]
            before, now = best[i], best[i + 1]
            if value <= 0 or width > room:
                now[: room + 1] = before[: room + 1]
                continue
            now[:width] = before[:width]
            for c in range(room + 1 - width):  # no branch: several at a time
                now[c + width] = max(before[c + width], before[c] + value)
        for i in range(m - 1, -1, -1):
            if best[i + 1, room] > best[i, room]:
                z[row, i] = 1
                room -= size[i]
