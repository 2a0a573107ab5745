"""Two antithetic samples of binary variables: ARM and DisARM."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.distributions import DiscreteDistribution
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_independent,
    check_num_samples,
)
from directmax.objectives import Objective, evaluate


class _Antithetic(Estimator):
    """Pairs z = 1[φ + δ > 0], z̃ = 1[φ − δ > 0], with φ = h(1) − h(0) and δ logistic."""

    unbiased: ClassVar[bool] = True
    needs_binary: ClassVar[bool] = True

    def __init__(self, *, num_samples: int = 1) -> None:
        super().__init__()
        self.num_samples = check_num_samples(num_samples)

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """Two a pair."""
        return 2 * self.num_samples

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        name = type(self).__name__
        q = check_independent(name, q, "; use Direct")
        if q.num_values != 2:
            raise ValueError(
                f"{name} needs binary variables (k = 2), got {q.num_values} values; use "
                "ScoreFunction(num_samples=2) or LocalExpectation"
            )
        noise = q.noise(self.num_samples, generator=generator)
        # δ is a difference of two Gumbels: −δ is the same pair in the other order.
        z = q.argmax(torch.cat([noise, noise.flip(-1)]))  # (2s, b, n, 2)
        losses = evaluate(objective, z)  # (2s, b)
        with torch.no_grad():
            first, second = losses.unflatten(0, (2, self.num_samples))
            on, other = z[..., 1].unflatten(0, (2, self.num_samples))  # (s, b, n)
            logit = q.logits[..., 1] - q.logits[..., 0]  # φ, (b, n)
            factor = self._factor(on, other, noise[..., 1] - noise[..., 0], logit)
            factor = factor.masked_fill(logit.isinf(), 0.0)  # only one value is allowed
            gradient = average((first - second).unsqueeze(-1) * factor)  # (b, n)
            both = torch.stack([-gradient, gradient], -1)
        return Estimate(loss=q.with_gradient(losses.mean(0), both), sample=z)

    @staticmethod
    @abstractmethod
    def _factor(
        on: Float[Tensor, "s b n"],
        other: Float[Tensor, "s b n"],
        delta: Float[Tensor, "s b n"],
        logit: Float[Tensor, "b n"],
    ) -> Float[Tensor, "s b n"]:
        """What f(z) − f(z̃) is multiplied by."""


class Arm(_Antithetic):
    r"""∂E_q[f]/∂φ_i = E_u[(f(z) − f(z̃)) (½ − u_i)], z = 1[u < σ(φ)], z̃ = 1[1 − u < σ(φ)].

    The augment-REINFORCE-merge estimator of independent binary variables with logits φ = h(1) −
    h(0): two samples from one uniform u and its mirror image 1 − u. Unbiased, needs values of f
    only, two of them a draw. Here u = σ(−δ), with δ the difference of the two Gumbels, so that z is
    the argmax of h + γ and z̃ that with the Gumbels exchanged, and ½ − u = ½ tanh(δ/2).

    `loss` and the gradient of everything inside f are means over both samples.

    Args:
        num_samples: pairs to average over.

    Raises:
        TypeError, ValueError: `num_samples` < 1; at the call, variables that are not independent or
            not binary.

    Example:
        >>> from directmax import Categorical
        >>> logits = torch.zeros(1, 3, 2, requires_grad=True)
        >>> Arm()(Categorical(logits), lambda z: z[..., 1].sum(-1)).sample.shape
        torch.Size([2, 1, 3, 2])

    Reference: Yin and Zhou 2019, ARM: Augment-REINFORCE-merge gradient, theorem 1.
    """

    @staticmethod
    def _factor(on: Tensor, other: Tensor, delta: Tensor, logit: Tensor) -> Tensor:
        return 0.5 * torch.tanh(0.5 * delta)


class DisArm(_Antithetic):
    r"""∂E_q[f]/∂φ_i = E[½ (f(z) − f(z̃)) (z_i − z̃_i) σ(|φ_i|)], for the antithetic pair of `Arm`.

    ARM with the noise that is left summed out, given the two samples: never more variance, at the
    same two evaluations of f, values only (found independently as U2G). Unbiased, for independent
    binary variables. Where z_i = z̃_i, as with saturated logits, the entry is zero.

    Args:
        num_samples: pairs to average over.

    Raises:
        TypeError, ValueError: as `Arm`.

    Example:
        >>> from directmax import Categorical
        >>> logits = torch.zeros(1, 1, 2, requires_grad=True)
        >>> loss = DisArm()(Categorical(logits), lambda z: z[..., 0, 1]).loss
        >>> loss.sum().backward()
        >>> logits.grad  # at φ = 0 and n = 1 it is exact
        tensor([[[-0.2500,  0.2500]]])

    Reference: Dong, Mnih and Tucker 2020, DisARM; Yin et al. 2020 (U2G).
    """

    @staticmethod
    def _factor(on: Tensor, other: Tensor, delta: Tensor, logit: Tensor) -> Tensor:
        return 0.5 * (on - other) * torch.sigmoid(logit.abs())
