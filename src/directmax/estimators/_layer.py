"""z as the output of a layer: what a backward pass does with ∂f/∂z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._transforms import refuse_recorded
from directmax.distributions import Categorical, DiscreteDistribution, PerturbedArgmax

Backward = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""From z and ∂f/∂z, `(s, b, n, k)`, to the gradients of potentials, the first `(b, n, k)`."""


class _Layer(torch.autograd.Function):
    """The identity of z, whose derivative by the potentials is a rule."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, rule: Backward, *potentials: Tensor) -> Tensor:
        ctx.rule = rule
        ctx.save_for_backward(z)
        return z.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        (z,) = ctx.saved_tensors
        return None, None, *ctx.rule(z, slopes)


def with_backward(
    potentials: tuple[Tensor, ...], z: Float[Tensor, "s b n k"], rule: Backward
) -> Float[Tensor, "s b n k"]:
    """z, with the gradients of the potentials that the rule finds."""
    refuse_recorded("the gradient of rsample", "use StraightThrough, or record an estimate of f")
    result: Tensor = _Layer.apply(z, rule, *potentials)
    return result


def own_potentials(q: DiscreteDistribution) -> tuple[Tensor, ...]:
    """Those of the structure of q that learn, such as transitions."""
    structure = getattr(q, "structure", None)
    return () if structure is None else tuple(p for p in structure.own if p.requires_grad)


def check_linear(
    name: str, q: DiscreteDistribution, *, learned: bool = False
) -> Categorical | PerturbedArgmax:
    """q, if its potentials are all on single variables, so that ∂f/∂z is enough.

    Args:
        name: the estimator's.
        q: the distribution.
        learned: whether others of a structure may learn.

    Raises:
        TypeError: they are not.
    """
    if not isinstance(q, (Categorical, PerturbedArgmax)) or (own_potentials(q) and not learned):
        raise TypeError(
            f"{name}.rsample needs potentials of single variables, got {type(q).__name__} with "
            f"others that learn; use {name}()(q, f)"
        )
    return q
