"""The conformance suite on coupled binary variables."""

from __future__ import annotations

import torch
from estimator_problems import (
    FixedPairs,
)
from torch import Tensor

from directmax.distributions import DiscreteDistribution
from reference import (
    Function,
    gibbs_probs,
    perturb_and_map_gradient,
    state_table,
)


class OverPairs:
    """Runs the suite on coupled binary variables; put it before the suite among the bases."""

    num_values = 2
    transforms = False
    exact_samples = False
    """Whether what it estimates is the Gibbs expectation, not that of the perturbed argmax."""

    @staticmethod
    def pairwise(logits: Tensor) -> Tensor:
        """Couplings of both signs, the same for every problem of a batch."""
        n = logits.shape[-2]
        pairs = torch.tensor([2.0, -1.5, 1.0])[: n * (n - 1) // 2]
        return pairs.to(logits.dtype).expand(len(logits), -1)

    def distribution(self, logits: Tensor, noise: Tensor | None = None) -> DiscreteDistribution:
        return FixedPairs(logits, self.pairwise(logits), noise)

    def expected_loss(self, logits: Tensor, objective: Function) -> Tensor:
        assert self.exact_samples
        probs = gibbs_probs(logits, self.pairwise(logits))
        return (probs * state_table(logits, objective)).sum(-1)

    def expected_gradient(self, logits: Tensor, objective: Function) -> Tensor:
        if self.exact_samples:
            leaf = logits.detach().clone().requires_grad_()
            total = self.expected_loss(leaf, objective).sum()
            return torch.autograd.grad(total, leaf)[0]
        n = logits.shape[-2]
        losses = state_table(logits, objective).detach()
        pairwise = self.pairwise(logits)
        rows = [
            perturb_and_map_gradient(*problem)[:n]
            for problem in zip(logits.detach(), pairwise, losses, strict=True)
        ]
        on = torch.stack(rows)
        return torch.stack([-on, on], -1)
