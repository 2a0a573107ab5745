"""Compiled Viterbi algorithm. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def maximise(
    rows: NDArray,
    z: NDArray,
    ok: NDArray,
    transitions: NDArray,
    lengths: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write the best sequences of rows start … stop−1, one-hot, into `z`.

    Args:
        rows: `(r, n, k)`.
        z: `(r, n, k)`, zero before.
        ok: False where all sequences are −∞.
        transitions: `(b or 1, n − 1 or 1, k, k)`, from state i to j.
        lengths: `(b or 1,)`.
        start: first row.
        stop: one past the last.
    """
    n, k = rows.shape[1:]
    problems, places = transitions.shape[:2]
    best = np.empty((n, k), rows.dtype)
    for row in range(start, stop):
        length = lengths[row % len(lengths)]
        steps = transitions[row % problems]
        best[0] = rows[row, 0]
        for t in range(1, length):
            step, now, before = steps[(t - 1) % places], best[t], best[t - 1]
            now[:] = -np.inf
            for i in range(k):
                value, line = before[i], step[i]
                for j in range(k):  # no branch: several at a time
                    now[j] = max(now[j], value + line[j])
            for j in range(k):
                now[j] += rows[row, t, j]
        last = int(np.argmax(best[length - 1]))
        ok[row] = best[length - 1, last] > -np.inf
        z[row, length - 1, last] = 1
        for t in range(length - 2, -1, -1):
            step, now, choice = steps[t % places], best[t], 0
            for i in range(1, k):
                if now[i] + step[i, last] > now[choice] + step[choice, last]:
                    choice = i
            last = choice
            z[row, t, last] = 1
