"""What every solver returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jaxtyping import Float
from torch import Tensor


class Status(Enum):
    """How a solver ended. Anything but `OPTIMAL` means that the value may not be the argmax."""

    OPTIMAL = "optimal"
    TIME_LIMIT = "time limit"
    NODE_LIMIT = "node limit"


@dataclass(frozen=True)
class Solution:
    """The result of maximising a batch of potentials.

    Attributes:
        value: one-hot assignments `(*s, b, n, k)`, without gradient.
        objective: the potential of each assignment, `(*s, b)`.
        status: whether the assignments are proved optimal, for the whole batch.

    Example:
        >>> import torch
        >>> from directmax.solvers import Exhaustive
        >>> unary = torch.tensor([[[0.0, 1.0], [0.0, -2.0]]])  # one problem, two binary variables
        >>> solution = Exhaustive()(unary, torch.tensor([[3.0]]))  # 3 more where both are 1
        >>> solution.value[..., 1], solution.objective, solution.status
        (tensor([[1., 1.]]), tensor([2.]), <Status.OPTIMAL: 'optimal'>)
    """

    value: Float[Tensor, "*s b n k"]
    objective: Float[Tensor, "*s b"]
    status: Status
