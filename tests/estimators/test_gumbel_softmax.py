"""Gumbel-Softmax: a plain reference under the same noise, its bias, straight-through."""

from __future__ import annotations

import math

import pytest
import torch
from estimator_problems import (
    FixedNoise,
    FixedPairs,
    coupled_distribution,
    gradient_of,
    random_logits,
    random_noise,
    seeded,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import Categorical, ExponentialDecay, GumbelSoftmax, PairwiseBinary, Rebar
from reference import Interaction, expected_gradient, is_one_hot

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4))


@given(SIZES, st.integers(1, 3), st.sampled_from([0.1, 0.7, 3.0]), st.integers(0, 50))
def test_equals_a_plain_reference(
    sizes: tuple[int, int, int], num_samples: int, temperature: float, seed: int
) -> None:
    logits = random_logits(*sizes, seed=seed)
    noise = random_noise(num_samples, *sizes, seed=seed)
    objective = Interaction(*sizes, seed=seed)
    estimator = GumbelSoftmax(temperature, num_samples=num_samples)
    estimate = estimator(FixedNoise(logits, noise), objective)

    weights = ((logits + noise) / temperature).exp()
    relaxed = weights / weights.sum(-1, keepdim=True)
    expected = sum(objective(z) for z in relaxed) / num_samples
    torch.testing.assert_close(estimate.loss, expected, **EXACT)
    torch.testing.assert_close(estimate.sample, relaxed.detach(), **EXACT)
    inputs = [logits, *objective.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(estimate.loss.sum(), inputs),
        torch.autograd.grad(expected.sum(), inputs),
        **EXACT,
    )


@given(SIZES, st.sampled_from([0.1, 0.7, 3.0]), st.integers(0, 50))
def test_straight_through(sizes: tuple[int, int, int], temperature: float, seed: int) -> None:
    """f and its slope are taken at the one-hot sample, the slope of z from the relaxation."""
    logits = random_logits(*sizes, seed=seed)
    noise = random_noise(1, *sizes, seed=seed)
    objective = Interaction(*sizes, seed=seed)
    estimator = GumbelSoftmax(temperature, straight_through=True)
    gradient = gradient_of(estimator, logits, objective, noise=noise)

    noisy = logits + noise[0]
    z = torch.zeros_like(noisy).scatter(-1, noisy.argmax(-1, keepdim=True), 1.0)
    z = z.detach().requires_grad_()
    (slope,) = torch.autograd.grad(objective(z).sum(), z)
    relaxed = (noisy / temperature).softmax(-1)
    (expected,) = torch.autograd.grad((relaxed * slope).sum(), logits)
    torch.testing.assert_close(gradient, expected, **EXACT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_straight_through_passes_exact_zeros_and_ones(dtype: torch.dtype) -> None:
    logits = random_logits(2000, 1, 5).detach().to(dtype)
    seen: list[Tensor] = []

    def objective(z: Tensor) -> Tensor:
        seen.append(z.detach())
        return z.sum((-2, -1))

    estimator = GumbelSoftmax(0.7, straight_through=True)
    estimate = estimator(Categorical(logits), objective, generator=seeded())
    assert is_one_hot(seen[0])
    assert torch.equal(estimate.sample, seen[0])


def test_straight_through_samples_are_gumbel_max_samples() -> None:
    logits = random_logits(50, 2, 3)
    estimator = GumbelSoftmax(0.3, straight_through=True, num_samples=2)
    sample = estimator(Categorical(logits), lambda z: z.sum((-2, -1)), generator=seeded()).sample
    assert torch.equal(sample, Categorical(logits).sample(2, generator=seeded()))


def mean_gradient(logits: Tensor, objective: Interaction, temperature: float) -> Tensor:
    """The mean over the noise of one binary variable, by the midpoint rule at its quantiles."""
    points = 200_000
    u = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    noise = torch.stack([torch.zeros_like(u), u.logit()], -1)[None, :, None, :]  # (1, N, 1, 2)
    many = logits.detach().expand(points, -1, -1)
    return gradient_of(GumbelSoftmax(temperature), many, objective, noise=noise).mean(0)


def test_bias_shrinks_with_temperature() -> None:
    logits = torch.tensor([[[0.4, -0.3]]], dtype=torch.float64)
    objective = Interaction(1, 1, 2, scale=2.0)
    exact = expected_gradient(logits, objective)[0]
    biases = [
        float((mean_gradient(logits, objective, t) - exact).norm() / exact.norm())
        for t in (1.0, 0.3, 0.1, 0.03)
    ]
    assert biases[0] > 0.05
    assert biases[0] > biases[1] > biases[2] > biases[3]
    assert biases[3] < 0.005


def test_temperature_follows_its_schedule() -> None:
    schedule = ExponentialDecay(initial=2.0, rate=0.5, every=1, minimum=0.01)
    logits, noise, objective = (
        random_logits(4, 1, 3),
        random_noise(1, 4, 1, 3),
        Interaction(4, 1, 3),
    )
    estimator = GumbelSoftmax(schedule)
    for step in range(3):
        actual = gradient_of(estimator, logits, objective, noise=noise)
        fixed = gradient_of(GumbelSoftmax(schedule(step)), logits, objective, noise=noise)
        assert torch.equal(actual, fixed)
        assert estimator.latest() == {"temperature": schedule(step)}


@pytest.mark.parametrize("value", [0, -0.5, math.inf, "1", None])
def test_wrong_temperatures_are_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^temperature must be "):
        GumbelSoftmax(value)


def test_other_distributions_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^GumbelSoftmax needs independent variables"):
        GumbelSoftmax()(coupled_distribution(), lambda z: z.sum((-2, -1)))


def by_hand(unary: Tensor, pairwise: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Of two binary variables: the four states written out, their softmax, their mean."""
    (a0, a1), (b0, b1), coupling = unary[0], unary[1], pairwise[0]
    scores = torch.stack([a0 + b0, a0 + b1, a1 + b0, a1 + b1 + coupling])  # 00, 01, 10, 11
    w = ((scores + noise) / temperature).exp()
    w = w / w.sum()
    first, second = w[2] + w[3], w[1] + w[3]
    return torch.stack([torch.stack([1 - first, first]), torch.stack([1 - second, second])])


@pytest.mark.parametrize("straight_through", [False, True])
def test_over_all_states_of_two_coupled_variables(straight_through: bool) -> None:
    """Value and gradients, also of the coupling, are those of the four states written out."""
    unary, pairwise = random_logits(3, 2, 2, seed=3), random_logits(3, 1, seed=4)
    noise, objective = random_noise(1, 3, 4, seed=5), Interaction(3, 2, 2, seed=6)
    q = FixedPairs(unary, pairwise, noise, perturbation="states")
    estimate = GumbelSoftmax(0.7, straight_through=straight_through)(q, objective)
    relaxed = torch.stack([by_hand(unary[b], pairwise[b], noise[0, b], 0.7) for b in range(3)])
    z = relaxed
    if straight_through:
        z = q.argmax(noise)[0] - relaxed.detach() + relaxed
        assert is_one_hot(estimate.sample)
    expected = objective(z)
    torch.testing.assert_close(estimate.loss, expected, **EXACT)
    torch.testing.assert_close(
        torch.autograd.grad(estimate.loss.sum(), [unary, pairwise]),
        torch.autograd.grad(expected.sum(), [unary, pairwise]),
        **EXACT,
    )


def test_over_states_it_becomes_the_sample() -> None:
    unary, pairwise = torch.zeros(50, 3, 2).double(), torch.ones(50, 3).double()
    q = PairwiseBinary(unary, pairwise, perturbation="states")
    z = GumbelSoftmax(1e-8).rsample(q, generator=seeded())
    torch.testing.assert_close(z, q.sample(1, generator=seeded()), rtol=0, atol=1e-4)


def test_of_coupled_variables_it_needs_noise_on_states() -> None:
    q = PairwiseBinary(torch.zeros(1, 3, 2), torch.zeros(1, 3))
    with pytest.raises(TypeError, match=r'^GumbelSoftmax needs .*perturbation="states"'):
        GumbelSoftmax()(q, lambda z: z.sum((-2, -1)))


def test_log_q_of_a_relaxed_z_is_refused_with_what_to_do() -> None:
    q = Categorical(torch.zeros(2, 3, 4, requires_grad=True))

    def f(z: Tensor) -> Tensor:
        return z[..., 0].sum(-1) + q.log_prob(z)

    for estimator in (GumbelSoftmax(), Rebar()):
        with pytest.raises(ValueError, match=r"^z must be one-hot, got .*add q\.entropy\(\)"):
            estimator(q, f)
    GumbelSoftmax(straight_through=True)(q, f).loss.sum().backward()
