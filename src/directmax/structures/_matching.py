"""Assignments of persons to tasks, and orders."""

from __future__ import annotations

import functools
import math
from typing import NoReturn

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax._validation import check_count, check_tensor
from directmax.structures._base import Structure
from directmax.structures._rows import Answer, solve_rows
from directmax.structures._weights import categorical

MOST_SUMMED = 14
"""Tasks of which all sets are gone through in sums."""


class Matching(Structure):
    r"""Each of n persons has a task of its own out of m ≥ n: z_i = j, one-hot `(n, m)`.

    argmax: linear assignment by shortest augmenting paths, compiled, O(n²m). A mask of −∞ forbids a
    pair. Sums are a permanent: person after person over the sets of tasks that are taken, O(m 2^m),
    for at most 14 tasks; of larger ones there are none.

    Args:
        n: persons.
        m: tasks; n by default: permutations.

    Raises:
        TypeError, ValueError: n < 1, or m < n.

    Example:
        >>> weights = torch.tensor([[[3.0, 2.0], [2.0, 0.0]]])
        >>> Matching(2).argmax(weights).argmax(-1)
        tensor([[1, 0]])

    Reference: Jonker and Volgenant 1987; Crouse 2016; Ryser 1963 (sums over sets).
    """

    def __init__(self, n: int, m: int | None = None) -> None:
        check_count("n", n)
        self.shape = (n, n if m is None else check_count("m", m, n))
        self.tractable = self.shape[1] <= MOST_SUMMED  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.shape}"

    def _argmax(self, rows: Float[Tensor, "r n m"], masked: bool) -> Answer:
        from directmax.structures._matching_kernel import maximise

        return solve_rows(maximise, rows, minimum=max(1, 1000 // math.prod(self.shape)))

    def _feasible(self, rows: Float[Tensor, "r n m"]) -> Bool[Tensor, " r"]:
        return (rows.sum(-1) == 1).all(-1) & (rows.sum(-2) <= 1).all(-1)

    def _log_partition(self, rows: Float[Tensor, "r n m"], scale: Tensor | float) -> Tensor:
        return self._sums(rows)[-1].logsumexp(-1)

    def _sums(self, rows: Float[Tensor, "r n m"]) -> list[Float[Tensor, "r sets"]]:
        """log of the sums over tasks of the first persons, by the set of tasks that they take."""
        if not self.tractable:
            raise TypeError(
                f"{self!r} has sums over the 2^{self.shape[1]} sets of tasks, and at most "
                f"2^{MOST_SUMMED}; use its samples (PerturbedArgmax)"
            )
        sums = [torch.zeros_like(rows[:, 0, :1])]  # nobody takes none
        for person in range(self.shape[0]):
            last, before = (each.to(rows.device) for each in _sets(self.shape[1], person + 1))
            sums.append((sums[-1][:, before] + rows[:, person][:, last]).logsumexp(-1))
        return sums

    def _sample(
        self, rows: Float[Tensor, "r n m"], generator: torch.Generator | None
    ) -> Float[Tensor, "r n m"]:
        """The set of all tasks, then from it the task of the last person, of the last but one …"""
        sums, z = self._sums(rows), torch.zeros_like(rows)
        taken = categorical(sums[-1], generator).argmax(-1)  # the number of the set
        for person in reversed(range(self.shape[0])):
            tables = (each.to(rows.device) for each in _sets(self.shape[1], person + 1))
            last, before = (each[taken] for each in tables)  # (r, size)
            logits = sums[person].gather(-1, before) + rows[:, person].gather(-1, last)
            which = categorical(logits, generator).argmax(-1, keepdim=True)
            z[:, person].scatter_(-1, last.gather(-1, which), 1.0)
            taken = before.gather(-1, which).squeeze(-1)
        return z


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
        self._fit_both(weights, z)
        return (weights * z).sum(-1)

    def is_feasible(self, z: Float[Tensor, "*s b n"]) -> Bool[Tensor, "*s b"]:
        """Whether every rank is there once."""
        self._fit(z, "z")
        ranks = torch.arange(self.shape[0], dtype=z.dtype, device=z.device)
        return (z.sort(-1).values == ranks).all(-1)

    def potentials(self, weights: Float[Tensor, "*s b n"]) -> Float[Tensor, "*s b n n"]:
        """w_i j, what rank j of item i adds to the score."""
        self._fit(weights)
        ranks = torch.arange(self.shape[0], dtype=weights.dtype, device=weights.device)
        return weights.unsqueeze(-1) * ranks

    def one_hot(self, z: Float[Tensor, "*s b n"]) -> Float[Tensor, "*s b n n"]:
        """The rank of every item, one-hot."""
        check_tensor("z", z, self.shape, "items")
        ranks = torch.arange(self.shape[0], dtype=z.dtype, device=z.device)
        return (z.unsqueeze(-1) == ranks).to(z.dtype)

    def from_one_hot(self, z: Float[Tensor, "*s b n n"]) -> Float[Tensor, "*s b n"]:
        """Ranks, from one-hot ones."""
        check_tensor("z", z, (*self.shape, *self.shape), "items, ranks")
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


@functools.lru_cache(maxsize=256)
@torch.inference_mode(False)  # what is kept must serve a later training
def _sets(m: int, size: int) -> tuple[Int[Tensor, "S size"], Int[Tensor, "S size"]]:
    """The sets of so many of m tasks: their tasks, and the number of the set without each."""
    tasks = torch.arange(m, device="cpu")
    masks = torch.arange(2**m, device="cpu")
    members = (masks.unsqueeze(-1) >> tasks) & 1  # (2^m, m)
    sizes = members.sum(-1)
    number = torch.zeros_like(masks)
    for each in (size - 1, size):
        number[sizes == each] = torch.arange(int((sizes == each).sum()), device="cpu")
    chosen = masks[sizes == size]
    last = members[chosen].nonzero()[:, 1].view(-1, size)
    return last, number[chosen.unsqueeze(-1) - (1 << last)]
