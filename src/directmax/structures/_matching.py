"""Assignments of persons to tasks, and orders."""

from __future__ import annotations

from typing import NoReturn

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._validation import check_count
from directmax.structures._base import Structure
from directmax.structures._rows import Answer, solve_rows


class Matching(Structure):
    r"""Each of n persons has a task of its own out of m ≥ n: z_i = j, one-hot `(n, m)`.

    argmax: linear assignment by shortest augmenting paths, compiled, O(n²m). A mask of −∞ forbids a
    pair. There are no tractable sums (a permanent).

    Args:
        n: persons.
        m: tasks; n by default: permutations.

    Raises:
        TypeError, ValueError: n < 1, or m < n.

    Example:
        >>> weights = torch.tensor([[[3.0, 2.0], [2.0, 0.0]]])
        >>> Matching(2).argmax(weights).argmax(-1)
        tensor([[1, 0]])

    Reference: Jonker and Volgenant 1987; Crouse 2016.
    """

    def __init__(self, n: int, m: int | None = None) -> None:
        check_count("n", n)
        self.shape = (n, n if m is None else check_count("m", m, n))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.shape}"

    def _argmax(self, rows: Float[Tensor, "r n m"], masked: bool) -> Answer:
        from directmax.structures._matching_kernel import maximise

        return solve_rows(maximise, rows, minimum=max(1, 1000 // rows[0].numel()))

    def _feasible(self, rows: Float[Tensor, "r n m"]) -> Bool[Tensor, " r"]:
        return (rows.sum(-1) == 1).all(-1) & (rows.sum(-2) <= 1).all(-1)


class Ranking(Structure):
    r"""Orders of n items by weight: z_i is the rank of item i, a number from 0 to n − 1.

    Unlike elsewhere z is neither zeros and ones nor one-hot, but ranks `(n,)`. The score is
    Σ_i w_i z_i, so that in the best order the largest weight has rank n − 1. argmax: a sort, where
    the weights are. There are no masks, max-marginals or tractable sums; `Matching(n)` is the same
    set with a weight for every item and rank.

    Args:
        n: how many items.

    Raises:
        TypeError, ValueError: n < 1.

    Example:
        >>> Ranking(3).argmax(torch.tensor([[0.5, 2.0, -1.0]]))
        tensor([[1., 2., 0.]])

    Reference: Blondel et al. 2020 (the permutahedron).
    """

    def __init__(self, n: int) -> None:
        self.shape = (check_count("n", n),)

    def __repr__(self) -> str:
        return f"Ranking({self.shape[0]})"

    @property
    def num_values(self) -> int:
        """As many ranks as items."""
        return self.shape[0]

    @property
    def is_binary(self) -> bool:
        """z are ranks."""
        return False

    def score(
        self, weights: Float[Tensor, "*s b n"], z: Float[Tensor, "*s b n"]
    ) -> Float[Tensor, "*s b"]:
        """Σ_i w_i z_i."""
        return (weights * z).sum(-1)

    def is_feasible(self, z: Float[Tensor, "*s b n"]) -> Bool[Tensor, "*s b"]:
        """Whether every rank is there once."""
        ranks = torch.arange(self.shape[0], dtype=z.dtype, device=z.device)
        return (z.sort(-1).values == ranks).all(-1)

    def potentials(self, weights: Float[Tensor, "*s b n"]) -> Float[Tensor, "*s b n n"]:
        """w_i j, what rank j of item i adds to the score."""
        ranks = torch.arange(self.shape[0], dtype=weights.dtype, device=weights.device)
        return weights.unsqueeze(-1) * ranks

    def one_hot(self, z: Float[Tensor, "*s b n"]) -> Float[Tensor, "*s b n n"]:
        """The rank of every item, one-hot."""
        ranks = torch.arange(self.shape[0], dtype=z.dtype, device=z.device)
        return (z.unsqueeze(-1) == ranks).to(z.dtype)

    def from_one_hot(self, z: Float[Tensor, "*s b n n"]) -> Float[Tensor, "*s b n"]:
        """Ranks, from one-hot ones."""
        return (z * torch.arange(self.shape[0], dtype=z.dtype, device=z.device)).sum(-1)

    def argmax_potentials(
        self, potentials: Float[Tensor, "*s b n n"], *, validate: bool = True
    ) -> Float[Tensor, "*s b n n"]:
        """With a weight for every item and rank it is a matching."""
        return Matching(self.shape[0]).argmax(potentials, validate=validate)

    def max_marginals(self, weights: Float[Tensor, "*s b n"]) -> NoReturn:
        """Refused."""
        raise TypeError("Ranking has no max-marginals; use Matching")

    def alternatives(
        self, weights: Float[Tensor, "*s b n"], z: Float[Tensor, "*s b n"]
    ) -> NoReturn:
        """Refused."""
        raise TypeError("Ranking has no alternatives; use Matching")

    def _argmax(self, rows: Float[Tensor, "r n"], masked: bool) -> Answer:
        if masked:
            raise ValueError("Ranking takes no masks, expected weights above -inf; use Matching")
        ranks = torch.arange(self.shape[0], dtype=rows.dtype, device=rows.device)
        return torch.empty_like(rows).scatter_(-1, rows.argsort(-1), ranks.expand_as(rows)), None

    def _feasible(self, rows: Float[Tensor, "r n"]) -> Bool[Tensor, " r"]:
        return self.is_feasible(rows)
