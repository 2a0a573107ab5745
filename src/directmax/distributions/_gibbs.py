"""Log-partition, moments and entropy of a pairwise binary model, by summing over all states."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx

from directmax._kernels import LOW_VARIABLES, over_rows
from directmax.distributions._enumeration import number_of_states, state_block
from directmax.solvers import pair_products

MAX_VARIABLES = 24
"""Sums over 2^n states are refused beyond."""

SMALLEST = LOW_VARIABLES + 2
"""Variables from where on the compiled kernel is used: it takes two beside its tables at a time."""

CHUNK_ELEMENTS = 2**24
"""Scores held at a time outside the compiled kernel."""


class Moments(NamedTuple):
    """Sums over q(z) ∝ e^{h(z)}, h relative to h(0, …, 0); in nats, without gradient."""

    log_normalizer: Float[Tensor, " b"]
    energy: Float[Tensor, " b"]
    """E[h]."""
    first: Float[Tensor, "b n"]
    """E[z_i]."""
    first_covariance: Float[Tensor, "b n"]
    """Cov(h, z_i)."""
    second: Float[Tensor, "b P"]
    """E[z_i z_j]."""
    second_covariance: Float[Tensor, "b P"]
    """Cov(h, z_i z_j)."""


@torch.no_grad()
def moments(field: Float[Tensor, "b n"], pairwise: Float[Tensor, "b P"]) -> Moments:
    """All of them in one pass over the 2^n states, O(2^n) a problem.

    Args:
        field: h_i(1) − h_i(0).
        pairwise: h_ij of the pairs i < j.

    Raises:
        ValueError: n > 24.
    """
    batch, n = field.shape
    if n > MAX_VARIABLES:
        raise ValueError(
            f"log-partition, moments, entropy and KL sum over all 2^n states, for n up to "
            f"{MAX_VARIABLES}; got {n} variables"
        )
    field, pairwise = field.detach().contiguous(), pairwise.detach().contiguous()
    if field.device.type != "cpu" or n < SMALLEST:
        return _in_torch(field, pairwise)
    scale = field.new_empty(batch, 3)
    first, first_weighted = torch.empty_like(field), torch.empty_like(field)
    second, second_weighted = torch.empty_like(pairwise), torch.empty_like(pairwise)
    if batch:
        from directmax.distributions._gibbs_kernel import moments as kernel

        parts = (field, pairwise, scale, first, first_weighted, second, second_weighted)
        arrays = tuple(part.numpy() for part in parts)
        over_rows(
            lambda start, stop: kernel(*arrays, start, stop),
            batch,
            minimum=max(1, 10_000 >> n),
        )
    return _normalised(scale, first, first_weighted, second, second_weighted)


def _normalised(
    scale: Tensor, first: Tensor, first_weighted: Tensor, second: Tensor, second_weighted: Tensor
) -> Moments:
    """From sums of w and w g (w = e^g, g = h − reference) to moments.

    Not in the kernel, where the compiler may round one way or another.
    """
    reference, total, weighted = scale.unbind(-1)
    mean, each = weighted / total, total[:, None]
    first, second = first / each, second / each
    return Moments(
        log_normalizer=reference + total.log(),
        energy=reference + mean,
        first=first,
        first_covariance=first_weighted / each - mean[:, None] * first,
        second=second,
        second_covariance=second_weighted / each - mean[:, None] * second,
    )


def _in_torch(field: Tensor, pairwise: Tensor) -> Moments:
    """The same sums on any device, in chunks of problems and states."""
    batch, n = field.shape
    count = number_of_states(n, 2)
    parameters = torch.cat([field, pairwise], -1)  # (b, n + P)
    width = max(1, CHUNK_ELEMENTS // max(1, max(batch, parameters.shape[1])))
    starts = range(0, count, width)

    def features(start: int) -> Tensor:
        stop = min(start + width, count)
        z = state_block(n, 2, start, stop, dtype=field.dtype, device=field.device)[..., 1]
        return torch.cat([z, pair_products(z)], -1)  # (c, n + P)

    largest = field.new_full((batch,), -torch.inf)
    for start in starts:
        largest = torch.maximum(largest, (parameters @ features(start).T).amax(-1))
    sums = field.new_zeros(batch, parameters.shape[1] + 1, 2)
    for start in starts:
        part = features(start)
        score = parameters @ part.T - largest[:, None]  # (b, c)
        both = torch.stack([score.exp(), score.exp() * score], -1)  # (b, c, 2)
        sums[:, 0] += both.sum(1)
        sums[:, 1:] += part.T @ both
    scale = torch.stack([largest, sums[:, 0, 0], sums[:, 0, 1]], -1)
    (first, second), (first_weighted, second_weighted) = (
        sums[:, 1:, part].split([n, parameters.shape[1] - n], -1) for part in range(2)
    )
    return _normalised(scale, first, first_weighted, second, second_weighted)


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
