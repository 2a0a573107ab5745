"""The solver that chooses one."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from directmax.solvers._branch_and_bound import BranchAndBound
from directmax.solvers._exhaustive import Exhaustive
from directmax.solvers._max_flow import MaxFlow
from directmax.solvers._pairwise import PairwiseSolver
from directmax.solvers._solution import Solution, Status


class Auto(PairwiseSolver):
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

    def _maximise(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        return self._choice(field.shape[-1], pairwise, (12, 24))._maximise(field, pairwise)

    def _alternatives(
        self,
        unary: Float[Tensor, "*s b n 2"],
        pairwise: Float[Tensor, "b P"],
        value: Float[Tensor, "*s b n 2"],
    ) -> Solution:
        choice = self._choice(unary.shape[-2], pairwise, (16, 21))
        return choice._alternatives(unary, pairwise, value)

    @staticmethod
    def _choice(
        num_variables: int, pairwise: Tensor, exhaustive_up_to: tuple[int, int]
    ) -> PairwiseSolver:
        """The limits are for potentials of one sign and of any."""
        if pairwise.device.type != "cpu":
            exhaustive_up_to = (24, 24)
        supermodular, any_sign = exhaustive_up_to
        if num_variables <= supermodular:
            return Exhaustive()
        if not bool((pairwise < 0).any()):
            return MaxFlow()
        return Exhaustive() if num_variables <= any_sign else BranchAndBound()
