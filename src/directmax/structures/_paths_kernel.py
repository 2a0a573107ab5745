"""Compiled best paths: by topological order, and Dijkstra's algorithm. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def without_cycles(
    rows: NDArray,
    z: NDArray,
    ok: NDArray,
    tails: NDArray,
    heads: NDArray,
    variable: NDArray,
    sources: NDArray,
    targets: NDArray,
    vertices: int,
    on_vertices: bool,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write the heaviest paths of rows start … stop−1, zeros and ones, into `z`.

    Args:
        rows: weights `(r, m)`.
        z: `(r, m)`, zero before.
        ok: False where no path is left.
        tails: of the edges, in an order in which those into a vertex come before those out of it.
        heads: of the edges.
        variable: which weight an edge collects.
        sources: `(b or 1,)`.
        targets: `(b or 1,)`.
        vertices: their number.
        on_vertices: weights are of vertices; then the source collects its own.
        start: first row.
        stop: one past the last.
    """
    best = np.empty(vertices, rows.dtype)
    into = np.empty(vertices, np.int64)
    for row in range(start, stop):
        source, target = sources[row % len(sources)], targets[row % len(targets)]
        best[:], into[:] = -np.inf, -1
        best[source] = rows[row, source] if on_vertices else 0.0
        for e in range(len(tails)):
            value = best[tails[e]] + rows[row, variable[e]]
            if value > best[heads[e]] and heads[e] != source:
                best[heads[e]], into[heads[e]] = value, e
        ok[row] = best[target] > -np.inf
        if ok[row]:
            _walk(z[row], into, tails, variable, source, target, on_vertices)


@njit(cache=True, nogil=True)
def alternatives(
    rows: NDArray,
    z: NDArray,
    other: NDArray,
    reached: NDArray,
    tails: NDArray,
    heads: NDArray,
    variable: NDArray,
    sources: NDArray,
    targets: NDArray,
    levels: NDArray,
    on_vertices: bool,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write, for every element, the best path with it if `z` is without it, else without it.

    The best path through an edge joins the best to its tail and the best from its head. One that
    avoids an edge of z leaves the vertices up to that of its tail, in an order without steps back,
    by exactly one other edge, and what comes before and after that edge avoids it by itself. One
    that avoids a vertex has exactly one edge over its head.

    Args:
        rows: as above, as the others.
        z: `(r, m)`.
        other: `(m, r, m)`, zero before.
        reached: `(m, r)`, False before: where there is one.
        tails: as above.
        heads: as above.
        variable: as above.
        sources: as above.
        targets: as above.
        levels: `(v,)`, numbers of the vertices, all different, that rise along every edge.
        on_vertices: as above.
        start: first row.
        stop: one past the last.
    """
    vertices, edges = len(levels), len(tails)
    ahead, behind = np.empty(vertices, rows.dtype), np.empty(vertices, rows.dtype)
    into, onward = np.empty(vertices, np.int64), np.empty(vertices, np.int64)
    worth = np.empty(edges, rows.dtype)
    for row in range(start, stop):
        source, target = sources[row % len(sources)], targets[row % len(targets)]
        ahead[:], behind[:], into[:], onward[:] = -np.inf, -np.inf, -1, -1
        ahead[source] = rows[row, source] if on_vertices else 0.0
        behind[target] = 0.0
        for e in range(edges):
            value = ahead[tails[e]] + rows[row, variable[e]]
            if value > ahead[heads[e]] and heads[e] != source:
                ahead[heads[e]], into[heads[e]] = value, e
        for e in range(edges - 1, -1, -1):
            value = behind[heads[e]] + rows[row, variable[e]]
            if value > behind[tails[e]] and tails[e] != target:
                behind[tails[e]], onward[tails[e]] = value, e
        for e in range(edges):
            usable = heads[e] != source and tails[e] != target
            value = ahead[tails[e]] + rows[row, variable[e]] + behind[heads[e]]
            worth[e] = value if usable else -np.inf
        for item in range(vertices if on_vertices else edges):
            i = item if on_vertices else variable[item]
            if on_vertices and z[row, i] == 0:
                if ahead[i] + behind[i] > -np.inf:
                    reached[i, row] = True
                    _walk(other[i, row], into, tails, variable, source, i, True)
                    _walk(other[i, row], onward, heads, variable, target, i, True)
                    other[i, row, i] = 1
                continue
            best, edge = -np.inf, -1
            if z[row, i] == 0:
                best, edge = worth[item], item
            elif not on_vertices or (i != source and i != target):
                low = levels[i] if on_vertices else levels[tails[item]]
                for e in range(edges):
                    before = levels[tails[e]] < low or (not on_vertices and levels[tails[e]] == low)
                    if before and levels[heads[e]] > low and variable[e] != i and worth[e] > best:
                        best, edge = worth[e], e
            if best > -np.inf:
                reached[i, row] = True
                _walk(other[i, row], into, tails, variable, source, tails[edge], on_vertices)
                _walk(other[i, row], onward, heads, variable, target, heads[edge], on_vertices)
                other[i, row, variable[edge]] = 1


@njit(cache=True, nogil=True)
def _walk(
    z: NDArray,
    into: NDArray,
    tails: NDArray,
    variable: NDArray,
    source: int,
    vertex: int,
    on_vertices: bool,
) -> None:  # pragma: no cover (compiled)
    """Back from the target; with heads for tails, onward from a source."""
    while vertex != source:
        z[variable[into[vertex]]] = 1
        vertex = tails[into[vertex]]
    if on_vertices:
        z[source] = 1


@njit(cache=True, nogil=True)
def dijkstra(
    rows: NDArray,
    z: NDArray,
    ok: NDArray,
    tails: NDArray,
    heads: NDArray,
    variable: NDArray,
    sources: NDArray,
    targets: NDArray,
    vertices: int,
    on_vertices: bool,
    first: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """As `without_cycles`, for weights of at most 0; larger ones count as 0.

    Args:
        rows: as there, as the others.
        z: `(r, m)`.
        ok: False where no path is left.
        tails: of the edges, in the order of their tails.
        heads: of the edges.
        variable: which weight an edge collects.
        sources: `(b or 1,)`.
        targets: `(b or 1,)`.
        vertices: their number.
        on_vertices: weights are of vertices.
        first: edges first[v] … first[v + 1] − 1 leave vertex v.
        start: first row.
        stop: one past the last.
    """
    cost = np.empty(vertices)
    into, place = np.empty(vertices, np.int64), np.empty(vertices, np.int64)
    heap = np.empty(vertices, np.int64)
    for row in range(start, stop):
        source, target = sources[row % len(sources)], targets[row % len(targets)]
        cost[:], into[:], place[:] = np.inf, -1, -1
        cost[source] = max(0.0, -rows[row, source]) if on_vertices else 0.0
        heap[0], place[source] = source, 0
        _spread(rows[row], heads, variable, first, target, cost, into, place, heap)
        ok[row] = cost[target] < np.inf
        if ok[row]:
            _walk(z[row], into, tails, variable, source, target, on_vertices)


@njit(cache=True, nogil=True)
def _spread(
    weights: NDArray,
    heads: NDArray,
    variable: NDArray,
    first: NDArray,
    target: int,
    cost: NDArray,
    into: NDArray,
    place: NDArray,
    heap: NDArray,
) -> None:  # pragma: no cover (compiled)
    """From the one vertex in the heap to the target, the nearest vertex first."""
    size = 1
    while size > 0:
        vertex = heap[0]
        if vertex == target or cost[vertex] == np.inf:
            break
        size -= 1
        if size > 0:
            heap[0] = heap[size]
            _down(heap, place, cost, size)
        place[vertex] = -2  # done
        for e in range(first[vertex], first[vertex + 1]):
            head = heads[e]
            value = cost[vertex] + max(0.0, -weights[variable[e]])
            if place[head] != -2 and value < cost[head]:
                cost[head], into[head] = value, e
                if place[head] == -1:
                    place[head], heap[size] = size, head
                    size += 1
                _up(heap, place, cost, place[head])


@njit(cache=True, nogil=True)
def _up(
    heap: NDArray, place: NDArray, cost: NDArray, at: int
) -> None:  # pragma: no cover (compiled)
    """A vertex whose cost fell rises in the heap."""
    vertex = heap[at]
    while at > 0:
        above = (at - 1) // 2
        if cost[heap[above]] <= cost[vertex]:
            break
        heap[at] = heap[above]
        place[heap[at]] = at
        at = above
    heap[at], place[vertex] = vertex, at


@njit(cache=True, nogil=True)
def _down(
    heap: NDArray, place: NDArray, cost: NDArray, size: int
) -> None:  # pragma: no cover (compiled)
    """The vertex at the top sinks to its place."""
    at, vertex = 0, heap[0]
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and cost[heap[below + 1]] < cost[heap[below]]:
            below += 1
        if cost[heap[below]] >= cost[vertex]:
            break
        heap[at] = heap[below]
        place[heap[at]] = at
        at = below
    heap[at], place[vertex] = vertex, at
