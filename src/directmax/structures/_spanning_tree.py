"""Undirected spanning trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax._validation import check_count
from directmax.structures._base import Structure
from directmax.structures._edges import check_edges
from directmax.structures._rows import Answer, solve_others, solve_rows
from directmax.structures._trees import Arborescence
from directmax.structures._weights import forbidden


class SpanningTree(Structure):
    r"""The spanning trees of an undirected graph: z_e = 1 for its edges, `(m,)`.

    argmax: Kruskal's algorithm, compiled. Sums: the matrix-tree theorem, as for
    `Arborescence`.

    Args:
        vertices: their number, v ≥ 2.
        edges: pairs of vertices, `(m, 2)`, in any direction but once; None for all v(v−1)/2, in the
            order of `torch.triu_indices(v, v, 1)`.

    Raises:
        TypeError, ValueError: no such edges, or a graph that is not connected.

    Example:
        >>> triangle = SpanningTree(3)
        >>> triangle.argmax(torch.tensor([[1.0, 3.0, 2.0]]))  # (0, 1), (0, 2), (1, 2)
        tensor([[0., 1., 1.]])
        >>> triangle.marginals(torch.zeros(1, 3))
        tensor([[0.6667, 0.6667, 0.6667]])

    Reference: Kruskal 1956; Kirchhoff 1847.
    """

    tractable: ClassVar[bool] = True

    def __init__(
        self, vertices: int, edges: Int[Tensor, "m 2"] | Sequence[tuple[int, int]] | None = None
    ) -> None:
        v = check_count("vertices", vertices, 2)
        every = torch.triu_indices(v, v, 1, device="cpu").T.contiguous() if edges is None else edges
        self.edges = check_edges(every, v)
        if len(self.edges.sort(-1).values.unique(dim=0)) != len(self.edges):
            raise ValueError("edges must be different, got one of them in both directions")
        self.num_vertices, self.shape = v, (len(self.edges),)
        if self._argmax(torch.zeros(1, *self.shape, device="cpu"), True)[1] is not None:
            raise ValueError("edges must connect all vertices, got a graph in several parts")

    def __repr__(self) -> str:
        return f"SpanningTree({self.num_vertices} vertices, {self.shape[0]} edges)"

    def _argmax(self, rows: Float[Tensor, "r m"], masked: bool) -> Answer:
        from directmax.structures._spanning_kernel import maximise

        return solve_rows(maximise, rows, self.edges, self.num_vertices)

    def _alternatives(
        self, rows: Float[Tensor, "r m"], z: Float[Tensor, "r m"]
    ) -> tuple[Float[Tensor, "m r m"], Bool[Tensor, "m r"]]:
        """One edge for another in the best tree; where `z` differs from that, the tree itself."""
        from directmax.structures._spanning_kernel import swaps

        best, ok = self._argmax(rows, True)
        if ok is not None:  # those without a tree have no other
            rows = torch.where(ok.unsqueeze(-1), rows, torch.zeros_like(rows))
            best = torch.where(ok.unsqueeze(-1), best, self._argmax(rows, True)[0])
        parameters = self.edges, self.num_vertices
        other, reached = solve_others(swaps, rows, best, *parameters)
        already = (best != z).T  # (m, r)
        other = torch.where(already.unsqueeze(-1), best, other)
        reached = reached | already
        return other, reached if ok is None else reached & ok

    def _feasible(self, rows: Float[Tensor, "r m"]) -> Bool[Tensor, " r"]:
        """v − 1 edges that connect: the argmax among them is all of them."""
        best, _ = self._argmax(torch.where(rows > 0, 0.0, -torch.inf), True)
        return (best == rows).all(-1) & (rows.sum(-1) == self.num_vertices - 1)

    def _log_partition(self, rows: Float[Tensor, "r m"], scale: Tensor | float) -> Tensor:
        return Arborescence(self.num_vertices - 1)._log_partition(self._heads(rows), scale)

    def _heads(self, rows: Float[Tensor, "r m"]) -> Float[Tensor, "r n h"]:
        """Directed away from the first vertex a tree is an arborescence, and only one."""
        first, second = self.edges.T.to(rows.device)
        shape = len(rows), self.num_vertices, self.num_vertices
        matrix = rows.new_full(shape, forbidden(rows.dtype))
        every = torch.arange(len(rows), device=rows.device).unsqueeze(-1)
        both = torch.cat([first, second]), torch.cat([second, first])
        return matrix.index_put((every, *both), rows.repeat(1, 2))[:, 1:]

    def _sample(
        self, rows: Float[Tensor, "r m"], generator: torch.Generator | None
    ) -> Float[Tensor, "r m"]:
        z = Arborescence(self.num_vertices - 1)._sample(self._heads(rows), generator)
        first, second = self.edges.T.to(rows.device)
        z = torch.cat([torch.zeros_like(z[:, :1]), z], 1)
        return z[:, first, second] + z[:, second, first]
