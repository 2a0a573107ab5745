"""The solver that chooses one."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from directmax.solvers._branch_and_bound import BranchAndBound
from directmax.solvers._compiled import CompiledSolver
from directmax.solvers._exhaustive import Exhaustive
from directmax.solvers._max_flow import MaxFlow
from directmax.solvers._solution import Solution, Status

MOST = Exhaustive.max_variables
"""Variables of exhaustive search, whatever the signs."""


class Auto(CompiledSolver):
    """Chooses by size and sign, always an exact method.

    Few variables: exhaustive search, which is then the fastest of all. Beyond 12 of them, max-flow
    where no pairwise potential is negative; else exhaustive search up to 24, and branch and bound
    above. For `alternatives`, which exhaustive search finds all in one pass over every state, the
    limits are 16 and 21. On a GPU exhaustive search up to 24 whatever the signs.

    Example:
        >>> import torch
        >>> Auto()(torch.zeros(1, 2, 2), torch.tensor([[1.0]])).value.argmax(-1).tolist()
        [[1, 1]]
    """

    name: ClassVar[str] = "auto"
    on_device: ClassVar[bool] = True

    def _elsewhere(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        if field.shape[-1] <= MOST:
            return Exhaustive()._elsewhere(field, pairwise)
        return super()._elsewhere(field, pairwise)

    def _search(
        self, field: Float[NDArray, "r n"], pairwise: Float[NDArray, "b P"], negative: bool
    ) -> tuple[UInt8[NDArray, "r n"], Status]:
        return _choice(field.shape[1], negative, 12, MOST)._search(field, pairwise, negative)

    def _alternatives(
        self,
        unary: Float[Tensor, "*s b n 2"],
        pairwise: Float[Tensor, "b P"],
        value: Float[Tensor, "*s b n 2"],
    ) -> Solution:
        limits = (16, 21) if pairwise.device.type == "cpu" else (MOST, MOST)
        choice = _choice(unary.shape[-2], bool((pairwise < 0).any()), *limits)
        return choice._alternatives(unary, pairwise, value)


def _choice(n: int, negative: bool, most_of_one_sign: int, most: int) -> CompiledSolver:
    """Exhaustive search of so many variables, where no pair loses and where some does."""
    if n <= most_of_one_sign:
        return Exhaustive()
    if not negative:
        return MaxFlow()
    return Exhaustive() if n <= most else BranchAndBound()
