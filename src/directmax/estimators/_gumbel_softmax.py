"""The softmax relaxation of the argmax, and its straight-through variant."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from directmax._transforms import once
from directmax._validation import check_flag
from directmax.distributions import DiscreteDistribution, PairwiseBinary
from directmax.estimators._base import (
    Estimate,
    Estimator,
    check_independent,
    check_num_samples,
    check_scheduled,
    losses_through,
)
from directmax.gumbel import one_hot_argmax
from directmax.objectives import Objective
from directmax.schedules import Schedule


class GumbelSoftmax(Estimator):
    r"""Replace the one-hot argmax by softmax((h + γ)/τ) and differentiate through it.

    Biased: relaxed, it is the exact gradient of an approximate objective, f at the relaxed sample,
    and `loss` is that objective: evaluate a model with `q.mode()` or `q.sample()`. f must be
    differentiable and make sense between the one-hot vertices. Evaluates f once a sample.

    Of coupled variables with noise on every state (`PairwiseBinary(perturbation="states")`) the
    softmax is over all 2^n states z, and f is taken at the mean state Σ_z w(z) z: time and memory
    O(2^n), which the argmax of the direct estimator does not need.

    Args:
        temperature: τ > 0, or a schedule of it.
        straight_through: pass the one-hot argmax forward and the relaxation's gradient backward.
        num_samples: Gumbel draws to average over.

    Raises:
        TypeError, ValueError: τ ≤ 0, `num_samples` < 1; at the call, a distribution of another
            kind; at the first call, an f that does not depend on z
            differentiably.

    Example:
        >>> import torch
        >>> from directmax import Categorical
        >>> logits = torch.zeros(1, 1, 3, requires_grad=True)
        >>> g = torch.Generator().manual_seed(0)
        >>> estimator = GumbelSoftmax(temperature=0.5)
        >>> estimate = estimator(Categorical(logits), lambda z: z[..., 0, 0], generator=g)
        >>> estimate.loss.sum().backward()
        >>> bool(logits.grad.abs().sum() > 0)
        True

    Reference: Jang et al. 2017; Maddison et al. 2017; Lorberbom et al. 2019, eq. 4.
    """

    unbiased: ClassVar[bool] = False
    needs_derivative: ClassVar[bool] = True

    def __init__(
        self,
        temperature: float | Schedule = 1.0,
        *,
        straight_through: bool = False,
        num_samples: int = 1,
    ) -> None:
        super().__init__()
        self.temperature = check_scheduled("temperature", temperature)
        self.straight_through = check_flag("straight_through", straight_through)
        self.num_samples = check_num_samples(num_samples)
        self._latest: float | None = None
        self._checked = False

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        z = self._rsample(q, generator)
        losses = losses_through("GumbelSoftmax", objective, z, self._checked)
        self._checked = True
        return Estimate(loss=losses.mean(0), sample=z.detach())

    def _rsample(self, q: DiscreteDistribution, generator: torch.Generator | None) -> Tensor:
        if isinstance(q, PairwiseBinary) and q.perturbation == "states":
            return self._over_states(q, generator)
        q = check_independent(
            "GumbelSoftmax",
            q,
            ": its softmax would sum over all states; use ImplicitMLE or Direct, or, for few "
            'binary variables, PairwiseBinary with perturbation="states"',
        )
        temperature = self._latest = self._now(self.temperature)
        logits = once(q.logits) if self.straight_through else q.logits
        noisy = logits + q.noise(self.num_samples, generator=generator)  # (s, b, n, k)
        z = (noisy / temperature).softmax(-1)
        return one_hot_argmax(noisy) - z.detach() + z if self.straight_through else z

    def _over_states(self, q: PairwiseBinary, generator: torch.Generator | None) -> Tensor:
        temperature = self._latest = self._now(self.temperature)
        noise = q.noise(self.num_samples, generator=generator)  # (s, b, 2^n)
        z = q.relaxed(noise, temperature)  # (s, b, n, 2)
        return q.argmax(noise) - z.detach() + once(z) if self.straight_through else z

    def latest(self) -> dict[str, float]:
        """τ of the latest call."""
        return {} if self._latest is None else {"temperature": self._latest}
