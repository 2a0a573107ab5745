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
    """

    value: Float[Tensor, "*s b n k"]
    objective: Float[Tensor, "*s b"]
    status: Status
