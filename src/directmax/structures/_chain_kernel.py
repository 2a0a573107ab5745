"""Compiled Viterbi algorithm, forwards and backwards. Imported on first use."""

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


@njit(cache=True, nogil=True)
def max_marginals(
    rows: NDArray,
    values: NDArray,
    ok: NDArray,
    transitions: NDArray,
    lengths: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write the best score with each state at each place; −∞ beyond the length.

    Args:
        rows: as above, as the others.
        values: `(r, n, k)`.
        ok: left as it is.
        transitions: as above.
        lengths: as above.
        start: first row.
        stop: one past the last.
    """
    problems = len(transitions)
    ahead, behind = np.empty(rows.shape[1:], rows.dtype), np.empty(rows.shape[1:], rows.dtype)
    for row in range(start, stop):
        length = lengths[row % len(lengths)]
        _both_ways(rows[row], transitions[row % problems], length, ahead, behind)
        values[row, :length] = ahead[:length] + behind[:length]
        values[row, length:] = -np.inf


@njit(cache=True, nogil=True)
def alternatives(
    rows: NDArray,
    z: NDArray,
    other: NDArray,
    reached: NDArray,
    transitions: NDArray,
    lengths: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write, for every place, the best sequence with another state there than `z` has.

    Args:
        rows: as above.
        z: `(r, n, k)`, one-hot.
        other: `(n, r, n, k)`, zero before.
        reached: `(n, r)`, False before: where there is one.
        transitions: as above.
        lengths: as above.
        start: first row.
        stop: one past the last.
    """
    k, (problems, places) = rows.shape[2], transitions.shape[:2]
    ahead, behind = np.empty(rows.shape[1:], rows.dtype), np.empty(rows.shape[1:], rows.dtype)
    for row in range(start, stop):
        length, steps = lengths[row % len(lengths)], transitions[row % problems]
        _both_ways(rows[row], steps, length, ahead, behind)
        for place in range(length):
            best, state = -np.inf, -1
            for j in range(k):
                if z[row, place, j] == 0 and ahead[place, j] + behind[place, j] > best:
                    best, state = ahead[place, j] + behind[place, j], j
            if state < 0:
                continue
            reached[place, row] = True
            other[place, row, place, state] = 1
            here = state
            for t in range(place - 1, -1, -1):
                step, choice = steps[t % places], 0
                for i in range(1, k):
                    if ahead[t, i] + step[i, here] > ahead[t, choice] + step[choice, here]:
                        choice = i
                here = choice
                other[place, row, t, here] = 1
            here = state
            for t in range(place + 1, length):
                line, choice, most = steps[(t - 1) % places, here], 0, -np.inf
                for j in range(k):
                    value = line[j] + rows[row, t, j] + behind[t, j]
                    if value > most:
                        choice, most = j, value
                here = choice
                other[place, row, t, here] = 1


@njit(cache=True, nogil=True)
def _both_ways(
    row: NDArray, steps: NDArray, length: int, ahead: NDArray, behind: NDArray
) -> None:  # pragma: no cover (compiled)
    """The best up to each place and state, with its own weight, and the best of what follows."""
    k, places = row.shape[1], len(steps)
    ahead[0] = row[0]
    for t in range(1, length):
        step = steps[(t - 1) % places]
        ahead[t] = -np.inf
        for i in range(k):
            for j in range(k):
                ahead[t, j] = max(ahead[t, j], ahead[t - 1, i] + step[i, j])
        ahead[t] += row[t]
    behind[length - 1] = 0.0
    for t in range(length - 2, -1, -1):
        step = steps[t % places]
        behind[t] = -np.inf
        for i in range(k):
            for j in range(k):
                behind[t, i] = max(behind[t, i], step[i, j] + row[t + 1, j] + behind[t + 1, j])
