"""Paths of a graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, NoReturn

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax._choices import check_choice
from directmax._validation import check_count, check_flag
from directmax.structures._base import Structure
from directmax.structures._edges import check_edges
from directmax.structures._parameters import check_numbers, common, per_row
from directmax.structures._rows import Answer, solve_others, solve_rows
from directmax.structures._weights import categorical, forbidden

MOST_CELLS = 10**6
"""Of a grid: the edges of each are gone through in Python."""


class Paths(Structure):
    r"""The paths of a directed graph from a source to a target: z_e = 1 for the edges on the way.

    A heavy path is a good one: weights are negative costs. In a graph without cycles they may have
    any sign; the argmax is found by topological order, and sums by forward sums. In one with
    cycles weights must be at most 0, or the best path would be hard to find and may not exist;
    the argmax is found by Dijkstra's algorithm, and there are neither sums nor max-marginals.
    Compiled.

    Args:
        edges: (tail, head) of every edge, vertices from 0; a tensor `(m, 2)` or a sequence of
            pairs, all different, without loops.
        source: a vertex, or one for each problem, `(b,)`.
        target: likewise.
        on: what weights and z are of: "edges" `(m,)`, in the order given, or "vertices" `(v,)`,
            of which a path has its source and target too.
        clip: with cycles, take weights above 0 for 0, where noise made them so, instead of
            refusing them.

    Raises:
        TypeError, ValueError: no such edges or vertices, or a target out of reach; at the call,
            with cycles, weights above 0.

    Example:
        >>> grid = Paths.grid(2, 2)
        >>> grid
        Paths(4 vertices, 4 edges, on='edges')
        >>> grid.edges.tolist()
        [[0, 1], [0, 2], [1, 3], [2, 3]]
        >>> costs = torch.tensor([[1.0, 2.0, 5.0, 3.0]])
        >>> grid.argmax(-costs)
        tensor([[0., 1., 0., 1.]])

    Reference: Dijkstra 1959; Elmachtoub and Grigas 2022 (the grid).
    """

    def __init__(
        self,
        edges: Int[Tensor, "m 2"] | Sequence[tuple[int, int]],
        source: int | Int[Tensor, " b"],
        target: int | Int[Tensor, " b"],
        *,
        on: Literal["edges", "vertices"] = "edges",
        clip: bool = False,
    ) -> None:
        self.edges = check_edges(edges)
        self.on = check_choice("on", on, ("edges", "vertices"))
        self.clip = check_flag("clip", clip)
        self.num_vertices = int(self.edges.max()) + 1
        last = self.num_vertices - 1
        self.source, sources = check_numbers("source", source, 0, last)
        self.target, targets = check_numbers("target", target, 0, last)
        self.batch_size = common("source and target", sources, targets)
        self.shape = (len(self.edges) if on == "edges" else self.num_vertices,)
        levels = _levels(self.edges, self.num_vertices)
        self.has_cycles = levels is None
        # On an instance: it depends on the graph.
        self.tractable = not self.has_cycles  # type: ignore[misc]
        tails, heads = self.edges.numpy().T
        order = np.argsort(tails if levels is None else levels[tails], kind="stable")
        variable = order if on == "edges" else heads[order]
        self._edges = tails[order].copy(), heads[order].copy(), variable.copy()
        self._first = np.searchsorted(self._edges[0], np.arange(self.num_vertices + 1))
        self._levels = [] if levels is None else _tables(self._edges, levels)
        zeros = torch.zeros(self.batch_size or 1, *self.shape, device="cpu")
        _, ok = self._argmax(zeros, True)
        if ok is not None:
            raise ValueError(
                "target must be within reach of source, got no path for problem "
                f"{int((~ok).nonzero()[0])}"
            )

    @classmethod
    def grid(
        cls,
        rows: int,
        columns: int,
        *,
        neighbours: Literal["right-down", "4", "8"] = "right-down",
        on: Literal["edges", "vertices"] = "edges",
        clip: bool = False,
    ) -> Paths:
        """From the first to the last cell of a grid, cells numbered row by row.

        Args:
            rows: of the grid.
            columns: of the grid.
            neighbours: steps to the right and down, no cycles; or to all 4 or 8 neighbours.
            on: as above; the edges of a cell follow each other, the row's to the right first for
                "right-down", as in PyEPO.
            clip: as above.

        Example:
            >>> Paths.grid(3, 3, neighbours="8", on="vertices").argmax(-torch.ones(1, 9))
            tensor([[1., 0., 0., 0., 1., 0., 0., 0., 1.]])
        """
        cells = check_count("rows", rows) * check_count("columns", columns)
        if cells > MOST_CELLS:
            raise ValueError(
                f"rows and columns must make at most {MOST_CELLS:,} cells, got {cells:,}"
            )
        check_choice("neighbours", neighbours, ("right-down", "4", "8"))
        steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        if neighbours != "8":
            steps = [(i, j) for i, j in steps if not (i and j)]
        if neighbours == "right-down":
            # Row by row: first all steps to the right, then all down.
            edges = [
                (r * columns + c, (r + i) * columns + c + j)
                for r in range(rows)
                for i, j in ((0, 1), (1, 0))
                for c in range(columns)
                if r + i < rows and c + j < columns
            ]
        else:
            edges = [
                (r * columns + c, (r + i) * columns + c + j)
                for r in range(rows)
                for c in range(columns)
                for i, j in steps
                if 0 <= r + i < rows and 0 <= c + j < columns
            ]
        return cls(edges, 0, rows * columns - 1, on=on, clip=clip)

    def __repr__(self) -> str:
        return f"Paths({self.num_vertices} vertices, {len(self.edges)} edges, on='{self.on}')"

    def _argmax(self, rows: Float[Tensor, "r m"], masked: bool) -> Answer:
        from directmax.structures._paths_kernel import dijkstra, without_cycles

        ends = self.source, self.target, self.num_vertices, self.on == "vertices"
        few = max(1, 5000 // len(self.edges))
        if not self.has_cycles:
            return solve_rows(without_cycles, rows, *self._edges, *ends, minimum=few)
        if not self.clip and bool((rows > 0).any()):
            raise ValueError(
                f"weights must be at most 0 in a graph with cycles, got {float(rows.max()):.3g}; "
                "clip=True takes those above for 0"
            )
        return solve_rows(dijkstra, rows, *self._edges, *ends, self._first, minimum=few // 4 or 1)

    def _feasible(self, rows: Float[Tensor, "r m"]) -> Bool[Tensor, " r"]:
        """Walks along z from the source: it must end at the target, and use all of z."""
        ends = (per_row(x, rows).expand(len(rows)).tolist() for x in (self.source, self.target))
        follows = np.full((self.num_vertices, self.num_vertices), -1)
        follows[tuple(self.edges.numpy().T)] = np.arange(len(self.edges))
        answers = []
        for z, vertex, end in zip(rows.cpu().numpy() > 0, *ends, strict=True):
            left = z.copy()
            if self.on == "edges":
                while vertex != end:
                    ahead = [e for e in follows[vertex] if e >= 0 and left[e]]
                    if len(ahead) != 1:
                        break
                    left[ahead[0]] = False
                    vertex = int(self.edges[ahead[0], 1])
                answers.append(vertex == end and not left.any())
            else:
                answers.append(_has_path(left, follows, vertex, end))
        return torch.tensor(answers, device=rows.device)

    def alternatives(
        self, weights: Float[Tensor, "*s b m"], z: Float[Tensor, "*s b m"]
    ) -> tuple[Float[Tensor, "m *s b m"], Bool[Tensor, "m *s b"]]:
        """As elsewhere; refused with cycles."""
        return self._refuse() if self.has_cycles else super().alternatives(weights, z)

    def max_marginals(self, weights: Float[Tensor, "*s b m"]) -> Float[Tensor, "*s b m 2"]:
        """As elsewhere; refused with cycles."""
        return self._refuse() if self.has_cycles else super().max_marginals(weights)

    def _alternatives(
        self, rows: Float[Tensor, "r m"], z: Float[Tensor, "r m"]
    ) -> tuple[Float[Tensor, "m r m"], Bool[Tensor, "m r"]]:
        """The best to every vertex and from it, found once, joined for every element."""
        from directmax.structures._paths_kernel import alternatives

        ends = self.source, self.target, self._places()
        return solve_others(alternatives, rows, z, self._edges, *ends, self.on == "vertices")

    @staticmethod
    def _refuse() -> NoReturn:
        raise TypeError("Paths has max-marginals only without cycles; use Direct or ImplicitMLE")

    def _forward(self, rows: Float[Tensor, "r m"]) -> Float[Tensor, "r v"]:
        """log of the sums over paths from the source to every vertex, in the order of levels."""
        never = torch.full_like(rows[:, :1], forbidden(rows.dtype))
        source = per_row(self.source, rows).expand(len(rows))
        sums = rows[:, :0]
        padded = torch.cat([rows, never], -1)
        for vertices, tails, variable in self._levels:
            elsewhere = source.unsqueeze(-1) != vertices.to(source)
            starts = rows[:, vertices] if self.on == "vertices" else torch.zeros_like(padded[:, :1])
            terms = torch.where(elsewhere, never, starts).unsqueeze(-1)
            if tails.shape[-1]:
                terms = torch.cat([terms, sums[:, tails] + padded[:, variable]], -1)
            sums = torch.cat([sums, terms.logsumexp(-1)], -1)
        return sums

    def _log_partition(self, rows: Float[Tensor, "r m"], scale: Tensor | float) -> Tensor:
        if self.has_cycles:
            return super()._log_partition(rows, scale)
        place = self._places().to(rows.device)
        target = place[per_row(self.target, rows).expand(len(rows))]
        return self._forward(rows).gather(-1, target.unsqueeze(-1)).squeeze(-1)

    def _places(self) -> Int[Tensor, " v"]:
        """Where a vertex stands in the order of levels."""
        return torch.cat([vertices for vertices, _, _ in self._levels]).argsort()

    def _sample(
        self, rows: Float[Tensor, "r m"], generator: torch.Generator | None
    ) -> Float[Tensor, "r m"]:
        """Back from the target: an edge into it, by the sum up to its tail."""
        sums, z = self._forward(rows), torch.zeros_like(rows)
        place = self._places().to(rows.device)
        tails, heads, variable = (torch.from_numpy(x).to(rows.device) for x in self._edges)
        source = per_row(self.source, rows).expand(len(rows))
        at = per_row(self.target, rows).expand(len(rows))
        if self.on == "vertices":
            z.scatter_(-1, at.unsqueeze(-1), 1.0)
        while bool((moving := at != source).any()):
            scores = sums[:, place[tails]] + rows[:, variable]
            scores = scores.masked_fill(heads != at.unsqueeze(-1), -torch.inf)
            edge = categorical(scores, generator).argmax(-1)
            at = torch.where(moving, tails[edge], at)
            passed = variable[edge] if self.on == "edges" else at
            step = moving.to(z.dtype).unsqueeze(-1)
            z.scatter_reduce_(-1, passed.unsqueeze(-1), step, "amax")
        return z


def _levels(edges: Int[Tensor, "m 2"], vertices: int) -> np.ndarray | None:
    """Of every vertex, the length of the longest way to it; None with cycles."""
    follows: list[list[int]] = [[] for _ in range(vertices)]
    open_edges = [0] * vertices
    for tail, head in edges.tolist():
        follows[tail].append(head)
        open_edges[head] += 1
    level, ready = (
        np.zeros(vertices, np.int64),
        deque(v for v in range(vertices) if not open_edges[v]),
    )
    done = 0
    while ready:
        vertex = ready.popleft()
        done += 1
        for head in follows[vertex]:
            level[head] = max(level[head], level[vertex] + 1)
            open_edges[head] -= 1
            if not open_edges[head]:
                ready.append(head)
    return level if done == vertices else None


def _tables(
    edges: tuple[np.ndarray, np.ndarray, np.ndarray], levels: np.ndarray
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Of every level: its vertices, the places of the tails of edges into them, and their weights.

    A vertex with fewer edges than others of its level has edges of weight −1, the forbidden one.
    """
    order = np.argsort(levels, kind="stable")
    place = np.argsort(order)
    tables = []
    for level in range(int(levels.max()) + 1):
        vertices = order[levels[order] == level]
        into = [np.flatnonzero(edges[1] == vertex) for vertex in vertices]
        width = max(len(e) for e in into)
        tails = np.zeros((len(vertices), width), np.int64)
        variable = np.full((len(vertices), width), -1)
        for i, e in enumerate(into):
            tails[i, : len(e)], variable[i, : len(e)] = place[edges[0][e]], edges[2][e]
        a, b, c = (torch.from_numpy(x) for x in (vertices, tails, variable))
        tables.append((a, b, c))
    return tables


def _has_path(inside: np.ndarray, follows: np.ndarray, source: int, target: int) -> bool:
    """Whether some path visits these vertices, and no other, once."""
    if not (inside[source] and inside[target]):
        return False
    ways = [(source, frozenset([source]))]
    everything = frozenset(np.flatnonzero(inside).tolist())
    while ways:
        vertex, seen = ways.pop()
        if vertex == target:
            if seen == everything:
                return True
            continue
        ahead = np.flatnonzero((follows[vertex] >= 0) & inside).tolist()
        ways += [(head, seen | {head}) for head in ahead if head not in seen]
    return False
