"""Each variable is moved towards its posterior given a sample of the others."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import check_number
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_independent,
    check_num_samples,
    check_scheduled,
    losses_at,
    table_evaluations,
)
from directmax.objectives import Objective
from directmax.schedules import Schedule, at


class LocalDivergence(Estimator):
    r"""Moves q_i towards p_i(j) ∝ exp(−f(z_1, …, z_i = j, …, z_n)/T), z ∼ q, by an α-divergence.

    For a training loss E_q[f] + T·KL(q ‖ uniform), such as a variational auto-encoder's: with
    f = −log p(x|z) and T = 1, p_i is the posterior of variable i given the others. The estimate and
    the gradient of that KL term, which the model adds as always, are together the gradient of
    T · Σ_i D_α(p_i, q_i), where

        D_α(p, q) = (1 − Σ_j p(j)^α q(j)^{1−α}) / (α(1 − α)),

    the inclusive KL(p ‖ q) for α → 1, which covers every value that p allows, and the exclusive
    KL(q ‖ p) for α → 0, which seeks one. With respect to the potentials that is

        T · (q_j Σ_l p_l^α q_l^{1−α} − p_j^α q_j^{1−α}) / α,

    at α = 1 simply T·(q − p); at α = 0 the estimate is that of `LocalExpectation`. No entry exceeds
    T/α, however large the losses are: with α > 0 q stays soft while the decoder is poor. Whatever
    α, the gradient vanishes where q = p, so for n = 1 every α leads to the exact posterior; with
    α = 1 training is expectation-maximisation with an encoder. For n > 1 only α = 0 minimises the
    bound. So training begins with α = 1 and ends with α = 0.

    Args:
        alpha: α from 0 to 1, or a schedule of it.
        kl_weight: T > 0, the weight of the KL term that is added, or a schedule of it.
        num_samples: draws of z to average over.

    Raises:
        TypeError, ValueError: α outside [0, 1], T ≤ 0, `num_samples` < 1; at the call, a
            distribution whose variables are not independent.

    Example:
        >>> import torch
        >>> from directmax import Categorical
        >>> logits = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
        >>> q = Categorical(logits)
        >>> f = lambda z: z[..., 0, 0] * 1000  # the second value is far better: p = (0, 1)
        >>> (LocalDivergence(alpha=1.0)(q, f).loss + q.kl_to_uniform()).sum().backward()
        >>> logits.grad, q.probs.detach()  # q - p
        (tensor([[[ 0.7311, -0.7311]]]), tensor([[[0.7311, 0.2689]]]))

    Reference: the α-divergence of Minka 2005; α = 1 with one variable is the update of the encoder
    in reweighted wake–sleep (Bornschein and Bengio 2015) with the exact posterior; α = 0 is Titsias
    and Lázaro-Gredilla 2015. The sum over conditionals is ours.
    """

    unbiased: ClassVar[bool] = False

    def __init__(
        self,
        alpha: float | Schedule = 1.0,
        *,
        kl_weight: float | Schedule = 1.0,
        num_samples: int = 1,
    ) -> None:
        super().__init__()
        first = check_number("alpha", at(alpha, 0))
        if not 0 <= first <= 1:
            raise ValueError(f"alpha must be from 0 to 1, got {first}")
        self.alpha = alpha
        self.kl_weight = check_scheduled("kl_weight", kl_weight)
        self.num_samples = check_num_samples(num_samples)
        self._latest: float | None = None

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """n(k−1)+1 a sample; k in all for n = 1."""
        return table_evaluations(self.num_samples, num_variables, num_values)

    def latest(self) -> dict[str, float]:
        """α at the latest call."""
        return {} if self._latest is None else {"alpha": self._latest}

    def _has_state(self) -> bool:
        return callable(self.alpha) or callable(self.kl_weight)

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        q = check_independent("LocalDivergence", q, "; use ClampedArgmax or Direct")
        alpha, weight = self._now(self.alpha), self._now(self.kl_weight)
        vars(self)["_latest"] = alpha  # past a module's look at what is set
        z = q.sample(self.num_samples, generator=generator)
        loss, changes = losses_at(q, objective, z)  # (b,), (s, b, n, k)
        gradient = divergence_gradient(q, changes, alpha, weight)
        return Estimate(loss=q.with_gradient(loss, gradient), sample=z)


@torch.no_grad()
def divergence_gradient(
    q: Categorical, changes: Float[Tensor, "s b n k"], alpha: float, kl_weight: float
) -> Float[Tensor, "b n k"]:
    """mean_s T · ∂D_α(p_i, q_i)/∂h_i less T · ∂KL(q_i ‖ uniform)/∂h_i; 0 where q may not be.

    With m_j = (ρ_j^α − 1)/α, ρ = p/q, the first is q_j (E_q m − m_j): no cancellation for small α,
    and m = log ρ in the limit. The second has −log q_j in place of m_j.
    """
    log_q = q.log_probs
    scores = -changes if kl_weight == 1 else changes / -kl_weight
    log_p = scores.log_softmax(-1)
    probs = log_q.exp()
    if alpha == 0:
        products = probs * log_p  # q (log ρ + log q)
    elif alpha == 1:
        products = log_p.exp_().sub_(probs).addcmul_(probs, log_q)
    else:
        power = (log_p - log_q).mul_(alpha)
        # ρ^α overflows where q is tiny and p is not; p^α q^{1−α} does not.
        far = (log_q + power).exp_().sub_(probs)
        near = power.clamp(max=1).expm1_().mul_(probs)
        products = torch.where(power > 1, far, near).div_(alpha).add_(probs * log_q)
    if q.forbids:
        products = products.masked_fill(log_q == -torch.inf, 0.0)
    gradient = average(probs * products.sum(-1, keepdim=True) - products)
    return gradient if kl_weight == 1 else kl_weight * gradient
