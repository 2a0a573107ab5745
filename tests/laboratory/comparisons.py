"""Problems, and an estimator of which everything is known."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from directmax import Estimate, Estimator, GradientComparison, compare_gradients
from reference import Interaction
from significance import ALPHA

SURE = 1 - ALPHA
"""Intervals at the level of the suite: they fail on a right implementation as rarely."""


def logits_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(*shape: int) -> Interaction:
    return Interaction(*shape).requires_grad_(False)


def compared(
    q: Any, objective: Any, estimator: Estimator, seed: int = 0, **settings: Any
) -> GradientComparison:
    return compare_gradients(
        q, objective, {"it": estimator}, generator=torch.Generator().manual_seed(seed), **settings
    )


def norm(vectors: Tensor) -> float:
    """√mean_b‖v_b‖²."""
    return float(vectors.flatten(1).square().sum(-1).mean().sqrt())


class Noisy(Estimator):
    """The gradient `mean` plus independent normal noise: everything about it is known."""

    unbiased: ClassVar[bool] = False

    def __init__(self, mean: Tensor, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def evaluations(self, num_variables: int, num_values: int) -> int:
        return 0

    def _estimate(self, q: Any, objective: Any, generator: torch.Generator | None) -> Estimate:
        copies = q.batch_size // len(self.mean)
        noise = torch.randn(q.logits.shape, generator=generator, dtype=torch.float64)
        gradient = self.mean.repeat(copies, 1, 1) + self.deviation * noise
        return Estimate(loss=(q.logits * gradient).sum((-2, -1)), sample=None)
