"""Distributions with given noise, random potentials and gradients of one call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from directmax import Categorical, Estimate, Estimator, PairwiseBinary
from directmax.distributions import DiscreteDistribution
from reference import Function


class FixedNoise(Categorical):
    """Independent variables whose Gumbel noise `(s, b, n, k)` is given.

    An estimator that asks for fresh noise, once or several times as much, is given the same again.
    """

    def __init__(self, logits: Tensor, noise: Tensor) -> None:
        super().__init__(logits)
        self.fixed = noise

    def noise(self, num_samples: int, *, generator: torch.Generator | None = None) -> Tensor:
        assert num_samples % len(self.fixed) == 0
        assert self.fixed.shape[1:] == self.logits.shape
        return self.fixed.repeat(num_samples // len(self.fixed), 1, 1, 1)


class FixedPairs(PairwiseBinary):
    """Coupled variables whose noise is given; None for drawn noise."""

    def __init__(
        self, unary: Tensor, pairwise: Tensor, noise: Tensor | None = None, **settings: object
    ) -> None:
        super().__init__(unary, pairwise, **settings)
        self.fixed = noise

    def noise(self, num_samples: int, *, generator: torch.Generator | None = None) -> Tensor:
        if self.fixed is None:
            return super().noise(num_samples, generator=generator)
        assert self.fixed.shape[:2] == (num_samples, self.batch_size)
        return self.fixed


def coupled_distribution() -> DiscreteDistribution:
    """A distribution that is no `Categorical`, for estimators that need independent variables."""
    nothing = dict.fromkeys(DiscreteDistribution.__abstractmethods__)
    return type("Coupled", (DiscreteDistribution,), nothing)()


def random_logits(*sizes: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*sizes, generator=g, dtype=torch.float64).requires_grad_()


def random_noise(*sizes: int, seed: int = 1) -> Tensor:
    """Gumbel noise, drawn as −log(−log u), not by the package."""
    g = torch.Generator().manual_seed(seed)
    uniform = torch.rand(*sizes, generator=g, dtype=torch.float64)
    return -(-uniform.log()).log()


def seeded(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logit_gradient(estimate: Estimate, logits: Tensor) -> Tensor:
    """The gradient of the sum of the losses, which is each problem's own."""
    (gradient,) = torch.autograd.grad(estimate.loss.sum(), logits)
    return gradient


def independent(logits: Tensor, noise: Tensor | None = None) -> DiscreteDistribution:
    """The distribution of most tests: independent variables, with given or drawn noise."""
    return Categorical(logits) if noise is None else FixedNoise(logits, noise)


def gradient_of(
    estimator: Estimator,
    logits: Tensor,
    objective: Function,
    *,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
    distribution: Callable[..., DiscreteDistribution] = independent,
) -> Tensor:
    """∂(Σ_b loss)/∂logits of one call, `(b, n, k)`."""
    leaf = logits.detach().clone().requires_grad_()
    q = distribution(leaf, noise)
    return logit_gradient(estimator(q, objective, generator=generator), leaf)


class Alive:
    """Something whose death can be watched."""


class Watched(torch.autograd.Function):
    """The identity, whose node in the graph keeps an object alive."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor, guard: Alive) -> Tensor:
        ctx.guard = guard
        return value.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
