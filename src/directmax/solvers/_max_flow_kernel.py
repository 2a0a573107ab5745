"""Compiled maximum flow for small dense super-modular problems. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax._compiled_math import lowest_bit

# Sets of nodes are bits of words of 64: node a is bit a mod 64 of word a // 64.


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
    words = (n + 63) // 64
    matrix = np.zeros((n, n))
    residual = np.empty((n, n))
    gain = np.empty(n)
    reach = np.empty(n)
    excess = np.empty(n)
    label = np.empty(n, np.int64)
    queue = np.empty(n, np.int64)
    queued = np.zeros(n, np.bool_)
    free = np.empty(n, np.int64)
    leaving = np.empty((n, words), np.uint64)
    entering = np.empty((n, words), np.uint64)
    level = np.empty((n + 2, words), np.uint64)
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
            for word in range(words):
                edges = np.uint64(0)
                for b in range(64 * word, min(count, 64 * word + 64)):
                    half = 0.5 * matrix[free[a], free[b]]
                    residual[a, b] = half
                    total += half
                    edges |= np.uint64(half > 0.0) << np.uint64(b & 63)
                leaving[a, word] = entering[a, word] = edges
            excess[a] = gain[free[a]] + total
        _flow(residual, leaving, entering, excess, label, level, queue, queued, count)
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


@njit(cache=True, nogil=True, inline="always")
def _bit(node: int) -> np.uint64:  # pragma: no cover (compiled)
    """The bit of a node in its word."""
    return np.uint64(1) << np.uint64(node & 63)


@njit(cache=True, nogil=True)
def _distances(
    entering: NDArray, excess: NDArray, label: NDArray, level: NDArray, count: int
) -> None:  # pragma: no cover (compiled)
    """Labels := exact distances to a node in need along residual edges; `count` where none.

    `level[d]` := the nodes at distance d; the row after the last is used up.
    """
    words = level.shape[1]
    for distance in range(count + 2):
        for word in range(words):
            level[distance, word] = 0
    left = False
    for word in range(words):
        needs, others = np.uint64(0), np.uint64(0)
        for a in range(64 * word, min(count, 64 * word + 64)):
            need = excess[a] < 0.0
            label[a] = 0 if need else count
            needs |= np.uint64(need) << np.uint64(a & 63)
            others |= np.uint64(not need) << np.uint64(a & 63)
        level[0, word], level[count, word] = needs, others
        left |= others != 0
    distance, some = 0, True
    while some and left:
        next_one = distance + 1 if distance + 1 < count else count + 1
        for word in range(words):
            nodes, offset = level[distance, word], np.uint64(word << 6)
            while nodes:
                b = lowest_bit(nodes) + offset
                nodes &= nodes - np.uint64(1)
                for each in range(words):
                    level[next_one, each] |= entering[b, each]
        distance, some, left = distance + 1, False, False
        for word in range(words):
            nodes, offset = level[next_one, word] & level[count, word], np.uint64(word << 6)
            level[next_one, word] = nodes
            level[count, word] ^= nodes
            left |= level[count, word] != 0
            while nodes:
                label[lowest_bit(nodes) + offset] = distance
                nodes &= nodes - np.uint64(1)
                some = True


@njit(cache=True, nogil=True, forceinline=True)
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
    leaving: NDArray,
    entering: NDArray,
    excess: NDArray,
    label: NDArray,
    level: NDArray,
    queue: NDArray,
    queued: NDArray,
    count: int,
) -> None:  # pragma: no cover (compiled)
    """Push surplus to need until none can arrive (Goldberg and Tarjan 1988, first phase).

    A push moves exactly all of the surplus or all of an edge, so no tolerance is needed. Ends with
    exact labels: `count` marks the nodes from which no need can be reached.

    Args:
        residual: what edges a → b can still take.
        leaving: of each a, the b for which that is above 0.
        entering: of each b, those a.
        excess: surplus, or need where negative.
        label: distances to a need.
        level: the nodes of each label, `(count + 2, words)`.
        queue: nodes to look at, a ring.
        queued: which they are.
        count: nodes.
    """
    _distances(entering, excess, label, level, count)
    head, size = 0, _active(excess, label, queue, queued, count)
    relabels = 0
    while size:
        a = queue[head]
        head = head + 1 if head + 1 < count else 0
        size -= 1
        queued[a] = False
        while excess[a] > 0.0 and label[a] < count:
            if label[a] > 0:
                size = _push(
                    residual, leaving, entering, excess, label, level, a, queue, queued, head,
                    size, count,
                )  # fmt: skip
            if excess[a] > 0.0:
                _relabel(leaving, label, level, a, count)
                relabels += 1
        if relabels > count:  # old labels misguide: measure distances again
            relabels = 0
            _distances(entering, excess, label, level, count)
            head, size = 0, _active(excess, label, queue, queued, count)
    _distances(entering, excess, label, level, count)


@njit(cache=True, nogil=True, forceinline=True)
def _push(
    residual: NDArray,
    leaving: NDArray,
    entering: NDArray,
    excess: NDArray,
    label: NDArray,
    level: NDArray,
    a: int,
    queue: NDArray,
    queued: NDArray,
    head: int,
    size: int,
    count: int,
) -> int:  # pragma: no cover (compiled)
    """Push the surplus of a to the nodes that are nearer to a need; the length of the queue."""
    surplus, place_of_a, bit_of_a = excess[a], a >> 6, _bit(a)
    nearer = label[a] - 1
    for word in range(level.shape[1]):
        nodes, offset = leaving[a, word] & level[nearer, word], np.uint64(word << 6)
        while nodes and surplus > 0.0:
            bit = nodes & (~nodes + np.uint64(1))
            b = lowest_bit(nodes) + offset
            nodes ^= bit
            capacity = residual[a, b]
            amount = min(surplus, capacity)
            residual[a, b] = capacity - amount
            surplus -= amount
            residual[b, a] += amount
            leaving[b, place_of_a] |= bit_of_a
            if amount == capacity:
                leaving[a, word] ^= bit
                entering[b, place_of_a] &= ~bit_of_a
            entering[a, word] |= bit
            excess[b] += amount
            if excess[b] > 0.0 and not queued[b]:
                queued[b] = True
                place = head + size
                queue[place if place < count else place - count] = b
                size += 1
    excess[a] = surplus
    return size


@njit(cache=True, nogil=True, forceinline=True)
def _relabel(
    leaving: NDArray, label: NDArray, level: NDArray, a: int, count: int
) -> None:  # pragma: no cover (compiled)
    """Label of a := one more than the lowest that its edges lead to; they lead to none below."""
    level[label[a], a >> 6] &= ~_bit(a)
    lowest, found = label[a], False
    while lowest < count and not found:
        for word in range(level.shape[1]):
            found |= (leaving[a, word] & level[lowest, word]) != 0
        lowest += 1  # of the new label, where found
    label[a] = min(lowest, count)
    level[label[a], a >> 6] |= _bit(a)
