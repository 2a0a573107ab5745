"""Subsets of a number of elements."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax._validation import check_count, check_flag
from directmax.structures._base import Structure
from directmax.structures._parameters import check_numbers, per_row
from directmax.structures._rows import Answer
from directmax.structures._weights import categorical, forbidden


class Subsets(Structure):
    r"""The subsets of n elements that have exactly, or at most, k.

    argmax: the k largest weights (of those above 0). Sums: elementary symmetric polynomials,
    e_c(1 … i) = e_c(1 … i−1) + e^{w_i} e_{c−1}(1 … i−1), in logarithms, O(nk). Runs where the
    weights are.

    Args:
        n: how many elements.
        k: how many are chosen; or one number for each problem, `(b,)`.
        at_most: also fewer, down to none.

    Raises:
        TypeError, ValueError: n < 1, or k not in 0 … n.

    Example:
        >>> weights = torch.tensor([[1.0, 2.0, -1.0]])
        >>> Subsets(3, 2).argmax(weights), Subsets(3, 3, at_most=True).argmax(weights)
        (tensor([[1., 1., 0.]]), tensor([[1., 1., 0.]]))
        >>> Subsets(3, 2).marginals(torch.zeros(1, 3))
        tensor([[0.6667, 0.6667, 0.6667]])

    Reference: Ahmed et al. 2023, SIMPLE (marginals of k-subsets).
    """

    tractable: ClassVar[bool] = True

    def __init__(self, n: int, k: int | Int[Tensor, " b"], *, at_most: bool = False) -> None:
        self.shape = (check_count("n", n),)
        self.k, self.batch_size = check_numbers("k", k, 0, n)
        self.at_most = check_flag("at_most", at_most)

    def __repr__(self) -> str:
        k = int(self.k) if self.batch_size is None else f"{self.batch_size} numbers"
        return f"Subsets({self.shape[0]}, {k}{', at_most=True' if self.at_most else ''})"

    def _argmax(self, rows: Float[Tensor, "r n"], masked: bool) -> Answer:
        if self.batch_size is None:
            values, best = rows.topk(int(self.k), -1, sorted=False)
            z = torch.zeros_like(rows).scatter_(-1, best, 1.0)
        else:
            order = rows.argsort(-1, descending=True)
            place = torch.arange(self.shape[0], device=rows.device).expand_as(order)
            z = torch.zeros_like(rows).scatter_(-1, order, (place < self._k(rows)).to(rows.dtype))
            values = rows.masked_fill(z == 0, 0)
        if self.at_most:
            return z * (rows > 0), None
        return z, (values > -torch.inf).all(-1) if masked else None

    def _k(self, rows: Tensor) -> Int[Tensor, "r_or_1 1"]:
        return per_row(self.k, rows).unsqueeze(-1)

    def _feasible(self, rows: Float[Tensor, "r n"]) -> Bool[Tensor, " r"]:
        count = rows.sum(-1, keepdim=True)
        return (count <= self._k(rows) if self.at_most else count == self._k(rows)).squeeze(-1)

    def _alternatives(
        self, rows: Float[Tensor, "r n"], z: Float[Tensor, "r n"]
    ) -> tuple[Float[Tensor, "n r n"], Bool[Tensor, "n r"]]:
        """An element that is left makes room for the best outside, one that enters needs room."""
        inside = z > 0
        worst = rows.masked_fill(~inside, torch.inf).min(-1)
        best = rows.masked_fill(inside, -torch.inf).max(-1)
        one = torch.eye(self.shape[0], dtype=z.dtype, device=z.device)
        leaves, enters = one[worst.indices], one[best.indices]  # (r, n)
        full = z.sum(-1) >= self._k(rows).squeeze(-1)
        may_enter = best.values > -torch.inf
        if self.at_most:
            swap, swapped = (best.values > 0) & full, torch.ones_like(full)
        else:
            swap, swapped = may_enter, may_enter
        without = z - one.unsqueeze(1) + enters * swap.unsqueeze(-1)
        added = z + one.unsqueeze(1) - leaves * full.unsqueeze(-1)
        room = (~full | inside.any(-1)) & (self._k(rows).squeeze(-1) > 0)
        chosen = inside.T
        reached = torch.where(chosen, swapped, room & (rows > -torch.inf).T)
        return torch.where(chosen.unsqueeze(-1), without, added), reached

    def _log_partition(self, rows: Float[Tensor, "r n"], scale: Tensor | float) -> Tensor:
        last = self._polynomials(rows)[-1]  # (r, k + 1)
        counts = torch.arange(last.shape[-1], device=rows.device)
        allowed = counts <= self._k(rows) if self.at_most else counts == self._k(rows)
        return last.masked_fill(~allowed, forbidden(rows.dtype)).logsumexp(-1)

    def _polynomials(self, rows: Float[Tensor, "r n"]) -> list[Float[Tensor, "r c"]]:
        """log e_c of the first i elements, c = 0 … k, for i = 0 … n."""
        none = torch.full_like(rows[:, :1], forbidden(rows.dtype))
        size = int(self.k.max())
        table = [torch.cat([torch.zeros_like(none), none.expand(-1, size)], -1)]
        for i in range(self.shape[0]):
            with_it = torch.cat([none, table[-1][:, :-1] + rows[:, i : i + 1]], -1)
            # Not logaddexp: its second derivative is NaN where one side is forbidden.
            table.append(torch.stack([table[-1], with_it]).logsumexp(0))
        return table

    def _sample(
        self, rows: Float[Tensor, "r n"], generator: torch.Generator | None
    ) -> Float[Tensor, "r n"]:
        table, z = self._polynomials(rows), torch.zeros_like(rows)
        count = self._k(rows).expand(len(rows), 1)  # still to choose
        if self.at_most:
            counts = torch.arange(table[-1].shape[-1], device=rows.device)
            last = table[-1].masked_fill(counts > count, forbidden(rows.dtype))
            count = categorical(last, generator).argmax(-1, keepdim=True)
        for i in range(self.shape[0], 0, -1):
            before = table[i - 1]
            fewer = before.gather(-1, (count - 1).clamp_min(0)) + rows[:, i - 1 : i]
            fewer = fewer.masked_fill(count == 0, forbidden(rows.dtype))
            choice = torch.cat([before.gather(-1, count), fewer], -1)
            z[:, i - 1] = categorical(choice, generator)[:, 1]
            count = count - z[:, i - 1 : i].long()
        return z
