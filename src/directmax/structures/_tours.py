"""Round trips through all vertices."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._validation import check_count
from directmax.structures._base import Structure
from directmax.structures._rows import Answer, solve_rows

MOST_VERTICES = 16
"""Sets of 2^15 vertices are gone through for every problem."""


class Tours(Structure):
    r"""Round trips that visit each of v vertices once: z_e = 1 for their edges, `(v(v−1)/2,)`.

    The travelling salesman's problem. Edges are in the order of `torch.triu_indices(v, v, 1)`; a
    mask of −∞ leaves one out. argmax: Held and Karp's dynamic programme, compiled, exact,
    O(v² 2^v). There are no tractable sums. For more vertices use a solver of your own, in
    `PerturbedArgmax(weights, function)`.

    Args:
        vertices: v, from 3 to 16.

    Raises:
        TypeError, ValueError: v out of range.

    Example:
        >>> square = Tours(4)
        >>> square.argmax(-torch.tensor([[1.0, 1.0, 9.0, 9.0, 1.0, 1.0]]))
        tensor([[1., 1., 0., 0., 1., 1.]])

    Reference: Held and Karp 1962.
    """

    def __init__(self, vertices: int) -> None:
        v = check_count("vertices", vertices, 3)
        if v > MOST_VERTICES:
            raise ValueError(f"vertices must be at most {MOST_VERTICES}, got {v}")
        self.num_vertices = v
        self.edges = torch.triu_indices(v, v, 1, device="cpu").T.contiguous()
        self.shape = (len(self.edges),)

    def __repr__(self) -> str:
        return f"Tours({self.num_vertices})"

    def _argmax(self, rows: Float[Tensor, "r m"], masked: bool) -> Answer:
        from directmax.structures._tours_kernel import maximise

        number = torch.zeros(self.num_vertices, self.num_vertices, dtype=torch.int64, device="cpu")
        first, second = self.edges.T
        number[first, second] = number[second, first] = torch.arange(len(self.edges), device="cpu")
        return solve_rows(maximise, rows, number)

    def _feasible(self, rows: Float[Tensor, "r m"]) -> Bool[Tensor, " r"]:
        chosen = [self.edges[row > 0].tolist() for row in rows.cpu()]
        return torch.tensor([self._is_tour(edges) for edges in chosen], device=rows.device)

    def _is_tour(self, edges: list[list[int]]) -> bool:
        """Whether they are one circle through all vertices."""
        beside: list[list[int]] = [[] for _ in range(self.num_vertices)]
        for first, second in edges:
            beside[first].append(second)
            beside[second].append(first)
        if any(len(each) != 2 for each in beside):
            return False
        last, here, length = 0, beside[0][0], 1
        while here != 0:
            last, here = here, beside[here][beside[here][0] == last]
            length += 1
        return length == self.num_vertices
