"""The score function of the noise: unbiased for any argmax."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.distributions import Categorical, DiscreteDistribution, PerturbedArgmax
from directmax.estimators._base import (
    Estimate,
    Estimator,
    average,
    check_num_samples,
    instead_for,
)
from directmax.estimators._layer import check_linear, with_backward
from directmax.gumbel import EULER_GAMMA
from directmax.objectives import Objective, evaluate


class NoiseScore(Estimator):
    r"""∇E_γ[f(z*(h + γ))] = −E_γ[(f(z*) − β) ∇log p(γ)], for any argmax and any f.

    Moving h is moving the noise, whose density p is known: for Gaussian noise of deviation s it is
    γ/s², for Gumbel noise of scale s (1 − e^{−γ/s − c})/s. One maximisation and one evaluation of
    f a sample. Unbiased, with much variance: it knows nothing of how z* depends on h. The baseline
    β of a sample is the mean of f over the others. As a layer (`rsample`) it is the perturbed
    optimiser: exact on average for f linear in the mean of z.

    Args:
        num_samples: draws to average over, at least 2 for a baseline.

    Raises:
        TypeError, ValueError: `num_samples` < 1; at the call, a distribution other than
            `Categorical` and `PerturbedArgmax` with Gumbel or Gaussian noise.

    Example:
        >>> from directmax.structures import Subsets
        >>> weights = torch.zeros(1, 3, requires_grad=True)
        >>> q = PerturbedArgmax(weights, Subsets(3, 1), noise="gaussian")
        >>> g = torch.Generator().manual_seed(0)
        >>> z = NoiseScore(num_samples=1000).rsample(q, generator=g)[..., 1].mean(0)
        >>> z[0, 0].backward()  # the mean of the first grows with its weight
        >>> bool(weights.grad[0, 0] > 0.1)
        True

    Reference: Berthet et al. 2020, proposition 3.1; Abernethy et al. 2016.
    """

    unbiased: ClassVar[bool] = True

    def __init__(self, *, num_samples: int = 2) -> None:
        super().__init__()
        self.num_samples = check_num_samples(num_samples)

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        linear, z, score = self._draw(q, generator)
        losses = evaluate(objective, z)
        with torch.no_grad():
            gradient = (_centred(losses)[..., None, None] * score).mean(0)
        return Estimate(loss=linear.with_gradient(average(losses), gradient), sample=z)

    def _rsample(self, q: DiscreteDistribution, generator: torch.Generator | None) -> Tensor:
        linear, drawn, score = self._draw(q, generator)

        def backward(z: Tensor, slopes: Tensor) -> tuple[Tensor, ...]:
            # Where f is linear in z, ⟨∂f/∂z, z⟩ stands for it; slopes are those of a mean.
            values = ((slopes * len(z)).unsqueeze(0) * z.unsqueeze(1)).sum((-2, -1))
            own = values.diagonal().movedim(-1, 0)  # (s, b), with each draw's own slope
            if len(z) > 1:
                others = (values.sum(0) - own) / (len(z) - 1)
                own = own - others
            return ((own[..., None, None] * score).mean(0),)

        return with_backward((linear.potentials,), drawn, backward)

    def _draw(
        self, q: DiscreteDistribution, generator: torch.Generator | None
    ) -> tuple[Categorical | PerturbedArgmax, Float[Tensor, "s b n k"], Float[Tensor, "s b n k"]]:
        """q, z*, and −∇log p of its noise."""
        kind = getattr(q, "noise_kind", "gumbel")
        if not isinstance(q, (Categorical, PerturbedArgmax)) or kind not in ("gumbel", "gaussian"):
            instead = f" with {kind}; use ImplicitMLE or Direct"
            if not isinstance(q, PerturbedArgmax):
                instead = instead_for(q, "; use ClampedArgmax or Direct")
            raise TypeError(
                "NoiseScore needs a Categorical, or a PerturbedArgmax with Gumbel or Gaussian "
                f"noise, got {type(q).__name__}{instead}"
            )
        linear = check_linear("NoiseScore", q)
        noise = q.noise(self.num_samples, generator=generator)
        scale = q.scale if isinstance(q, PerturbedArgmax) else 1.0
        unit = noise / scale
        score = unit if kind == "gaussian" else 1 - (-unit - EULER_GAMMA).exp()
        structure = q.structure if isinstance(q, PerturbedArgmax) else None
        if structure is not None and len(structure.shape) == 1 and not structure.is_binary:
            score = torch.where(torch.arange(score.shape[-1], device=score.device) == 1, score, 0)
        # Noise on a forbidden value, or on a variable's only one, moves nothing.
        possible = (q.unary if isinstance(q, PerturbedArgmax) else q.logits).detach() > -torch.inf
        possible = possible & (possible.sum(-1, keepdim=True) > 1)
        return linear, q.argmax(noise), score * possible / scale

    def extra_repr(self) -> str:
        """The settings, for `repr`."""
        return f"num_samples={self.num_samples}"


def _centred(losses: Float[Tensor, "s b"]) -> Float[Tensor, "s b"]:
    """f less the mean over the other samples."""
    if len(losses) == 1:
        return losses
    relative = losses - losses[:1]
    return (relative - relative.mean(0)) * (len(losses) / (len(losses) - 1))
