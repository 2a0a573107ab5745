"""Enumeration: the sum over all states."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._validation import LARGEST, check_count
from directmax.distributions import (
    DEFAULT_MAX_STATES,
    DiscreteDistribution,
    Gibbs,
    number_of_states,
)
from directmax.estimators._base import Estimate, Estimator
from directmax.objectives import Objective, evaluate_many, state_losses


class Exact(Estimator):
    r"""E_q[f] = Σ_z q(z) f(z), by enumeration of all k^n states. No variance, no bias.

    Evaluates f k^n times, differentiably. Of a `Gibbs` the states are the z in Z: the 1,140 subsets
    of 3 of 20 elements, not 2^20 assignments. They are found once for a structure, so keep it; only
    where Z differs from problem to problem, or a structure has potentials of its own (`Chain`),
    or f a table (`state_losses`), are they all k^n.

    Args:
        max_states: refuse to enumerate more states than this.

    Raises:
        ValueError: at the call, more states than `max_states`; the message holds the count.

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
        log_probs, losses = self._tables(q, objective)
        # At a forbidden state the loss may be infinite.
        losses = torch.where(log_probs == -torch.inf, 0.0, losses)
        loss = (log_probs.exp() * losses).sum(-1)
        # Infinite elsewhere, it has no gradient: named as NaN is.
        return Estimate(loss=loss.masked_fill(loss.isinf(), torch.nan), sample=None)

    def _tables(
        self, q: DiscreteDistribution, objective: Objective
    ) -> tuple[Float[Tensor, "b K"], Float[Tensor, "b K"]]:
        """log q and f of all states."""
        if isinstance(q, Gibbs) and not hasattr(objective, "state_losses"):
            members = q.log_prob_members(max_states=self.max_states)
            if members is not None:
                states, log_probs = members
                z = states.unsqueeze(1).expand(-1, q.batch_size, -1, -1)
                return log_probs, evaluate_many(objective, z).T
        log_probs = q.log_prob_table(max_states=self.max_states)
        shape = (q.batch_size, q.num_variables, q.num_values)
        return log_probs, state_losses(
            objective, shape, max_states=self.max_states, dtype=q.dtype, device=q.device
        )
