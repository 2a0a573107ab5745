"""Compiled maximum arborescence of dense graphs. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def maximise(
    rows: NDArray, z: NDArray, ok: NDArray, single_root: bool, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """Write the best arborescences of rows start … stop−1, one-hot, into `z`.

    From a node that is not settled a path grows backwards along the best edges into its ends.
    Where it closes a cycle, the cycle becomes one node, and every edge into it counts for what it
    gains over the edge of the cycle that it replaces. Where it meets the root or a settled node,
    all of it is settled. O(n²).

    Args:
        rows: `(r, n, n + 1)`: of node j + 1, what each head is worth; head 0 is the root.
        z: `(r, n, n + 1)`, zero before.
        ok: False where a node cannot be reached.
        single_root: one edge leaves the root.
        start: first row.
        stop: one past the last.
    """
    for row in range(start, stop):
        penalty = _reach(rows[row]) if single_root else 0.0
        ok[row] = _one(rows[row], z[row], penalty)
        if single_root and ok[row]:
            ok[row] = z[row, :, 0].sum() == 1


@njit(cache=True, nogil=True)
def _one(weights: NDArray, z: NDArray, penalty: float) -> bool:  # pragma: no cover (compiled)
    """One problem, with edges from the root worth less by the penalty; whether there is a tree."""
    n = len(weights)
    size = 2 * n + 1
    gain = np.empty((size, n + 1))  # of node or cycle c: what an edge from each node is worth
    enters = np.empty((size, n + 1), np.int64)  # and the part of the cycle that it goes into
    chosen, worth = np.empty(size, np.int64), np.empty(size)
    member = np.arange(n + 1)  # the cycle in which a node is now
    state, path = np.zeros(size, np.int64), np.empty(size, np.int64)
    for j in range(1, n + 1):
        gain[j] = weights[j - 1]
        gain[j, 0] -= penalty
    state[0] = 2  # settled
    cycles = n + 1
    for first in range(1, n + 1):
        if state[member[first]] == 2:
            continue
        length = 1
        path[0] = member[first]
        state[path[0]] = 1
        while True:
            now = path[length - 1]
            best, at = -np.inf, -1
            for i in range(n + 1):
                if member[i] != now and gain[now, i] > best:
                    best, at = gain[now, i], i
            if at < 0:
                return False
            chosen[now], worth[now] = at, best
            head = member[at]
            if state[head] == 2:
                break
            if state[head] == 0:
                path[length], length = head, length + 1
                state[head] = 1
                continue
            length = _contract(gain, enters, worth, member, path, length, head, cycles)
            state[cycles] = 1
            cycles += 1
        for i in range(length):
            state[path[i]] = 2
    for c in range(cycles - 1, n, -1):  # the edge into a cycle goes into one of its parts
        chosen[enters[c, chosen[c]]] = chosen[c]
    for j in range(1, n + 1):
        z[j - 1, chosen[j]] = 1
    return True


@njit(cache=True, nogil=True)
def _contract(
    gain: NDArray,
    enters: NDArray,
    worth: NDArray,
    member: NDArray,
    path: NDArray,
    length: int,
    head: int,
    cycle: int,
) -> int:  # pragma: no cover (compiled)
    """The end of the path, from `head` on, becomes one node; returns the new length."""
    gain[cycle] = -np.inf
    while True:
        length -= 1
        part = path[length]
        for i in range(len(member)):
            value = gain[part, i] - worth[part]
            if value > gain[cycle, i]:
                gain[cycle, i], enters[cycle, i] = value, part
        for i in range(len(member)):
            if member[i] == part:
                member[i] = cycle
        if part == head:
            break
    path[length] = cycle
    return length + 1


@njit(cache=True, nogil=True)
def _reach(weights: NDArray) -> float:  # pragma: no cover (compiled)
    """More than any two trees can differ by."""
    total = 1.0
    for j in range(weights.shape[0]):
        low, high = np.inf, -np.inf
        for i in range(weights.shape[1]):
            if weights[j, i] > -np.inf:
                low, high = min(low, weights[j, i]), max(high, weights[j, i])
        if high > low:
            total += high - low
    return total
