"""ClampedArgmax: a plain reference draw by draw, its mean against quadrature, its errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from estimator_problems import random_logits, random_noise, seeded
from hypothesis import given
from hypothesis import strategies as st
from pairwise_estimates import (
    PROBLEMS,
    all_interactions,
    losses_of,
    many_gradients,
    pair_gradients,
    problem,
)
from torch import Tensor

from directmax import (
    Categorical,
    ClampedArgmax,
    Decoder,
    LocalExpectation,
    PairwiseBinary,
    Reconstruction,
)
from directmax.objectives import bernoulli_loss
from directmax.solvers import MaxFlow
from reference import (
    Function,
    Interaction,
    expected_gradient,
    gibbs_probs,
    local_gradient,
    pairs_of,
    pairwise_argmax,
    pairwise_features,
    perturb_and_map_gradient,
    perturb_and_map_probs,
)
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}
NAMES = list(PROBLEMS)


def random_pairs(batch: int, n: int, *, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * random_logits(batch, n * (n - 1) // 2, seed=seed + 100).detach()


# Mathematics


@pytest.mark.parametrize("name", NAMES)
def test_unbiased_for_the_perturbed_argmax(name: str) -> None:
    """By unary and pairwise potentials, strongly coupled, with an f of all interactions."""
    unary, pairwise = problem(name)
    losses = losses_of(all_interactions, len(unary))
    expected = perturb_and_map_gradient(unary, pairwise, losses)
    gradients = many_gradients(
        ClampedArgmax(), unary, pairwise, all_interactions, 60_000, generator=seeded()
    )
    n = len(unary)
    assert_mean(gradients[:, :n], expected[:n])
    assert_mean(gradients[:, n:], expected[n:])
    # The Gibbs expectation has another gradient, which is refused.
    leaves = [t.clone().requires_grad_() for t in (unary[None], pairwise[None])]
    by_gibbs = torch.autograd.grad((gibbs_probs(*leaves) * losses).sum(), leaves)
    gibbs = torch.cat([by_gibbs[0][0, :, 1], by_gibbs[1][0]])
    with pytest.raises(AssertionError, match="standard errors off"):
        assert_mean(gradients, gibbs)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_of_one_state_moves_its_probability(name: str) -> None:
    """∂P(z* = z), for every z: the gradients of all states sum to zero."""
    unary, pairwise = problem(name)
    n = len(unary)
    total = torch.zeros(n + len(pairwise), dtype=torch.float64)
    for number, code in enumerate(itertools.product((0, 1), repeat=n)):
        state = torch.tensor(code)

        def objective(z: Tensor, state: Tensor = state) -> Tensor:
            return (z[..., 1] == state).all(-1).to(z.dtype)

        gradients = many_gradients(
            ClampedArgmax(), unary, pairwise, objective, 10_000, generator=seeded()
        )
        losses = torch.eye(2**n, dtype=torch.float64)[number]
        expected = perturb_and_map_gradient(unary, pairwise, losses)
        total += gradients.mean(0)
        limit = 6 * gradients.std(0) / 100 + 1e-6
        assert ((gradients.mean(0) - expected).abs() <= limit).all()
    torch.testing.assert_close(total, torch.zeros_like(total), **EXACT)


def switches(
    unary: Tensor, pairwise: Tensor, noise: Tensor, function: Function
) -> Iterator[tuple[int, Tensor, Tensor, Tensor, Tensor]]:
    """For every variable i, by brute force: i, where z* switches along γ_i, and what changes there.

    Yields:
        i; the density σ′(δ_j) of every variable's noise there, `(s, b, n)`; which variables switch,
        `(s, b, n)`; f(z^{i,1}) − f(z^{i,0}), `(s, b)`; φ(z^{i,1}) − φ(z^{i,0}), `(s, b, n + P)`.
    """
    n = unary.shape[1]
    for i in range(n):
        others = noise.clone()
        others[:, :, i] = 0
        ends, maxima = [], []
        for value in (0, 1):
            end = pairwise_argmax(unary + others, pairwise, (i, value))
            score = ((unary + others) * end).sum((-2, -1))
            for p, (j, k) in enumerate(pairs_of(n)):
                score = score + pairwise[:, p] * end[..., j, 1] * end[..., k, 1]
            ends.append(end)
            maxima.append(score)
        place = noise[..., 1] - noise[..., 0]
        place[..., i] = maxima[0] - maxima[1]  # −t_i
        density = place.sigmoid() * (-place).sigmoid()
        moved = (ends[0] != ends[1]).any(-1).double()
        loss = function(ends[1]) - function(ends[0])
        features = pairwise_features(ends[1][..., 1]) - pairwise_features(ends[0][..., 1])
        yield i, density, moved, loss, features


def plain_gradient(
    unary: Tensor, pairwise: Tensor, noise: Tensor, function: Function, weights: str = "by density"
) -> Tensor:
    """Σ_i w_i σ′(t_i) [f(z^{i,1}) − f(z^{i,0})] [φ(z^{i,1}) − φ(z^{i,0})], `(s, b, n + P)`."""
    samples, batch, n, _ = noise.shape
    total = torch.zeros(samples, batch, n + pairwise.shape[1], dtype=torch.float64)
    for i, density, moved, loss, features in switches(unary, pairwise, noise, function):
        if weights == "equal":
            weight = 1 / moved.sum(-1)
        elif weights == "by density":  # the switch is met along γ_j with density p / σ′(δ_j)
            weight = 1 / density[..., i] / (moved / density).sum(-1)
        else:
            assert weights == "own"  # a unary potential along its own noise alone
            weight, own = torch.ones_like(loss), torch.zeros(total.shape[-1]).double()
            own[i] = 1
            features = features * own
        total += (density[..., i] * weight * loss).unsqueeze(-1) * features
    return total


@given(
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 5, 8]),
    st.integers(1, 3),
    st.integers(0, 1000),
    st.sampled_from([0.1, 1.0, 5.0]),
)
def test_every_draw_equals_a_plain_reference(
    batch: int, n: int, num_samples: int, seed: int, scale: float
) -> None:
    unary = random_logits(batch, n, 2, seed=seed).detach()
    pairwise = random_pairs(batch, n, seed=seed, scale=scale)
    noise = random_noise(num_samples, batch, n, 2, seed=seed)
    objective = Interaction(batch, n, 2, seed=seed).requires_grad_(False)
    by_unary, by_pairs = pair_gradients(
        ClampedArgmax(num_samples=num_samples), unary, pairwise, objective, noise=noise
    )
    expected = plain_gradient(unary, pairwise, noise, objective).mean(0)
    torch.testing.assert_close(by_unary[..., 1], expected[:, :n], **EXACT)
    torch.testing.assert_close(by_unary[..., 0], -expected[:, :n], **EXACT)
    torch.testing.assert_close(by_pairs, expected[:, n:], **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_any_weights_that_sum_to_one_have_the_same_mean(name: str) -> None:
    """The formula, apart from the class: where a switch is counted does not matter."""
    unary, pairwise = problem(name)
    n = len(unary)
    expected = perturb_and_map_gradient(unary, pairwise, losses_of(all_interactions, n))
    noise = random_noise(30_000, 1, n, 2)
    for weights in ("equal", "by density", "own"):
        gradients = plain_gradient(
            unary[None], pairwise[None], noise, all_interactions, weights
        ).squeeze(1)
        entries = n if weights == "own" else len(expected)
        assert_mean(gradients[:, :entries], expected[:entries])


@given(st.integers(1, 3), st.sampled_from([1, 2, 4, 8]), st.integers(0, 1000))
def test_without_couplings_it_is_the_local_expectation(batch: int, n: int, seed: int) -> None:
    """Draw by draw, not on average only."""
    unary = random_logits(batch, n, 2, seed=seed)
    none = torch.zeros(batch, n * (n - 1) // 2, dtype=torch.float64)
    noise = random_noise(1, batch, n, 2, seed=seed)
    objective = Interaction(batch, n, 2, seed=seed).requires_grad_(False)
    by_unary, _ = pair_gradients(ClampedArgmax(), unary, none, objective, noise=noise)
    z = Categorical(unary).argmax(noise)[0]
    torch.testing.assert_close(by_unary, local_gradient(unary.detach(), objective, z), **EXACT)
    local = LocalExpectation()(Categorical(unary), objective, generator=seeded(seed)).loss
    clamped = ClampedArgmax()(PairwiseBinary(unary, none), objective, generator=seeded(seed)).loss
    torch.testing.assert_close(clamped, local, **EXACT)
    torch.testing.assert_close(
        torch.autograd.grad(clamped.sum(), unary), torch.autograd.grad(local.sum(), unary), **EXACT
    )


def test_without_couplings_pairs_have_the_enumerated_gradient() -> None:
    """∂E_q[f]/∂h_ij at h_ij = 0: there perturb-and-MAP does not follow Gibbs either."""
    unary = torch.tensor([[0.0, 0.4], [0.3, -0.2]], dtype=torch.float64)
    pairwise = torch.zeros(1, dtype=torch.float64)
    losses = losses_of(all_interactions, 2)
    expected = perturb_and_map_gradient(unary, pairwise, losses)
    by_unary = expected_gradient(unary[None], all_interactions)[0, :, 1]
    torch.testing.assert_close(expected[:2], by_unary, rtol=0, atol=1e-8)
    gradients = many_gradients(
        ClampedArgmax(), unary, pairwise, all_interactions, 60_000, generator=seeded()
    )
    assert_mean(gradients, expected)


def test_one_variable_has_no_variance() -> None:
    unary = torch.tensor([[0.0, 0.7]], dtype=torch.float64)
    gradients = many_gradients(
        ClampedArgmax(), unary, torch.zeros(0).double(), all_interactions, 50, generator=seeded()
    )
    expected = expected_gradient(unary[None], all_interactions)[0, :, 1]
    torch.testing.assert_close(gradients, expected.expand_as(gradients), **EXACT)


def test_the_estimate_is_bounded_by_the_change_of_the_loss() -> None:
    """σ′ ≤ ¼ for each of n switches, whatever the potentials; no 1/ε, no limit on losses."""
    unary, pairwise = random_logits(200, 4, 2), random_pairs(200, 4, scale=3.0)
    noise = random_noise(1, 200, 4, 2)

    def run(factor: float) -> tuple[Tensor, Tensor]:
        def objective(z: Tensor) -> Tensor:
            return factor * z[..., 0, 1] * z[..., 1, 1]  # between 0 and the factor

        return pair_gradients(ClampedArgmax(), unary, pairwise, objective, noise=noise)

    base = run(1.0)
    for gradient in base:
        assert 0.01 < gradient.abs().max() <= 4 * 0.25
    for one, large in zip(base, run(1e6), strict=True):
        torch.testing.assert_close(large, 1e6 * one, rtol=1e-12, atol=0)


# What it does with draws, objectives, solvers


def test_draws_are_averaged_not_summed() -> None:
    unary, pairwise = random_logits(3, 3, 2), random_pairs(3, 3)
    noise = random_noise(4, 3, 3, 2)
    objective = Interaction(3, 3, 2)
    together = pair_gradients(ClampedArgmax(num_samples=4), unary, pairwise, objective, noise=noise)
    each = [
        pair_gradients(ClampedArgmax(), unary, pairwise, objective, noise=part)
        for part in noise.split(1)
    ]
    for number in (0, 1):
        mean = torch.stack([gradients[number] for gradients in each]).mean(0)
        assert mean.abs().max() > 0.01
        torch.testing.assert_close(together[number], mean, **EXACT)


def test_the_loss_is_that_of_the_sample() -> None:
    unary, pairwise = problem("frustrated")
    q = PairwiseBinary(unary.expand(40_000, -1, -1), pairwise.expand(40_000, -1))
    loss = ClampedArgmax()(q, all_interactions, generator=seeded()).loss
    expected = perturb_and_map_probs(unary, pairwise) @ losses_of(all_interactions, 3)
    assert_mean(loss, expected)


def test_a_generator_decides() -> None:
    unary, pairwise = random_logits(4, 3, 2), random_pairs(4, 3).requires_grad_()
    results = []
    for seed in (1, 1, 2):
        q = PairwiseBinary(unary, pairwise)
        estimate = ClampedArgmax(num_samples=2)(q, all_interactions, generator=seeded(seed))
        assert torch.equal(estimate.sample, q.sample(2, generator=seeded(seed)))
        results.append(torch.autograd.grad(estimate.loss.sum(), pairwise)[0])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_the_objective_is_called_without_gradient_at_the_alternatives() -> None:
    unary, pairwise = random_logits(2, 4, 2), random_pairs(2, 4)
    calls = []

    def objective(z: Tensor) -> Tensor:
        calls.append((tuple(z.shape), torch.is_grad_enabled()))
        return all_interactions(z[..., :3, :])

    ClampedArgmax(num_samples=3)(PairwiseBinary(unary, pairwise), objective)
    assert calls == [((3, 2, 4, 2), True), ((4, 3, 2, 4, 2), False)]


@pytest.mark.parametrize("num_samples", [1, 3])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_reconstruction_equals_its_plain_function(n: int, num_samples: int) -> None:
    decoder = Decoder(n, 2, 6, hidden=5).double()
    with torch.no_grad():
        for number, parameter in enumerate(decoder.parameters()):
            parameter.copy_(random_logits(*parameter.shape, seed=number))
    images = random_logits(4, 6, seed=9).detach().sigmoid().round()
    unary, pairwise = random_logits(4, n, 2), random_pairs(4, n).requires_grad_()
    runs = []
    for objective in (
        Reconstruction(decoder, images),
        lambda z: bernoulli_loss(decoder(z), images),
    ):
        q = PairwiseBinary(unary, pairwise)
        loss = ClampedArgmax(num_samples=num_samples)(q, objective, generator=seeded()).loss
        weight = torch.arange(1.0, 5.0, dtype=torch.float64)
        leaves = [unary, pairwise, *decoder.parameters()]
        runs.append([loss, *torch.autograd.grad((loss * weight).sum(), leaves)])
    torch.testing.assert_close(runs[0], runs[1], **EXACT)


def test_every_exact_solver_gives_the_same_gradient() -> None:
    unary, pairwise = random_logits(6, 5, 2).detach(), random_pairs(6, 5).abs()
    unary[..., 1] -= 2
    results = []
    for solver in ("exhaustive", "branch-and-bound", MaxFlow()):
        leaves = [t.clone().requires_grad_() for t in (unary, pairwise)]
        q = PairwiseBinary(*leaves, solver=solver)
        loss = ClampedArgmax(num_samples=2)(q, Interaction(6, 5, 2), generator=seeded()).loss
        results.append(torch.autograd.grad(loss.sum(), leaves))
    assert results[0][1].abs().max() > 0.01
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], **EXACT)


def test_in_float32() -> None:
    unary, pairwise = random_logits(50, 9, 2).detach(), random_pairs(50, 9)
    noise = random_noise(1, 50, 9, 2)
    objective = Interaction(50, 9, 2).requires_grad_(False)
    wide = pair_gradients(ClampedArgmax(), unary, pairwise, objective, noise=noise)
    narrow = pair_gradients(
        ClampedArgmax(),
        unary.float(),
        pairwise.float(),
        lambda z: objective(z.double()).float(),
        noise=noise.float(),
    )
    for one, other in zip(narrow, wide, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-4)


def test_autocast_rounds_nothing() -> None:
    unary, pairwise = (t.float() for t in (random_logits(8, 5, 2), random_pairs(8, 5)))
    noise, cost = random_noise(2, 8, 5, 2).float(), torch.arange(5.0)

    def objective(z: Tensor) -> Tensor:
        return (z[..., 1] * cost).sum(-1).square() / 7

    plain = pair_gradients(ClampedArgmax(num_samples=2), unary, pairwise, objective, noise=noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = pair_gradients(
            ClampedArgmax(num_samples=2), unary, pairwise, objective, noise=noise
        )
    for one, other in zip(under, plain, strict=True):
        assert other.abs().max() > 0.1
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


# Errors


def test_wrong_distributions_are_one_line_errors() -> None:
    estimator = ClampedArgmax()
    with pytest.raises(
        TypeError, match=r"^ClampedArgmax needs a PairwiseBinary or PerturbedArgmax, got Categ"
    ) as e:
        estimator(Categorical(torch.zeros(1, 2, 2)), all_interactions)
    assert "LocalExpectation" in str(e.value)
    assert "\n" not in str(e.value)
    q = PairwiseBinary(torch.zeros(1, 2, 2), torch.zeros(1, 1), perturbation="states")
    with pytest.raises(ValueError, match=r"^ClampedArgmax needs perturbation='unary'") as e:
        estimator(q, all_interactions)
    assert "\n" not in str(e.value)
    assert estimator.step == 0
