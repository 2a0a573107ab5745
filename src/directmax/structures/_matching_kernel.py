"""Compiled linear assignment by shortest augmenting paths. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def maximise(
    rows: NDArray, z: NDArray, ok: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """Write the best assignments of rows start … stop−1, one-hot, into `z`.

    Persons join one after the other, along the path that costs least at the reduced costs
    top − w_ij − u_i − v_j ≥ 0, where top is the person's largest weight.

    Args:
        rows: `(r, n, m)`, n ≤ m; −∞ for what is not allowed.
        z: `(r, n, m)`, zero before.
        ok: False where not everybody finds a task.
        start: first row.
        stop: one past the last.
    """
    n, m = rows.shape[1:]
    cost = np.empty((n, m))
    u, v, distance = np.empty(n), np.empty(m), np.empty(m)
    person, task, before = np.empty(m, np.int64), np.empty(n, np.int64), np.empty(m, np.int64)
    open_tasks = np.empty(m, np.int64)
    for row in range(start, stop):
        for i in range(n):
            top = -np.inf
            for j in range(m):
                top = max(top, rows[row, i, j])
            for j in range(m):
                cost[i, j] = top - rows[row, i, j] if top > -np.inf else np.inf
        u[:], v[:], person[:], task[:] = 0, 0, -1, -1
        for first in range(n):
            sink = _search(cost, u, v, person, task, distance, before, open_tasks, first)
            if sink < 0:
                ok[row] = False
                break
            while True:  # swap along the path
                i = before[sink]
                person[sink] = i
                task[i], sink = sink, task[i]
                if i == first:
                    break
        for i in range(n):
            if task[i] >= 0:
                z[row, i, task[i]] = 1


@njit(cache=True, nogil=True)
def _search(
    cost: NDArray,
    u: NDArray,
    v: NDArray,
    person: NDArray,
    task: NDArray,
    distance: NDArray,
    before: NDArray,
    open_tasks: NDArray,
    first: int,
) -> int:  # pragma: no cover (compiled)
    """The free task that is nearest to `first`, −1 for none; potentials are updated."""
    m = len(v)
    distance[:] = np.inf
    for j in range(m):
        open_tasks[j] = m - 1 - j
    left, i, least, sink = m, first, 0.0, -1
    while sink < 0:
        at, nearest = -1, np.inf
        for index in range(left):
            j = open_tasks[index]
            length = least + cost[i, j] - u[i] - v[j]
            if length < distance[j]:
                distance[j], before[j] = length, i
            if distance[j] < nearest or (distance[j] == nearest and person[j] < 0):
                at, nearest = index, distance[j]
        if nearest == np.inf:
            return -1
        least, j = nearest, open_tasks[at]
        left -= 1
        open_tasks[at], open_tasks[left] = open_tasks[left], j  # reached ones are at the end
        if person[j] < 0:
            sink = j
        else:
            i = person[j]
    u[first] += least
    for index in range(left, m):
        j = open_tasks[index]
        if j != sink:
            u[person[j]] += least - distance[j]
            v[j] -= least - distance[j]
    return sink
