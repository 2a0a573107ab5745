"""Potentials of single variables alone: h(z) = Σ_i h_i(z_i), whatever z may be."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx

from directmax._masks import chosen
from directmax._transforms import in_transforms, last, once
from directmax._validation import check_place, check_real_of_shape
from directmax.distributions._base import DiscreteDistribution


class LinearPotentials(DiscreteDistribution):
    """What follows from h being linear in one-hot z: its score, and gradients without autograd."""

    forbids: bool = True
    """Whether some potential may be −∞."""

    @property
    @abstractmethod
    def potentials(self) -> Float[Tensor, "b n k"]:
        """h_i(j)."""

    def score(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """h(z) = Σ_i h_i(z_i), differentiable with respect to the potentials.

        Raises:
            ValueError: `z` does not end in (b, n, k).
        """
        self._check(z)
        return chosen(self.potentials, z)

    def attach(
        self,
        value: Float[Tensor, " b"],
        first: Float[Tensor, "s b n k"],
        second: Float[Tensor, "s b n k"],
        weight: Float[Tensor, " b"] | float,
    ) -> Float[Tensor, " b"]:
        """`value`, with the gradient of weight · mean_s(h(first) − h(second)) added to its own.

        h is linear in its potentials, so that gradient is weight · mean_s(first − second) itself.
        """
        weight = self._check_attached(value, weight, first=first, second=second)
        gradient = (first - second).mean(0)  # (b, n, k)
        each = weight[:, None, None] if isinstance(weight, Tensor) else weight
        return self.with_gradient(value, gradient * each)

    def with_gradient(
        self, value: Float[Tensor, " b"], gradient: Float[Tensor, "b n k"]
    ) -> Float[Tensor, " b"]:
        """`value`, with this gradient of the potentials, a constant, added to its own.

        Raises:
            TypeError, ValueError: no floating-point tensors of these shapes.
        """
        self._check_value(value)
        check_real_of_shape("gradient", gradient, self._shape, "batch, variables, values")
        check_place("gradient", gradient, self.device, "the potentials")
        potentials, forbids = self.potentials, self.forbids
        if not (torch.compiler.is_compiling() or in_transforms()):
            given: Tensor = _Given.apply(value, potentials, gradient, forbids)
            return given
        return value + _surrogate(once(potentials), gradient, forbids)


def _surrogate(
    potentials: Float[Tensor, "b n k"], gradient: Float[Tensor, "b n k"], forbids: bool
) -> Float[Tensor, " b"]:
    """0 with this gradient, however large the potentials are; NaN where one is no number."""
    if not forbids and not potentials.requires_grad:  # all are finite
        return (gradient * 0.0).sum((-2, -1))
    if forbids:
        potentials = potentials.masked_fill(potentials == -torch.inf, 0.0)
    return ((potentials - potentials.detach()) * gradient).sum((-2, -1))


class _Given(torch.autograd.Function):
    """`value` plus the surrogate, in fewer operations than those are to autograd."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, value: Tensor, potentials: Tensor, gradient: Tensor, forbids: bool
    ) -> Tensor:
        ctx.save_for_backward(potentials, gradient)
        ctx.forbids = forbids  # type: ignore[attr-defined]
        return value + _surrogate(potentials, gradient, forbids)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        if not ctx.needs_input_grad[1]:  # type: ignore[attr-defined]
            return grad, None, None, None
        potentials, gradient = ctx.saved_tensors  # type: ignore[attr-defined]
        own = grad[:, None, None] * gradient
        if ctx.forbids:  # type: ignore[attr-defined]
            own = own.masked_fill(potentials == -torch.inf, 0.0)
        return grad, last(own, potentials), None, None
