"""The score-function estimator (REINFORCE) with baselines."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._choices import check_choice
from directmax._transforms import refuse_in_transforms
from directmax.distributions import Categorical, DiscreteDistribution, Gibbs, PairwiseBinary
from directmax.estimators._base import Estimate, Estimator, average, check_num_samples
from directmax.objectives import Objective, evaluate

BASELINES = ("auto", "leave-one-out", "running-mean", "none")
DECAY = 0.99


class ScoreFunction(Estimator):
    r"""∇E_q[f] = E_q[(f(z) − β) ∇log q(z)], for any β that does not depend on z.

    Unbiased, needs values of f only, evaluates it once a sample, and knows nothing of the direction
    in which f falls: its variance is that of (f − β) times the score. The baseline β:

    - "leave-one-out": for each of S ≥ 2 samples the mean of f over the other S − 1 (RLOO). The
      estimate is Σ_s (f(z_s) − f̄) ∇log q(z_s) / (S − 1). With f + log q in place of f it is the
      gradient, at fixed samples, of half the sample variance of f + log q (VarGrad).
    - "running-mean": the exponentially weighted mean of f over the batches of earlier calls in
      training mode, one number for all problems; 0 at the first call. It is a buffer, saved with
      the module.
    - "none": β = 0.

    Takes independent variables, a `Gibbs`, and `PairwiseBinary` with perturbation="states", whose
    samples are exact. Perturb-and-MAP samples are not of q, and are refused.

    Args:
        num_samples: S, draws of z.
        baseline: as above; "auto" is leave-one-out for several samples, else running-mean.

    Raises:
        TypeError, ValueError: `num_samples` < 1, leave-one-out with one sample, an unknown
            baseline; at the call, a distribution whose samples have no tractable log-probability.

    Example:
        >>> from directmax import Categorical
        >>> logits = torch.zeros(1, 1, 2, requires_grad=True)
        >>> g = torch.Generator().manual_seed(0)
        >>> estimator = ScoreFunction(num_samples=1000)
        >>> loss = estimator(Categorical(logits), lambda z: z[..., 0, 1], generator=g).loss
        >>> loss.sum().backward()
        >>> bool((logits.grad[0, 0, 1] - 0.25).abs() < 0.01)  # σ′(0)
        True

    Reference: Williams 1992; Kool et al. 2019 (leave-one-out); Richter et al. 2020 (VarGrad).
    """

    unbiased: ClassVar[bool] = True
    running_mean: Tensor
    running_weight: Tensor

    def __init__(
        self,
        *,
        num_samples: int = 1,
        baseline: Literal["auto", "leave-one-out", "running-mean", "none"] = "auto",
    ) -> None:
        super().__init__()
        self.num_samples = check_num_samples(num_samples)
        check_choice("baseline", baseline, BASELINES)
        if baseline == "auto":
            baseline = "leave-one-out" if num_samples > 1 else "running-mean"
        if baseline == "leave-one-out" and num_samples < 2:
            raise ValueError(
                f"baseline='leave-one-out' needs num_samples of at least 2, got {num_samples}"
            )
        self.baseline = baseline
        if baseline == "running-mean":
            # Not of inference mode, where the estimator may be made.
            with torch.inference_mode(False):
                self.register_buffer("running_mean", torch.zeros(()))
                # Of the calls so far; 1 in the end.
                self.register_buffer("running_weight", torch.zeros(()))

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        if isinstance(q, PairwiseBinary):
            if q.perturbation != "states":
                raise ValueError(
                    "ScoreFunction needs samples of q, and perturb-and-MAP samples are not: use "
                    "ClampedArgmax, or PairwiseBinary(…, perturbation='states')"
                )
        elif not isinstance(q, (Categorical, Gibbs)):
            raise TypeError(
                "ScoreFunction needs a Categorical, or a PairwiseBinary perturbed on its states, "
                f"or a Gibbs, got {type(q).__name__}; use Gibbs on its structure, if "
                "that has sums, or ClampedArgmax or Direct"
            )
        z = q.sample(self.num_samples, generator=generator)
        losses = evaluate(objective, z)  # (s, b)
        weight = self._centred(losses.detach())
        return Estimate(loss=q.attach_log_prob(average(losses), z, weight), sample=z)

    def _has_state(self) -> bool:
        return self.baseline == "running-mean"

    def _centred(self, losses: Float[Tensor, "s b"]) -> Float[Tensor, "s b"]:
        """f − β."""
        if self.baseline == "none":
            return losses
        if self.baseline == "leave-one-out":
            # f_s − mean of the others = (f_s − f̄) S/(S − 1). Relative to the first sample, equal
            # losses are exactly 0.
            relative = losses - losses[:1]
            return (relative - relative.mean(0)) * (self.num_samples / (self.num_samples - 1))
        tiny = torch.finfo(self.running_weight.dtype).tiny
        mean = self.running_mean / self.running_weight.clamp_min(tiny)
        centred = losses - mean.to(losses)
        if self.training and losses.numel() and not losses.is_meta:
            refuse_in_transforms("the running mean of ScoreFunction", "use .eval() or more samples")
            with torch.no_grad():
                latest = losses.mean().to(self.running_mean)
                # A batch that overflowed must not stay in the mean.
                rate = (1 - DECAY) * latest.isfinite().to(latest.dtype)
                latest = latest.nan_to_num(0.0, 0.0, 0.0)
                self.running_mean.lerp_(latest, rate)
                self.running_weight.lerp_(torch.ones_like(rate), rate)
        return centred

    def latest(self) -> dict[str, float]:
        """The running mean, in nats; reads it."""
        if self.baseline != "running-mean" or not self.running_weight:
            return {}
        return {"baseline": float(self.running_mean / self.running_weight)}
