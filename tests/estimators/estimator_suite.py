"""How the conformance suite makes its problems, and what an estimator's tests may say of it."""

from __future__ import annotations

import torch
from estimator_problems import (
    gradient_of,
    independent,
    random_logits,
)
from torch import Tensor

from directmax import (
    Estimator,
)
from directmax.distributions import DiscreteDistribution
from reference import (
    Function,
    Interaction,
    expected_gradient,
    expected_loss,
)

EXACT = {"rtol": 0, "atol": 1e-9}
HALVES = [torch.bfloat16, torch.float16]


class Suite:
    """What the suite asks of an estimator's tests; see `EstimatorConformance`."""

    discrete = True
    samples = True
    num_values: int | None = None
    """The one k that the distribution has; None for any."""
    transforms = True
    """Whether function transforms can look in; else a pattern of the refusal."""
    compiles = True
    """Whether torch.compile makes one graph of it; else it works in pieces."""
    draws_per_sample = 1
    """Assignments in `sample` for each of `num_samples`."""
    shift_invariant = True
    """Whether a constant added to f leaves the gradient of every draw alone."""
    quiet = True
    """Whether equal losses give no gradient, whatever is drawn."""
    stateless = True
    """Whether a call leaves the next one alone."""
    twice = False
    """Whether the gradient can be differentiated again."""
    blind = True
    """Whether it has nothing of its own that sees how many values there are."""
    looks_again = False
    """Whether f of a plain function is also evaluated with gradient, at every sample."""

    def make(self, num_samples: int = 1) -> Estimator:
        raise NotImplementedError

    def distribution(self, logits: Tensor, noise: Tensor | None = None) -> DiscreteDistribution:
        """The distribution with these potentials of the single variables."""
        return independent(logits, noise)

    def expected_loss(self, logits: Tensor, objective: Function) -> Tensor:
        """E[f], by enumeration."""
        return expected_loss(logits, objective)

    def expected_gradient(self, logits: Tensor, objective: Function) -> Tensor:
        """What an unbiased estimator estimates, by enumeration."""
        return expected_gradient(logits, objective)

    def sizes(self, batch: int, num_variables: int, num_values: int) -> tuple[int, int, int]:
        return batch, num_variables, self.num_values or num_values

    def problem(self, *sizes: int) -> tuple[Tensor, Interaction]:
        """Logits and a loss; k is another where the distribution has one k only."""
        sizes = self.sizes(*sizes)
        return random_logits(*sizes), Interaction(*sizes)

    def gradient(
        self, estimator: Estimator, logits: Tensor, *rest: Function, **given: object
    ) -> Tensor:
        return gradient_of(estimator, logits, *rest, distribution=self.distribution, **given)
