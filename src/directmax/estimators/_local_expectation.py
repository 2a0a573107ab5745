"""Local expectation gradients: each variable summed out given a sample of the others."""

from __future__ import annotations

from typing import ClassVar

import torch

from directmax.distributions import Categorical, DiscreteDistribution
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_num_samples,
    losses_at,
)
from directmax.objectives import Objective


class LocalExpectation(Estimator):
    r"""∂/∂h_i E_q[f] ≈ Σ_j ∂q_i(j)/∂h_i · f(z_1, …, z_i = j, …, z_n), with z ∼ q.

    Unbiased for independent variables: given the others, variable i is summed out exactly, which
    is Rao-Blackwellisation of the score-function estimator. Needs no ε, and f only at discrete
    states, without its derivative: n(k−1)+1 evaluations a sample
    without gradient and one with, the same as `Direct`. For n = 1
    the gradient with respect to the logits is exact.

    Args:
        num_samples: draws of z to average over.

    Raises:
        TypeError, ValueError: `num_samples` < 1; at the call, a distribution whose variables are
            not independent.

    Example:
        >>> import torch
        >>> from directmax import Categorical
        >>> logits = torch.zeros(1, 1, 2, requires_grad=True)
        >>> LocalExpectation()(Categorical(logits), lambda z: z[..., 0, 1]).loss.sum().backward()
        >>> logits.grad  # ∂σ/∂h at 0
        tensor([[[-0.2500,  0.2500]]])

    Reference: Titsias and Lázaro-Gredilla 2015, Local Expectation Gradients.
    """

    unbiased: ClassVar[bool] = True

    def __init__(self, *, num_samples: int = 1) -> None:
        super().__init__()
        self.num_samples = check_num_samples(num_samples)

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        if not isinstance(q, Categorical):
            raise TypeError(
                "LocalExpectation needs independent variables (Categorical), got "
                f"{type(q).__name__}; use Direct"
            )
        z = q.sample(self.num_samples, generator=generator)
        loss, changes = losses_at(q, objective, z)  # (b,), (s, b, n, k)
        # A constant added to a row does not move the gradient of a softmax; without it, losses of
        # hundreds of nats would cancel in float32.
        advantage = average(changes - changes.mean(-1, keepdim=True))  # (b, n, k)
        surrogate = (q.probs * advantage).sum((-2, -1))
        return Estimate(loss=loss + (surrogate - surrogate.detach()), sample=z)

    def extra_repr(self) -> str:
        """The settings, for `repr`."""
        return f"num_samples={self.num_samples}"
