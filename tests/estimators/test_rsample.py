"""Estimators as layers that return z, and the score function of the noise."""

from __future__ import annotations

import math

import pytest
import torch
from estimator_problems import seeded
from torch import Tensor

from directmax import (
    Categorical,
    ClampedArgmax,
    Direct,
    Estimator,
    Exact,
    GumbelRao,
    GumbelSoftmax,
    ImplicitMLE,
    PairwiseBinary,
    PerturbedArgmax,
    ReinMax,
    ScoreFunction,
    StraightThrough,
)
from directmax.estimators import NoiseScore
from directmax.structures import Chain, Matching, Pairwise, Paths, Ranking, Subsets
from significance import assert_mean


def loss(z: Tensor) -> Tensor:
    w = torch.arange(z.shape[-1] * z.shape[-2], dtype=z.dtype).sin().view(z.shape[-2:]) * 3
    return (z * w).sum((-2, -1)) ** 2 + z[..., 0, 1] * z[..., -1, 0]


LAYERS = [
    GumbelSoftmax(0.7, num_samples=3),
    GumbelSoftmax(0.7, straight_through=True),
    StraightThrough(num_samples=3),
    ReinMax(num_samples=2),
    GumbelRao(0.5),
    ImplicitMLE(0.8, num_samples=3),
    ImplicitMLE(0.8, two_sided=True),
    ImplicitMLE(num_samples=3),
    ImplicitMLE(num_samples=2, rao_blackwell=True),
]


@pytest.mark.parametrize("estimator", LAYERS, ids=repr)
def test_a_loss_of_z_has_the_gradient_of_the_estimator(estimator: Estimator) -> None:
    logits = torch.randn(4, 3, 3, generator=seeded(), dtype=torch.float64).requires_grad_()
    q = Categorical(logits)
    expected = estimator(q, loss, generator=seeded(1))
    z = estimator.rsample(q, generator=seeded(1))
    found = loss(z).mean(0)
    torch.testing.assert_close(found, expected.loss)
    assert torch.equal(z, expected.sample)
    for value in (found, expected.loss):
        value.sum().backward()
    both, logits.grad = logits.grad, None
    expected = estimator(q, loss, generator=seeded(1)).loss.sum()
    torch.testing.assert_close(both, 2 * torch.autograd.grad(expected, logits)[0])


@pytest.mark.parametrize("structure", [Subsets(5, 2), Paths.grid(2, 3), Matching(3), Ranking(3)])
@pytest.mark.parametrize("noise", ["gumbel", "gaussian", "none"])
def test_implicit_mle_is_a_layer_over_any_structure(structure: object, noise: str) -> None:
    weights = torch.randn(4, *structure.shape, generator=seeded(), dtype=torch.float64)
    q = PerturbedArgmax(weights.requires_grad_(), structure, noise=noise, scale=0.5)
    estimator = ImplicitMLE(scale=5.0, num_samples=2)
    z = estimator.rsample(q, generator=seeded(1))
    assert bool(structure.is_feasible(structure.from_one_hot(z)).all())
    (found,) = torch.autograd.grad(loss(z).mean(0).sum(), weights)
    value = estimator(q, loss, generator=seeded(1)).loss.sum()
    torch.testing.assert_close(found, torch.autograd.grad(value, weights)[0])
    assert float(found.abs().sum()) > 0


def test_steps_are_counted_and_a_network_may_follow() -> None:
    estimator, layer = ImplicitMLE(1.0), torch.nn.Linear(6, 1)
    weights = torch.randn(8, 6, requires_grad=True)
    z = estimator.rsample(PerturbedArgmax(weights, Subsets(6, 3)))[..., 1].mean(0)
    (layer(z) ** 2).mean().backward()
    assert estimator.step == 1
    assert bool(weights.grad.isfinite().all())
    assert layer.weight.grad is not None
    with torch.no_grad():
        assert not estimator.rsample(PerturbedArgmax(weights, Subsets(6, 3))).requires_grad


def probability(weights: Tensor, noise: str, scale: float) -> Tensor:
    """Of the first of two elements, one of which is chosen."""
    gap = (weights[0] - weights[1]) / scale
    if noise == "gaussian":
        return torch.special.ndtr(gap / math.sqrt(2))
    x = torch.linspace(-40, 40, 20_001, dtype=torch.float64)
    density = torch.sigmoid(x) * torch.sigmoid(-x)  # of the other's logistic noise
    return (torch.sigmoid(gap - x) * density).sum() * 80 / 20_000


@pytest.mark.parametrize("noise", ["gaussian", "gumbel"])
@pytest.mark.parametrize("layer", [False, True])
def test_the_score_of_the_noise_is_unbiased(noise: str, layer: bool) -> None:
    weights = torch.tensor([0.5, 0.2], dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(3 * probability(weights, noise, 0.7), weights)[0]
    many = weights.detach().expand(60_000, 2).clone().requires_grad_()
    q = PerturbedArgmax(many, Subsets(2, 1), noise=noise, scale=0.7)
    estimator = NoiseScore(num_samples=3)
    if layer:
        value = 3 * estimator.rsample(q, generator=seeded())[..., 0, 1].mean(0)
    else:
        value = estimator(q, lambda z: 3 * z[..., 0, 1], generator=seeded()).loss
    assert_mean(torch.autograd.grad(value.sum(), many)[0], expected)


@pytest.mark.parametrize("samples", [1, 4])
def test_the_score_of_gumbel_noise_of_categorical_variables(samples: int) -> None:
    logits = torch.randn(1, 2, 3, generator=seeded(), dtype=torch.float64).requires_grad_()
    expected = torch.autograd.grad(Exact()(Categorical(logits), loss).loss.sum(), logits)[0][0]
    many = logits.detach().expand(40_000, 2, 3).clone().requires_grad_()
    estimate = NoiseScore(num_samples=samples)(Categorical(many), loss, generator=seeded())
    assert_mean(torch.autograd.grad(estimate.loss.sum(), many)[0], expected)


def test_the_score_of_the_noise_of_a_ranking() -> None:
    weights = torch.tensor([[0.3, 0.0]], dtype=torch.float64)
    many = weights.expand(40_000, 2).clone().requires_grad_()
    q = PerturbedArgmax(many, Ranking(2), noise="gaussian")
    value = NoiseScore()(q, lambda z: z[..., 0, 1], generator=seeded()).loss
    leaf = weights[0].clone().requires_grad_()
    expected = torch.autograd.grad(probability(leaf, "gaussian", 1.0), leaf)[0]
    assert_mean(torch.autograd.grad(value.sum(), many)[0], expected)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Direct().rsample(Categorical(torch.zeros(1, 1, 2))),
        lambda: ClampedArgmax().rsample(PerturbedArgmax(torch.zeros(1, 3), Subsets(3, 1))),
        lambda: ScoreFunction().rsample(Categorical(torch.zeros(1, 1, 2))),
        lambda: ImplicitMLE().rsample("q"),
        lambda: ImplicitMLE().rsample(PairwiseBinary(torch.zeros(1, 2, 2), torch.zeros(1, 1))),
        lambda: GumbelSoftmax().rsample(PerturbedArgmax(torch.zeros(1, 3), Subsets(3, 1))),
        lambda: NoiseScore().rsample(
            PerturbedArgmax(torch.zeros(1, 3, 2), Chain(3, 2, torch.zeros(2, 2).requires_grad_()))
        ),
        lambda: NoiseScore(num_samples=0),
        lambda: NoiseScore()(PairwiseBinary(torch.zeros(1, 2, 2), torch.zeros(1, 1)), loss),
        lambda: NoiseScore()(PerturbedArgmax(torch.zeros(1, 3), Subsets(3, 1), noise="none"), loss),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("kind", ["chain", "pairwise"])
def test_a_structure_s_own_potentials_learn_through_the_layer(kind: str, two_sided: bool) -> None:
    g = seeded()
    own = torch.randn(*((2, 2) if kind == "chain" else (4, 3)), generator=g, dtype=torch.float64)
    own.requires_grad_()
    structure = Chain(3, 2, own) if kind == "chain" else Pairwise(3, own)
    weights = torch.randn(4, *structure.shape, generator=g, dtype=torch.float64).requires_grad_()
    q = PerturbedArgmax(weights, structure)
    estimator = ImplicitMLE(scale=3.0, two_sided=two_sided, num_samples=3)
    z = estimator.rsample(q, generator=seeded(1))
    found = torch.autograd.grad(loss(z).mean(0).sum(), (weights, own))
    value = estimator(q, loss, generator=seeded(1)).loss.sum()
    for one, other in zip(found, torch.autograd.grad(value, (weights, own)), strict=True):
        assert bool((other != 0).any())
        torch.testing.assert_close(one, other)
