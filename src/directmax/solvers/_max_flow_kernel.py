"""Compiled maximum flow for small dense super-modular problems. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def maximise(
    field: NDArray, pairwise: NDArray, bits: NDArray, start: int, stop: int
) -> None:  # pragma: no cover (compiled)
    """Write the argmax of rows start … stop−1 into `bits`; pairwise entries must be ≥ 0.

    Args:
        field: `(rows, n)`.
        pairwise: `(b, P)`; row r uses entry r modulo b.
        bits: `(rows, n)`, uint8.
        start: first row.
        stop: one past the last.
    """
    n = field.shape[1]
    matrix = np.zeros((n, n))
    residual = np.empty((n, n))
    gain = np.empty(n)
    reach = np.empty(n)
    excess = np.empty(n)
    label = np.empty(n, np.int64)
    queue = np.empty(n, np.int64)
    queued = np.zeros(n, np.bool_)
    left = np.empty(n, np.int64)
    free = np.empty(n, np.int64)
    for row in range(start, stop):
        pairs = pairwise[row % pairwise.shape[0]]
        index = 0
        for i in range(n):
            for j in range(i + 1, n):
                matrix[i, j] = pairs[index]
                matrix[j, i] = pairs[index]
                index += 1
        for i in range(n):
            gain[i] = field[row, i]
        count = _fix(matrix, gain, reach, free, bits[row])
        if count == 0:
            continue
        # Σ g_i z_i + Σ p_ij z_i z_j = Σ e_i z_i − Σ p_ij/2 |z_i − z_j|, e_i = g_i + Σ_j p_ij/2:
        # a cut, with a surplus at the nodes with e_i > 0 and a need at those with e_i < 0.
        for a in range(count):
            total = 0.0
            for b in range(count):
                half = 0.5 * matrix[free[a], free[b]]
                residual[a, b] = half
                total += half
            excess[a] = gain[free[a]] + total
        _flow(residual, excess, label, queue, queued, left, count)
        for a in range(count):
            bits[row, free[a]] = label[a] >= count  # on the surplus's side of the cut


@njit(cache=True, nogil=True)
def _fix(
    matrix: NDArray, gain: NDArray, reach: NDArray, free: NDArray, bits: NDArray
) -> int:  # pragma: no cover (compiled)
    """Fix what is the same in some maximiser whatever the others are; the number left free.

    Couplings only help: a variable that gains alone (beside those already on) is on, one that
    loses even with all others on is off. `gain` ends as the field given the fixed variables.
    """
    n = gain.shape[0]
    count = n
    for i in range(n):
        reach[i] = gain[i]
        free[i] = i
    for i in range(n):  # the matrix is symmetric: rows in place of columns, several sums at once
        for j in range(n):
            reach[j] += matrix[i, j]
    changed = True
    while changed and count:
        changed = False
        num_free = 0
        for a in range(count):
            i = free[a]
            if gain[i] >= 0.0:
                bits[i] = 1
                for j in range(n):
                    gain[j] += matrix[i, j]
                changed = True
            elif reach[i] <= 0.0:
                bits[i] = 0
                for j in range(n):
                    reach[j] -= matrix[i, j]
                changed = True
            else:
                free[num_free] = i
                num_free += 1
        count = num_free
    return count


@njit(cache=True, nogil=True)
def _distances(
    residual: NDArray, excess: NDArray, label: NDArray, queue: NDArray, left: NDArray, count: int
) -> None:  # pragma: no cover (compiled)
    """Labels := exact distances to a node in need along residual edges; `count` where none."""
    tail = 0
    num_left = 0
    for a in range(count):
        if excess[a] < 0.0:
            label[a] = 0
            queue[tail] = a
            tail += 1
        else:
            label[a] = count
            left[num_left] = a
            num_left += 1
    head = 0
    while head < tail and num_left:
        b = queue[head]
        head += 1
        kept = 0
        for place in range(num_left):
            a = left[place]
            if residual[a, b] > 0.0:
                label[a] = label[b] + 1
                queue[tail] = a
                tail += 1
            else:
                left[kept] = a
                kept += 1
        num_left = kept


@njit(cache=True, nogil=True)
def _active(
    excess: NDArray, label: NDArray, queue: NDArray, queued: NDArray, count: int
) -> int:  # pragma: no cover (compiled)
    """Queue the nodes whose surplus can reach a need; how many they are."""
    size = 0
    for a in range(count):
        queued[a] = excess[a] > 0.0 and label[a] < count
        if queued[a]:
            queue[size] = a
            size += 1
    return size


@njit(cache=True, nogil=True)
def _flow(
    residual: NDArray,
    excess: NDArray,
    label: NDArray,
    queue: NDArray,
    queued: NDArray,
    left: NDArray,
    count: int,
) -> None:  # pragma: no cover (compiled)
    """Push surplus to need until none can arrive (Goldberg and Tarjan 1988, first phase).

    A push moves exactly all of the surplus or all of an edge, so no tolerance is needed. Ends with
    exact labels: `count` marks the nodes from which no need can be reached.
    """
    _distances(residual, excess, label, queue, left, count)
    head, size = 0, _active(excess, label, queue, queued, count)
    relabels = 0
    while size:
        a = queue[head]
        head = head + 1 if head + 1 < count else 0
        size -= 1
        queued[a] = False
        edges, surplus = residual[a], excess[a]
        while surplus > 0.0 and label[a] < count:
            lowest = count
            for b in range(count):
                capacity = edges[b]
                if capacity <= 0.0:
                    continue
                if label[b] >= label[a]:
                    lowest = min(lowest, label[b])
                    continue
                amount = min(surplus, capacity)
                edges[b] = capacity - amount
                residual[b, a] += amount
                surplus -= amount
                excess[b] += amount
                if excess[b] > 0.0 and not queued[b]:
                    queued[b] = True
                    place = head + size
                    queue[place if place < count else place - count] = b
                    size += 1
                if surplus <= 0.0:
                    break  # else all of the edge is used
            if surplus > 0.0:
                label[a] = min(lowest + 1, count)
                relabels += 1
        excess[a] = surplus
        if relabels > count:  # old labels misguide: measure distances again
            relabels = 0
            _distances(residual, excess, label, queue, left, count)
            head, size = 0, _active(excess, label, queue, queued, count)
    _distances(residual, excess, label, queue, left, count)
