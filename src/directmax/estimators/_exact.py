"""Enumeration: the sum over all states."""

from __future__ import annotations

from typing import ClassVar

import torch

from directmax._validation import LARGEST, check_count
from directmax.distributions import DEFAULT_MAX_STATES, DiscreteDistribution, number_of_states
from directmax.estimators._base import Estimate, Estimator
from directmax.objectives import Objective, state_losses


class Exact(Estimator):
    r"""E_q[f] = Σ_z q(z) f(z), by enumeration of all k^n states. No variance, no bias.

    Evaluates f k^n times, differentiably.

    Args:
        max_states: refuse to enumerate more states than this.

    Raises:
        ValueError: at the call, k^n > `max_states`; the message holds the count.

    Example:
        >>> import torch
        >>> from directmax import Categorical
        >>> q = Categorical(torch.zeros(1, 2, 2))
        >>> Exact()(q, lambda z: z[..., 1].sum(-1)).loss
        tensor([1.])

    Reference: Lorberbom et al. 2019, eq. 2 (there called unbiased).
    """

    unbiased: ClassVar[bool] = True

    def __init__(self, *, max_states: int = DEFAULT_MAX_STATES) -> None:
        super().__init__()
        self.max_states = check_count("max_states", max_states, maximum=LARGEST)

    def _evaluations(self, num_variables: int, num_values: int) -> int:
        """k^n."""
        return number_of_states(num_variables, num_values, LARGEST)

    def _estimate(
        self, q: DiscreteDistribution, objective: Objective, generator: torch.Generator | None
    ) -> Estimate:
        log_probs = q.log_prob_table(max_states=self.max_states)  # (b, K)
        losses = state_losses(
            objective,
            (q.batch_size, q.num_variables, q.num_values),
            max_states=self.max_states,
            dtype=q.dtype,
            device=q.device,
        )
        # At a forbidden state the loss may be infinite.
        losses = torch.where(log_probs == -torch.inf, 0.0, losses)
        loss = (log_probs.exp() * losses).sum(-1)
        # Infinite elsewhere, it has no gradient: named as NaN is.
        return Estimate(loss=loss.masked_fill(loss.isinf(), torch.nan), sample=None)
