"""z as the output of a layer: what a backward pass does with ∂f/∂z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.distributions import Categorical, DiscreteDistribution, PerturbedArgmax

Backward = Callable[[Tensor, Tensor], Tensor]
"""From z and ∂f/∂z, `(s, b, n, k)`, to the gradient of the potentials, `(b, n, k)`."""


class _Layer(torch.autograd.Function):
    """The identity of z, whose derivative by the potentials is a rule."""

    @staticmethod
    def forward(ctx: Any, potentials: Tensor, z: Tensor, rule: Backward) -> Tensor:
        ctx.rule, ctx.shape = rule, potentials.shape
        ctx.save_for_backward(z)
        return z.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        return ctx.rule(z, slopes), None, None


def with_backward(
    potentials: Float[Tensor, "b n k"], z: Float[Tensor, "s b n k"], rule: Backward
) -> Float[Tensor, "s b n k"]:
    """z, with the gradient of the potentials that the rule finds."""
    result: Tensor = _Layer.apply(potentials, z, rule)
    return result


def check_linear(name: str, q: DiscreteDistribution) -> Categorical | PerturbedArgmax:
    """q, if its potentials are all on single variables, so that ∂f/∂z is enough.

    Raises:
        TypeError: they are not.
    """
    structure = getattr(q, "structure", None)
    own = structure is not None and structure.offset(structure.from_one_hot(q.mode()))
    if not isinstance(q, Categorical | PerturbedArgmax) or (
        isinstance(own, Tensor) and own.requires_grad
    ):
        raise TypeError(
            f"{name}.rsample needs potentials of single variables, got {type(q).__name__} with "
            f"others that learn; use {name}()(q, f)"
        )
    return q
