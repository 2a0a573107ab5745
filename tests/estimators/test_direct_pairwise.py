"""Direct on coupled binary variables: a plain reference, closed forms, the bias that stays."""

from __future__ import annotations

import pytest
import torch
from estimator_problems import random_logits, random_noise, seeded
from hypothesis import given
from hypothesis import strategies as st
from pairwise_estimates import (
    all_interactions,
    losses_of,
    many_gradients,
    pair_gradients,
    problem,
)
from torch import Tensor

from directmax import ClampedArgmax, Direct, PairwiseBinary
from reference import (
    Interaction,
    all_states,
    changes_around,
    gibbs_probs,
    pairwise_argmax,
    pairwise_features,
    pairwise_scores,
    perturb_and_map_gradient,
    separable,
)
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}


def argmax_with(unary: Tensor, pairwise: Tensor, noise: Tensor, shift: Tensor) -> Tensor:
    """Brute force, with noise on the single variables or on the states."""
    if noise.shape[2:] == unary.shape[1:]:
        return pairwise_argmax(unary + noise + shift, pairwise)
    scores = pairwise_scores(unary + shift, pairwise) + noise
    return all_states(unary.shape[1], 2)[scores.argmax(-1)]


@given(
    st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 3, 8])),
    st.integers(1, 3),
    st.sampled_from([0.05, 0.5, 5.0, "auto"]),
    st.booleans(),
    st.sampled_from(["unary", "states"]),
    st.integers(0, 50),
)
def test_every_draw_equals_a_plain_reference(
    sizes: tuple[int, int],
    num_samples: int,
    epsilon: float | str,
    two_sided: bool,
    perturbation: str,
    seed: int,
) -> None:
    """(φ(z*) − φ(z^ε))/ε and (φ(z^−) − φ(z^+))/2ε, φ = (z_i, z_i z_j), averaged over draws."""
    batch, n = sizes
    unary = random_logits(batch, n, 2, seed=seed).detach()
    pairwise = random_logits(batch, n * (n - 1) // 2, seed=seed + 1).detach()
    shape = (n, 2) if perturbation == "unary" else (2**n,)
    noise = random_noise(num_samples, batch, *shape, seed=seed)
    objective = Interaction(batch, n, 2, scale=3.0, seed=seed).requires_grad_(False)

    z = argmax_with(unary, pairwise, noise, torch.zeros(num_samples, 1, n, 2).double())
    changes = changes_around(objective, z)
    if epsilon == "auto":  # the root of the mean variance of a variable's two losses
        deviation = (changes[..., 1] - changes[..., 0]) / 2
        step = 1.3 / deviation.square().mean((0, 2)).sqrt()  # (b,)
    else:
        step = torch.full((batch,), epsilon, dtype=torch.float64)
    push = step[:, None, None] * changes
    lower = pairwise_features(argmax_with(unary, pairwise, noise, -push)[..., 1])
    if two_sided:
        upper = pairwise_features(argmax_with(unary, pairwise, noise, push)[..., 1])
        expected = (upper - lower) / (2 * step[:, None])
    else:
        expected = (pairwise_features(z[..., 1]) - lower) / step[:, None]
    expected = expected.mean(0)  # (b, n + P)

    estimator = Direct(epsilon, scale=1.3, two_sided=two_sided, num_samples=num_samples)
    by_unary, by_pairs = pair_gradients(
        estimator, unary, pairwise, objective, noise=noise, perturbation=perturbation
    )
    torch.testing.assert_close(by_unary[..., 1], expected[:, :n], **EXACT)
    torch.testing.assert_close(by_unary[..., 0], -expected[:, :n], **EXACT)
    torch.testing.assert_close(by_pairs, expected[:, n:], **EXACT)


def test_auto_gives_each_problem_its_own_step() -> None:
    cost = torch.tensor([1.0, 100.0, 0.0]).double()[:, None]
    unary, pairwise = random_logits(1, 3, 2).expand(3, -1, -1), random_logits(1, 3).expand(3, -1)
    noise = random_noise(4, 1, 3, 2).expand(-1, 3, -1, -1)

    def objective(z: Tensor) -> Tensor:
        return cost[:, 0] * all_interactions(z)

    gradients = pair_gradients(Direct(num_samples=4), unary, pairwise, objective, noise=noise)
    for gradient in gradients:
        assert gradient[0].abs().max() > 0
        torch.testing.assert_close(gradient[1], 100 * gradient[0], rtol=1e-12, atol=0)
        assert not gradient[2].any()


# Noise on the states, and an f that is a sum over variables: f̃ is exact up to a constant


COST = torch.tensor([[0.0, 1.0], [0.5, -1.0], [0.0, 2.0]], dtype=torch.float64)


def gibbs_moments(unary: Tensor, pairwise: Tensor) -> Tensor:
    return gibbs_probs(unary[None], pairwise[None])[0] @ pairwise_features(
        all_states(len(unary), 2)[..., 1]
    )


def states_expectation(
    unary: Tensor, pairwise: Tensor, cost: Tensor, epsilon: float, two_sided: bool
) -> Tensor:
    """E[φ(z*) − φ(z^ε)]/ε: z^ε is a sample of q ∝ exp(h − ε f), so both are moments."""
    lower = gibbs_moments(unary - epsilon * cost, pairwise)
    if two_sided:
        return (gibbs_moments(unary + epsilon * cost, pairwise) - lower) / (2 * epsilon)
    return (gibbs_moments(unary, pairwise) - lower) / epsilon


def gibbs_gradient(unary: Tensor, pairwise: Tensor, losses: Tensor) -> Tensor:
    leaves = [t.clone()[None].requires_grad_() for t in (unary, pairwise)]
    by_unary, by_pairs = torch.autograd.grad((gibbs_probs(*leaves) * losses).sum(), leaves)
    return torch.cat([by_unary[0, :, 1], by_pairs[0]])


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_mean_with_noise_on_states_in_closed_form(epsilon: float, two_sided: bool) -> None:
    unary, pairwise = problem("frustrated")
    gradients = many_gradients(
        Direct(epsilon, two_sided=two_sided),
        unary,
        pairwise,
        separable(COST),
        20_000,
        generator=seeded(),
        perturbation="states",
    )
    assert_mean(gradients, states_expectation(unary, pairwise, COST, epsilon, two_sided))


@pytest.mark.parametrize(("two_sided", "order"), [(False, 1), (True, 2)])
def test_with_noise_on_states_the_bias_vanishes_with_epsilon(two_sided: bool, order: int) -> None:
    unary, pairwise = problem("frustrated")
    exact = gibbs_gradient(unary, pairwise, losses_of(separable(COST), 3))
    biases = [
        float((states_expectation(unary, pairwise, COST, e, two_sided) - exact).norm())
        for e in (0.02, 0.01)
    ]
    assert 0 < biases[1] < 0.05 * float(exact.norm())
    assert biases[0] / biases[1] == pytest.approx(2**order, rel=0.05)


def test_small_epsilon_approaches_the_gibbs_gradient() -> None:
    unary, pairwise = problem("frustrated")
    exact = gibbs_gradient(unary, pairwise, losses_of(separable(COST), 3))
    draws = many_gradients(
        Direct(0.1, two_sided=True),
        unary,
        pairwise,
        separable(COST),
        60_000,
        generator=seeded(),
        perturbation="states",
    )
    assert_mean(draws, exact)


# Unary noise: what f̃ does to the limit


def coupled_means(
    name: str, objective: Interaction, *, two_sided: bool, epsilon: float, draws: int = 60_000
) -> tuple[Tensor, Tensor]:
    """Gradients of Direct, and the truth for the perturbed argmax."""
    unary, pairwise = problem(name)
    truth = perturb_and_map_gradient(unary, pairwise, losses_of(objective, len(unary)))
    estimator = Direct(epsilon, two_sided=two_sided)
    gradients = many_gradients(estimator, unary, pairwise, objective, draws, generator=seeded())
    return gradients, truth


def relative_bias(gradients: Tensor, truth: Tensor) -> tuple[float, float]:
    """‖mean − truth‖/‖truth‖ and its standard error."""
    error = (gradients.var(0).sum() / len(gradients)).sqrt()
    return tuple(float(x / truth.norm()) for x in ((gradients.mean(0) - truth).norm(), error))


def conflict(z: Tensor) -> Tensor:
    """Two variables should agree: single changes from agreement say nothing of the other one."""
    bits = z[..., 1]
    return bits[..., 0] * bits[..., 1] + 3 * (bits[..., 0] - bits[..., 1]).abs()


@pytest.mark.parametrize("epsilon", [0.1, 0.02])
def test_one_sided_a_bias_stays_where_variables_are_coupled(epsilon: float) -> None:
    gradients, truth = coupled_means("attractive pair", conflict, two_sided=False, epsilon=epsilon)
    bias, error = relative_bias(gradients, truth)
    assert bias > 0.5 + 5 * error
    unary, pairwise = problem("attractive pair")
    clamped = many_gradients(ClampedArgmax(), unary, pairwise, conflict, 60_000, generator=seeded())
    assert_mean(clamped, truth)


def agreement_of_three(z: Tensor) -> Tensor:
    """Third-order: 1 where all three are on."""
    return z[..., 1].prod(-1)


@pytest.mark.parametrize("epsilon", [0.4, 0.1])
def test_two_sided_a_bias_stays_with_interactions_of_three(epsilon: float) -> None:
    gradients, truth = coupled_means(
        "attractive", agreement_of_three, two_sided=True, epsilon=epsilon
    )
    bias, error = relative_bias(gradients, truth)
    assert bias > 4 * error + 0.1
    unary, pairwise = problem("attractive")
    clamped = many_gradients(
        ClampedArgmax(), unary, pairwise, agreement_of_three, 60_000, generator=seeded()
    )
    assert_mean(clamped, truth)


def pairs_only(z: Tensor) -> Tensor:
    """f of single variables and pairs."""
    bits = z[..., 1]
    first, second, third = bits.unbind(-1)
    return first - 2 * second * third + 3 * first * third - 2.5 * first * second


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("attractive pair", conflict),
        ("repulsive pair", all_interactions),
        ("attractive", pairs_only),
        ("frustrated", pairs_only),
    ],
)
def test_two_sided_pairwise_losses_leave_no_bias(name: str, objective: Interaction) -> None:
    """The errors of f̃ on the two sides of a switch cancel where f has interactions of pairs only.

    What is left is O(ε), and not O(ε²): the two sides err by different amounts.
    """
    gradients, truth = coupled_means(name, objective, two_sided=True, epsilon=0.02, draws=100_000)
    assert_mean(gradients, truth)
    one_sided, _ = coupled_means(name, objective, two_sided=False, epsilon=0.02, draws=100_000)
    with pytest.raises(AssertionError, match="standard errors off"):
        assert_mean(one_sided, truth)


def test_a_solver_by_name_is_used_for_both_argmaxes() -> None:
    unary, pairwise = random_logits(3, 4, 2), random_logits(3, 6).abs()
    results = [
        Direct(0.5)(
            PairwiseBinary(unary, pairwise, solver=solver), Interaction(3, 4, 2), generator=seeded()
        ).loss.sum()
        for solver in ("exhaustive", "max-flow")
    ]
    torch.testing.assert_close(
        torch.autograd.grad(results[0], unary), torch.autograd.grad(results[1], unary), **EXACT
    )
