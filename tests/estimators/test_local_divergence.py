"""Local divergence: with the KL term it is the gradient of an α-divergence, and bounded."""

from __future__ import annotations

import pytest
import torch
from estimator_problems import coupled_distribution, gradient_of, random_logits, seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import Categorical, Estimator, LinearDecay, LocalDivergence, LocalExpectation
from reference import Interaction, all_states

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 4))


def drawn(logits: Tensor) -> Tensor:
    """The sample that `seeded()` gives."""
    return Categorical(logits.detach()).sample(1, generator=seeded())


def conditionals(logits: Tensor, objective: Interaction, z: Tensor, weight: float) -> Tensor:
    """p_i(j) ∝ exp(−f(z with z_i = j)/T), evaluated one by one: log p, (b, n, k)."""
    batch, n, k = logits.shape
    losses = logits.new_empty(batch, n, k)
    for i in range(n):
        for j in range(k):
            changed = z.clone()
            changed[..., i, :] = 0
            changed[..., i, j] = 1
            losses[:, i, j] = objective(changed)[0].detach()
    return (-losses / weight).log_softmax(-1)


def divergence(log_q: Tensor, log_p: Tensor, alpha: float) -> Tensor:
    """T-free Σ_i D_α(p_i, q_i), by its definition and limits."""
    if alpha == 0:
        return (log_q.exp() * (log_q - log_p)).sum()
    if alpha == 1:
        return (log_p.exp() * (log_p - log_q)).sum()
    overlap = (alpha * log_p + (1 - alpha) * log_q).exp().sum(-1)
    return ((1 - overlap) / (alpha * (1 - alpha))).sum()


@given(SIZES, st.sampled_from([0.0, 0.3, 0.9, 1.0]), st.sampled_from([1.0, 7.0]))
def test_with_the_kl_term_it_is_the_gradient_of_the_divergence(
    sizes: tuple[int, int, int], alpha: float, weight: float
) -> None:
    logits, objective = random_logits(*sizes), Interaction(*sizes)
    estimator = LocalDivergence(alpha, kl_weight=weight)
    q = Categorical(logits)
    total = estimator(q, objective, generator=seeded()).loss + weight * q.kl_to_uniform()
    (actual,) = torch.autograd.grad(total.sum(), logits)
    log_p = conditionals(logits, objective, drawn(logits), weight)
    expected = weight * divergence(logits.log_softmax(-1), log_p, alpha)
    torch.testing.assert_close(actual, torch.autograd.grad(expected, logits)[0], **EXACT)


@given(SIZES)
def test_alpha_0_is_local_expectation(sizes: tuple[int, int, int]) -> None:
    logits, objective = random_logits(*sizes), Interaction(*sizes)
    expected = gradient_of(LocalExpectation(), logits, objective, generator=seeded())
    for weight in (1.0, 30.0):
        estimator = LocalDivergence(0.0, kl_weight=weight)
        actual = gradient_of(estimator, logits, objective, generator=seeded())
        torch.testing.assert_close(actual, expected, **EXACT)


def test_small_alpha_goes_over_into_0() -> None:
    logits, objective = random_logits(4, 3, 3), Interaction(4, 3, 3)

    def at_alpha(alpha: float) -> Tensor:
        return gradient_of(LocalDivergence(alpha), logits, objective, generator=seeded())

    errors = [(at_alpha(a) - at_alpha(0.0)).abs().max().item() for a in (1e-2, 1e-4, 1e-8)]
    assert errors[0] > 50 * errors[1] > 50 * 50 * errors[2]


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.0])
def test_bounded_and_finite_whatever_the_losses(alpha: float) -> None:
    """In float32, with losses and potentials that overflow every naive formula."""
    logits = torch.tensor([[[90.0, 0.0, -200.0], [-90.0, 0.0, 90.0]]], requires_grad=True)
    cost = torch.tensor([[3e4, 0.0, -1e5], [-1e6, 5.0, 2e6]])
    q = Categorical(logits)
    loss = LocalDivergence(alpha, kl_weight=2.0)(q, lambda z: (z * cost).sum((-2, -1))).loss
    (gradient,) = torch.autograd.grad((loss + 2 * q.kl_to_uniform()).sum(), logits)
    assert bool(gradient.isfinite().all())
    assert gradient.abs().max() <= 2.0 / alpha * (1 + 1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_one_variable_rests_at_the_posterior(alpha: float) -> None:
    objective = Interaction(5, 1, 4)
    losses = objective(all_states(1, 4)[:, None].expand(4, 5, 1, 4)).detach().T  # (b, k)
    logits = (-losses).unsqueeze(1).clone().requires_grad_()
    q = Categorical(logits)
    total = LocalDivergence(alpha)(q, objective, generator=seeded()).loss + q.kl_to_uniform()
    (gradient,) = torch.autograd.grad(total.sum(), logits)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), **EXACT)


def test_forbidden_values_get_no_gradient() -> None:
    logits = torch.tensor([[[0.0, -torch.inf, 1.0]]], dtype=torch.float64, requires_grad=True)
    for alpha in (0.0, 0.5, 1.0):
        gradient = gradient_of(LocalDivergence(alpha), logits, lambda z: z[..., 0, 2])
        assert gradient[0, 0, 1] == 0
        assert gradient[0, 0, 0] < 0 < gradient[0, 0, 2]


def test_schedules_follow_the_step() -> None:
    logits, objective = random_logits(3, 2, 3), Interaction(3, 2, 3)
    estimator = LocalDivergence(LinearDecay(1.0, 0.0, hold=2), kl_weight=LinearDecay(5.0, 1.0, 3))
    for alpha, weight in ((1.0, 5.0), (1.0, 5.0), (0.0, 5.0), (0.0, 1.0)):
        expected = gradient_of(
            LocalDivergence(alpha, kl_weight=weight), logits, objective, generator=seeded()
        )
        torch.testing.assert_close(
            gradient_of(estimator, logits, objective, generator=seeded()), expected, **EXACT
        )
        assert estimator.latest() == {"alpha": alpha}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.5}, "alpha must be from 0 to 1"),
        ({"alpha": -0.1}, "alpha must be from 0 to 1"),
        ({"kl_weight": 0.0}, "kl_weight must be"),
        ({"num_samples": 0}, "num_samples must be"),
    ],
)
def test_arguments(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        LocalDivergence(**arguments)


def test_refuses_coupled_variables() -> None:
    made: Estimator = LocalDivergence()
    with pytest.raises(TypeError, match=r"^LocalDivergence needs independent variables"):
        made(coupled_distribution(), lambda z: z[..., 0].sum(-1))
