"""The direct estimator without its bias."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.distributions import Categorical, DiscreteDistribution
from directmax.estimators._base import Estimate, average, check_independent
from directmax.estimators._direct import Direct
from directmax.estimators._local_expectation import local_gradient
from directmax.objectives import Objective
from directmax.schedules import Schedule


class CorrectedDirect(Direct):
    r"""`Direct` plus its expected error: unbiased at every ε, for independent variables.

    Given the other variables of the sample, the noise of variable i is fresh, and the mean of the
    difference of argmaxes has a closed form, as has the derivative that it approximates. Their
    difference is added:

        (z*_i − z^ε_i)/ε − (softmax(h_i) − softmax(h_i − ε f̃_i))/ε + q_i (f̃_i − E_{q_i} f̃_i).

    The first two terms are the direct estimate as a control variate of mean zero, as in REBAR; the
    third is the local expectation gradient, whose mean is ∇E_q[f]. Needs the same n(k−1)+1
    evaluations of f as `Direct`, and no derivative of it.

    **What it is for.** It shows what of the error of `Direct` is bias: with it ε is a choice of
    variance alone. It is not the best unbiased estimator. Given the other variables the first two
    terms have mean zero and the third does not vary, so they are uncorrelated, and the best
    multiple of the control variate is zero: that is `LocalExpectation`, with less variance at every
    ε (proof in `docs/mathematics.md`).

    Args:
        epsilon: ε > 0 in 1/nats, a schedule of it, or "auto": here a step for each variable of each
            problem, scale over the deviation of its own f̃_i, which does not depend on its own
            noise; so the correction is exact with it too.
        scale: for "auto": the step in standard deviations of the losses, or a schedule of it.
        two_sided: central difference.
        num_samples: Gumbel draws to average over.

    Raises:
        TypeError, ValueError: as `Direct`; at the call, variables that are not independent.

    Example:
        >>> import torch
        >>> from directmax import Categorical
        >>> logits = torch.zeros(10_000, 1, 2, requires_grad=True)
        >>> g = torch.Generator().manual_seed(0)
        >>> estimator = CorrectedDirect(epsilon=5.0)
        >>> estimate = estimator(Categorical(logits), lambda z: z[..., 0, 1], generator=g)
        >>> estimate.loss.mean().backward()
        >>> bool((logits.grad[:, 0, 1].sum() - 0.25).abs() < 0.01)  # Direct: 0.1 at this ε
        True

    Reference: directmax, after section 6 of Lorberbom et al. 2019.
    """

    unbiased: ClassVar[bool] = True
    _winner_only: ClassVar[bool] = False
    _pooled: ClassVar[tuple[int, ...]] = (0, 3)

    def __init__(
        self,
        epsilon: float | Schedule | Literal["auto"] = "auto",
        *,
        scale: float | Schedule = 1.0,
        two_sided: bool = False,
        num_samples: int = 1,
    ) -> None:
        super().__init__(epsilon, scale=scale, two_sided=two_sided, num_samples=num_samples)

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        check_independent("CorrectedDirect", q, "; use ClampedArgmax, which is unbiased there")
        return super()._estimate(q, objective, generator)

    def _attach(
        self,
        q: DiscreteDistribution,
        loss: Float[Tensor, " b"],
        upper: Float[Tensor, "s b n k"],
        lower: Float[Tensor, "s b n k"],
        epsilon: Tensor | float,
        changes: Float[Tensor, "s_or_1 b n k"],
    ) -> Float[Tensor, " b"]:
        assert isinstance(q, Categorical)  # checked above
        each = self._inverse(epsilon)
        each = each.unsqueeze(-1) if isinstance(each, Tensor) else each
        error = local_gradient(q, changes) - self.expected_difference(q, changes, epsilon)
        return q.with_gradient(loss, average(upper - lower) * each + error)
