"""Local expectation gradients: each variable summed out given a sample of the others."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import check_count, check_flag
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_independent,
    check_num_samples,
    losses_at,
    table_evaluations,
)
from directmax.estimators._sampled_variables import (
    sampled_changes,
    subset_evaluations,
    subset_of,
)
from directmax.objectives import Objective


class LocalExpectation(Estimator):
    r"""∂/∂h_i E_q[f] ≈ Σ_j ∂q_i(j)/∂h_i · f(z_1, …, z_i = j, …, z_n), with z ∼ q.

    Unbiased for independent variables: given the others, variable i is summed out exactly, which
    is Rao-Blackwellisation of the score-function estimator. Needs no ε, and f only at discrete
    states, without its derivative: n(k−1)+1 evaluations a sample without gradient and one with, the
    same as `Direct`. For n = 1 the gradient with respect to the logits is exact.

    For many variables `num_variables=m` looks at m of the n in each sample, drawn anew, with weight
    n/m: m(k−1)+1 evaluations, still unbiased. With `slope=True` the others are not left out but
    predicted by the derivative of f, whose error is what the m variables correct, unbiased too:
    one pass backward more, and for an f that is nearly linear in z almost no more variance than
    with all. See `docs/mathematics.md`, sampled variables.

    Args:
        num_samples: draws of z to average over.
        num_variables: how many variables are summed out in each sample; all, if None or n ≤ m.
        slope: predict the others by the derivative of f, which must exist at one-hot z.

    Raises:
        TypeError, ValueError: `num_samples` < 1, `num_variables` < 1; `slope` without
            `num_variables`; at the call, a distribution whose variables are not independent, or an
            f without derivative.

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

    def __init__(
        self, *, num_samples: int = 1, num_variables: int | None = None, slope: bool = False
    ) -> None:
        super().__init__()
        self.num_samples = check_num_samples(num_samples)
        self.num_variables = num_variables
        if num_variables is not None:
            self.num_variables = check_count("num_variables", num_variables)
        elif slope:
            raise ValueError("slope=True predicts variables left out by num_variables: give it")
        self.slope = check_flag("slope", slope)

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """m(k−1)+1 a sample, m = n unless `num_variables` is less; k in all for n = 1."""
        if (few := subset_of(self.num_variables, num_variables)) is not None:
            return subset_evaluations(self.num_samples, few, num_values)
        return table_evaluations(self.num_samples, num_variables, num_values)

    def extra_repr(self) -> str:
        """The settings, for `repr`; what concerns a subset of the variables where there is one."""
        if self.num_variables is None:
            return f"num_samples={self.num_samples}"
        return super().extra_repr()

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        q = check_independent("LocalExpectation", q, "; use ClampedArgmax or Direct")
        z = q.sample(self.num_samples, generator=generator)
        if (few := subset_of(self.num_variables, q.num_variables)) is not None:
            loss, changes = sampled_changes(q, objective, z, few, self.slope, generator)
        else:
            loss, changes = losses_at(q, objective, z)  # (b,), (s, b, n, k)
        return Estimate(loss=q.with_gradient(loss, local_gradient(q, changes)), sample=z)


@torch.no_grad()
def local_gradient(q: Categorical, changes: Float[Tensor, "s b n k"]) -> Float[Tensor, "b n k"]:
    """mean_s q_i (f̃_i − E_{q_i} f̃_i): the gradient of each variable's own expectation of f̃."""
    # A constant added to a row does not move the gradient of a softmax; without it, losses of
    # hundreds of nats would cancel in float32.
    probs = q.probs
    impossible = probs == 0
    finite = torch.where(impossible, changes.amin(-1, keepdim=True), changes)
    finite = torch.where(finite.isfinite() | ~impossible, finite, 0.0)
    advantage = average(finite - finite.mean(-1, keepdim=True))
    return probs * (advantage - (probs * advantage).sum(-1, keepdim=True))
