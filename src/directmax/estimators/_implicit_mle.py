"""Implicit maximum likelihood estimation: the direct estimator with a linearised loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._transforms import refuse_in_transforms, uncompiled
from directmax.distributions import DiscreteDistribution
from directmax.estimators._base import average
from directmax.estimators._direct import Direct
from directmax.objectives import Objective, evaluate


class ImplicitMLE(Direct):
    r"""(∇h(z*) − ∇h(z^ε))/ε with z^ε = argmax_z h(z) + γ(z) − ε ∇f(z*)·z.

    The direct estimator with f̃ replaced by the first-order approximation of f at the sample: one
    evaluation of f and its derivative instead of n(k−1)+1 evaluations. Any solver for h also finds
    z^ε, so it works for coupled variables. Biased, also as ε → 0, unless f is linear in every
    variable; f must be differentiable at the vertices, and its derivative there should say
    something about its changes.

    `epsilon="auto"`, as in `Direct`, takes the standard deviation of ∇f over the values of a
    variable in place of that of the losses, so that the step follows the size of the derivative.

    Args:
        epsilon: ε > 0 in 1/nats (λ in the paper), a schedule of it, or "auto".
        scale: for "auto": the step in standard deviations, or a schedule of it.
        two_sided: central difference (the paper's symmetric variant, of AIMLE).
        rao_blackwell: the mean over each variable's noise; see `Direct`.
        num_samples: Gumbel draws to average over.

    Raises:
        TypeError, ValueError: as `Direct`; at the call, an f that is not differentiable in z, or a
            torch.func transform.

    Example:
        >>> from directmax import Categorical
        >>> q = Categorical(torch.zeros(1, 2, 3, requires_grad=True))
        >>> ImplicitMLE(epsilon=1.0)(q, lambda z: (z**2)[..., 0].sum(-1)).loss.shape
        torch.Size([1])

    Reference: Niepert, Minervini and Franceschi 2021, Implicit MLE, algorithm 1; Minervini,
    Franceschi and Niepert 2023 (AIMLE). The noise here is Gumbel, not their sum of Gammas; AIMLE's
    adaptive step aims at a share of non-zero gradients, "auto" at the size of the derivative.
    """

    needs_derivative: ClassVar[bool] = True

    def evaluations(self, num_variables: int, num_values: int) -> int:
        """One a sample."""
        return self.num_samples

    @uncompiled  # differentiates inside, which the compiler cannot trace
    def _losses_and_changes(
        self, q: DiscreteDistribution, objective: Objective, z: Float[Tensor, "s b n k"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "s b n k"]]:
        refuse_in_transforms("ImplicitMLE, which differentiates f itself,", "use StraightThrough")
        if not torch.is_grad_enabled():
            return average(evaluate(objective, z)), torch.zeros_like(z)
        losses = evaluate(objective, z.requires_grad_())
        slopes = None
        if losses.requires_grad:
            (slopes,) = torch.autograd.grad(losses.sum(), z, retain_graph=True, allow_unused=True)
        z.requires_grad_(False)
        if slopes is None:
            raise TypeError("ImplicitMLE needs an f that is differentiable in z")
        return average(losses), slopes
