"""Random pairwise binary problems, for the tests of this folder."""

from __future__ import annotations

import torch
from torch import Tensor

from reference import gibbs_probs, pairwise_scores

EXACT = {"rtol": 0, "atol": 1e-9}


def random_problem(
    batch: int, n: int, *, seed: int = 0, scale: float = 1.0, gradient: bool = False
) -> tuple[Tensor, Tensor]:
    """unary `(b, n, 2)`, pairwise `(b, P)`, of both signs, in float64."""
    g = torch.Generator().manual_seed(seed)
    unary = scale * torch.randn(batch, n, 2, generator=g, dtype=torch.float64)
    pairwise = scale * torch.randn(batch, n * (n - 1) // 2, generator=g, dtype=torch.float64)
    return unary.requires_grad_(gradient), pairwise.requires_grad_(gradient)


def seeded(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_normalizer(unary: Tensor, pairwise: Tensor) -> Tensor:
    """log Σ_z e^{h(z)}, over the states one by one."""
    return torch.logsumexp(pairwise_scores(unary, pairwise), -1)


def entropy(unary: Tensor, pairwise: Tensor) -> Tensor:
    """−Σ_z q(z) log q(z), with 0 log 0 = 0."""
    return torch.special.entr(gibbs_probs(unary, pairwise)).sum(-1)
