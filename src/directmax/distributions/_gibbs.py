"""Log-partition, moments and entropy of a pairwise binary model, by summing over all states."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx

from directmax.distributions._gibbs_sums import Moments, summed

MAX_VARIABLES = 24
"""Sums over 2^n states are refused beyond."""


@torch.no_grad()
def moments(field: Float[Tensor, "b n"], pairwise: Float[Tensor, "b P"]) -> Moments:
    """All of them, in time O(2^n) a problem and memory O(2^{2n/3}).

    Args:
        field: h_i(1) − h_i(0).
        pairwise: h_ij of the pairs i < j.

    Raises:
        ValueError: n > 24.
    """
    n = field.shape[1]
    if n > MAX_VARIABLES:
        raise ValueError(
            f"log-partition, moments, entropy and KL sum over all 2^n states, for n up to "
            f"{MAX_VARIABLES}; got {n} variables"
        )
    return summed(field.detach(), pairwise.detach())


class WithGradient(torch.autograd.Function):
    """A value whose gradient with respect to field and pairwise is given beside it."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        value: Tensor,
        field: Tensor,
        pairwise: Tensor,
        field_gradient: Tensor,
        pairwise_gradient: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(field_gradient, pairwise_gradient)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        field_gradient, pairwise_gradient = ctx.saved_tensors  # type: ignore[attr-defined]
        each = grad.unsqueeze(-1)
        return grad, each * field_gradient, each * pairwise_gradient, None, None
