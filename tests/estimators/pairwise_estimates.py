"""Gradients of estimators under pairwise binary distributions, and losses with interactions."""

from __future__ import annotations

import torch
from estimator_problems import FixedPairs
from torch import Tensor

from directmax import Estimator
from reference import Function, all_states

PROBLEMS = {
    "attractive pair": ([[0.0, -2.0], [0.3, -1.5]], [3.0]),
    "repulsive pair": ([[0.0, 1.0], [0.0, 2.0]], [-4.0]),
    "frustrated": ([[0.0, 1.0], [0.0, 0.5], [0.2, 0.0]], [-2.0, 1.5, 2.0]),
    "attractive": ([[0.0, -3.0], [0.0, -2.0], [0.0, -3.0]], [2.5, 2.0, 2.5]),
}
"""Strongly coupled, n = 2 and 3."""


def problem(name: str) -> tuple[Tensor, Tensor]:
    """unary `(n, 2)`, pairwise `(P,)`."""
    unary, pairwise = PROBLEMS[name]
    return torch.tensor(unary, dtype=torch.float64), torch.tensor(pairwise, dtype=torch.float64)


def all_interactions(z: Tensor) -> Tensor:
    """f with a product of all variables in it: not separable, nor of pairs only."""
    bits = z[..., 1]
    weight = torch.tensor([1.0, -2.0, 0.5], dtype=z.dtype)[: bits.shape[-1]]
    parity = (2 * bits - 1).prod(-1)
    return (bits * weight).sum(-1) + 2 * parity


def losses_of(objective: Function, n: int) -> Tensor:
    """f of all states, `(K,)`."""
    return objective(all_states(n, 2).unsqueeze(1)).squeeze(1).detach()


def pair_gradients(
    estimator: Estimator,
    unary: Tensor,
    pairwise: Tensor,
    objective: Function,
    *,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
    perturbation: str = "unary",
) -> tuple[Tensor, Tensor]:
    """∂(Σ_b loss) by the unary `(b, n, 2)` and the pairwise potentials `(b, P)`."""
    unary, pairwise = (t.detach().clone().requires_grad_() for t in (unary, pairwise))
    q = FixedPairs(unary, pairwise, noise, perturbation=perturbation)
    loss = estimator(q, objective, generator=generator).loss.sum()
    return torch.autograd.grad(loss, [unary, pairwise])


def many_gradients(
    estimator: Estimator,
    unary: Tensor,
    pairwise: Tensor,
    objective: Function,
    draws: int,
    *,
    generator: torch.Generator,
    perturbation: str = "unary",
) -> Tensor:
    """Independent gradients by h_i(1) − h_i(0) and h_ij, `(draws, n + P)`, of one problem."""
    by_unary, by_pairs = pair_gradients(
        estimator,
        unary.expand(draws, -1, -1),
        pairwise.expand(draws, -1),
        objective,
        generator=generator,
        perturbation=perturbation,
    )
    torch.testing.assert_close(by_unary[..., 0], -by_unary[..., 1], rtol=0, atol=1e-12)
    return torch.cat([by_unary[..., 1], by_pairs], -1)
