"""Independent variables: the argmax of a sum is the argmax of each term."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.solvers._pairwise import check_sampled
from directmax.solvers._solution import Solution, Status


def solve_independent(unary: Float[Tensor, "*s b n k"]) -> Solution:
    r"""argmax_z Σ_i h_i(z_i), exactly, in O(n·k) an instance.

    Args:
        unary: potentials h `(*s, b, n, k)` of n variables with k values; finite.

    Returns:
        A `Solution`, always optimal; ties go to the lowest value.

    Example:
        >>> import torch
        >>> solution = solve_independent(torch.tensor([[[0.0, 1.0], [3.0, 2.0]]]))
        >>> solution.value.argmax(-1).tolist(), solution.objective.tolist(), solution.status.value
        ([[1, 0]], [4.0], 'optimal')
    """
    check_sampled("unary", unary)
    if not unary.shape[-1]:
        raise ValueError(f"unary must have at least 1 value, got shape {tuple(unary.shape)}")
    unary = unary.detach()
    best, index = unary.max(-1, keepdim=True)
    value = torch.zeros_like(unary).scatter_(-1, index, 1.0)
    return Solution(value=value, objective=best.sum((-2, -1)), status=Status.OPTIMAL)
