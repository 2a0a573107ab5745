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
    edges: tuple[NDArray, NDArray, NDArray],
    sources: NDArray,
    targets: NDArray,
    levels: NDArray,
    on_vertices: bool,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Write, for every element, the best path with it if `z` is without it, else without it.

    The best with an edge joins the best to its tail and from its head. One without an edge of z
    leaves the levels up to its tail's by exactly one other edge, and the best before and after that
    avoid it by themselves. One without a vertex has exactly one edge over it.

    Args:
        rows: as above, as the others.
        z: `(r, m)`.
        other: `(m, r, m)`, zero before.
        reached: `(m, r)`, False before: where there is one.
        edges: tails, heads and variables, as above, as sources and targets.
        sources: as above.
        targets: as above.
        levels: `(v,)`, numbers of the vertices, all different, that rise along every edge.
        on_vertices: as above.
        start: first row.
        stop: one past the last.
    """
    tails, heads, variable = edges
    ahead, behind = np.empty(len(levels), rows.dtype), np.empty(len(levels), rows.dtype)
    into, onward = np.empty(len(levels), np.int64), np.empty(len(levels), np.int64)
    worth = np.empty(len(tails), rows.dtype)
    for row in range(start, stop):
        ends = sources[row % len(sources)], targets[row % len(targets)]
        ahead[ends[0]] = rows[row, ends[0]] if on_vertices else 0.0
        _both_ways(rows[row], edges, ends, ahead, behind, into, onward, worth)
        for item in range(len(levels) if on_vertices else len(tails)):
            i = item if on_vertices else variable[item]
            if on_vertices and z[row, i] == 0:
                if ahead[i] + behind[i] > -np.inf:
                    reached[i, row] = True
                    _walk(other[i, row], into, tails, variable, ends[0], i, True)
                    _walk(other[i, row], onward, heads, variable, ends[1], i, True)
                    other[i, row, i] = 1
                continue
            edge = item if z[row, i] == 0 else -1
            if z[row, i] > 0 and not on_vertices:
                edge = _over(levels, edges, worth, levels[tails[item]] + 1, item)
            elif z[row, i] > 0 and i != ends[0] and i != ends[1]:
                edge = _over(levels, edges, worth, levels[i], -1)
            if edge >= 0 and worth[edge] > -np.inf:
                reached[i, row] = True
                _walk(other[i, row], into, tails, variable, ends[0], tails[edge], on_vertices)
                _walk(other[i, row], onward, heads, variable, ends[1], heads[edge], on_vertices)
                other[i, row, variable[edge]] = 1


@njit(cache=True, nogil=True)
def _over(
    levels: NDArray,
    edges: tuple[NDArray, NDArray, NDArray],
    worth: NDArray,
    level: int,
    without: int,
) -> int:  # pragma: no cover (compiled)
    """The best edge but one from below a level to it or above; to above it without that one."""
    best, edge = -np.inf, -1
    least = level if without >= 0 else level + 1
    for e in range(len(worth)):
        crosses = levels[edges[0][e]] < level and levels[edges[1][e]] >= least
        if crosses and e != without and worth[e] > best:
            best, edge = worth[e], e
    return edge


@njit(cache=True, nogil=True)
def _both_ways(
    row: NDArray,
    edges: tuple[NDArray, NDArray, NDArray],
    ends: tuple[int, int],
    ahead: NDArray,
    behind: NDArray,
    into: NDArray,
    onward: NDArray,
    worth: NDArray,
) -> None:  # pragma: no cover (compiled)
    """The best to every vertex, from it, and over every edge; that of the source is there."""
    (tails, heads, variable), (source, target) = edges, ends
    first = ahead[source]
    ahead[:], behind[:], into[:], onward[:] = -np.inf, -np.inf, -1, -1
    ahead[source], behind[target] = first, 0.0
    for e in range(len(tails)):
        value = ahead[tails[e]] + row[variable[e]]
        if value > ahead[heads[e]] and heads[e] != source:
            ahead[heads[e]], into[heads[e]] = value, e
    for e in range(len(tails) - 1, -1, -1):
        value = behind[heads[e]] + row[variable[e]]
        if value > behind[tails[e]] and tails[e] != target:
            behind[tails[e]], onward[tails[e]] = value, e
    for e in range(len(tails)):
        usable = heads[e] != source and tails[e] != target
        value = ahead[tails[e]] + row[variable[e]] + behind[heads[e]]
        worth[e] = value if usable else -np.inf


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
