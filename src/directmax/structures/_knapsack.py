"""What fits into a knapsack."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax._validation import check_count, check_has_numbers, check_integers
from directmax.structures._base import Structure
from directmax.structures._parameters import check_numbers, common, per_row
from directmax.structures._rows import Answer, solve_rows

LARGEST = 10**6
"""Capacities beyond this many units are refused: time and memory grow with it."""


class Knapsack(Structure):
    r"""The subsets of m items whose sizes add up to at most the capacity; weights are values.

    argmax: dynamic programming over the capacity, O(m · capacity), compiled. Sizes are integers;
    real ones can be rounded up in a fine unit. There are no sums.

    Args:
        sizes: of the items, integers of at least 0, `(m,)` or a sequence, or for each problem
            `(b, m)`.
        capacity: an integer of at least 0, or one for each problem, `(b,)`.

    Raises:
        TypeError, ValueError: sizes or capacities that are no such integers.

    Example:
        >>> sack = Knapsack([3, 4, 5], 7)
        >>> sack.argmax(torch.tensor([[2.0, 2.5, 4.0]]))
        tensor([[1., 1., 0.]])

    Reference: Bellman 1957.
    """

    def __init__(
        self,
        sizes: Int[Tensor, " m"] | Int[Tensor, "b m"] | Sequence[int],
        capacity: int | Int[Tensor, " b"],
    ) -> None:
        if isinstance(sizes, (list, tuple)):
            numbers = [check_count("sizes", size, 0) for size in sizes]
            sizes = torch.tensor(numbers, dtype=torch.int64, device="cpu")
        sizes = check_integers("sizes", sizes)
        check_has_numbers("sizes", sizes)
        if sizes.ndim not in (1, 2) or not sizes.numel() or int(sizes.min()) < 0:
            raise ValueError(
                "sizes must be at least 0, of shape (items,) or (batch, items), got shape "
                f"{tuple(sizes.shape)}"
            )
        self.shape = (check_count("items", sizes.shape[-1]),)
        self.capacity, problems = check_numbers("capacity", capacity, 0, LARGEST)
        own = len(sizes) if sizes.ndim == 2 else None
        self.batch_size = common("sizes and capacity", own, problems)
        self.sizes = sizes.cpu().long().reshape(-1, sizes.shape[-1]).contiguous().clone()

    def __repr__(self) -> str:
        most = int(self.capacity.max()) if self.capacity.numel() else 0
        return f"Knapsack({self.shape[0]} items, capacity {most})"

    def _argmax(self, rows: Float[Tensor, "r m"], masked: bool) -> Answer:
        from directmax.structures._knapsack_kernel import maximise

        return solve_rows(maximise, rows, self.sizes, self.capacity)

    def _feasible(self, rows: Float[Tensor, "r m"]) -> Bool[Tensor, " r"]:
        sizes = self.sizes.to(rows.device)
        if len(sizes) > 1:
            sizes = sizes.repeat(len(rows) // len(sizes), 1)
        return (rows * sizes).sum(-1) <= per_row(self.capacity, rows)
