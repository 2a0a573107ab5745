"""The step at which the best z of a linear loss overtakes the sample."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.distributions import PerturbedArgmax
from directmax.objectives import LinearCost

FAR = 1e3
"""So many times the usual step, and the potentials, that the loss alone decides."""


@torch.no_grad()
def crossing_step(
    q: PerturbedArgmax,
    objective: LinearCost,
    noise: Float[Tensor, "s b n k"],
    z: Float[Tensor, "s b n k"],
    changes: Float[Tensor, "s b n k"],
    usual: Float[Tensor, " b"],
) -> Float[Tensor, " b"]:
    r"""ε = 2 Σ (h + γ)(z* − z^∞) / Σ f(z* − z^∞), one for the whole batch.

    z^∞ is the z in Z of the least loss. Along ε, h + γ − ε f of z* falls below that of z^∞ where
    ε is the ratio of the two differences. At twice that z^∞ is on average as far ahead as z* was.
    Both differences are between two z in Z, so whatever is constant on Z, or moves single variables
    out of it, cancels; and the ratio follows the sizes of weights, noise and loss.

    Args:
        q: the distribution.
        objective: f.
        noise: γ.
        z: z*, the argmax under it.
        changes: f̃, up to a constant for each variable.
        usual: the step by the deviation of single changes, where nothing can be gained.

    Returns:
        `(b,)`, all equal, so that problems weigh in the mean loss what they weigh in the loss.
    """
    scores = q.unary + noise
    size = scores.masked_fill(scores == -torch.inf, 0.0).abs().amax((0, 2, 3))
    far = FAR * (1 + size) * usual
    best = q.argmax(noise, -far[:, None, None] * changes)  # z^∞
    lead = q.score(z) - q.score(best) + (noise * (z - best)).sum((-2, -1))  # (s, b), at least 0
    gain = objective(z) - objective(best)
    counts = lead.isfinite() & gain.isfinite()
    lead, gain = (torch.where(counts, each, 0.0).sum() for each in (lead, gain))
    apart = (lead > 0) & (gain > 0)
    return torch.where(apart, 2 * lead / torch.where(apart, gain, 1.0), usual)
