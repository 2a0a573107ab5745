"""Local expectation: exactly unbiased, by summation over every sample it may draw."""

from __future__ import annotations

import pytest
import torch
from estimator_problems import coupled_distribution, gradient_of, random_logits, seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import Categorical, Decoder, LocalExpectation, Reconstruction
from reference import (
    Interaction,
    all_states,
    expected_gradient,
    local_gradient,
    state_probs,
)

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 4))


def noise_that_draws(z: Tensor) -> Tensor:
    """Noise under which the sample is z, whatever (moderate) logits."""
    return 1e3 * z.unsqueeze(0)


@given(SIZES, st.integers(0, 50))
def test_unbiased_by_enumeration(sizes: tuple[int, int, int], seed: int) -> None:
    """Σ_z q(z) · (its gradient where it draws z) is the enumerated gradient."""
    logits = random_logits(*sizes, seed=seed).detach()
    objective = Interaction(*sizes, seed=seed)
    total = torch.zeros_like(logits)
    for state, prob in zip(all_states(*sizes[1:]), state_probs(logits).unbind(-1), strict=True):
        z = state.expand(sizes)
        gradient = gradient_of(LocalExpectation(), logits, objective, noise=noise_that_draws(z))
        torch.testing.assert_close(gradient, local_gradient(logits, objective, z), **EXACT)
        total += prob[:, None, None] * gradient
    torch.testing.assert_close(total, expected_gradient(logits, objective), **EXACT)


def test_unbiased_by_enumeration_through_the_fast_tables() -> None:
    decoder = Decoder(2, 3, 5, hidden=4).double()
    with torch.no_grad():
        for number, parameter in enumerate(decoder.parameters()):
            parameter.copy_(random_logits(*parameter.shape, seed=number))
    objective = Reconstruction(decoder, torch.eye(5, dtype=torch.float64)[:4])
    logits = random_logits(4, 2, 3).detach()
    total = torch.zeros_like(logits)
    for state, prob in zip(all_states(2, 3), state_probs(logits).unbind(-1), strict=True):
        noise = noise_that_draws(state.expand(4, 2, 3))
        total += prob[:, None, None] * gradient_of(
            LocalExpectation(), logits, objective, noise=noise
        )
    torch.testing.assert_close(total, expected_gradient(logits, objective), **EXACT)


def test_one_variable_is_exact_whatever_it_draws() -> None:
    logits, objective = random_logits(5, 1, 4), Interaction(5, 1, 4)
    gradient = gradient_of(LocalExpectation(), logits, objective, generator=seeded())
    torch.testing.assert_close(gradient, expected_gradient(logits, objective), **EXACT)


def test_several_draws_average_their_gradients() -> None:
    logits, objective = random_logits(2, 3, 3).detach(), Interaction(2, 3, 3)
    z = Categorical(logits).sample(4, generator=seeded())
    expected = torch.stack([local_gradient(logits, objective, row) for row in z]).mean(0)
    gradient = gradient_of(LocalExpectation(num_samples=4), logits, objective, noise=1e3 * z)
    torch.testing.assert_close(gradient, expected, **EXACT)


def test_large_losses_do_not_cancel_in_float32() -> None:
    logits = random_logits(20, 2, 3).detach()
    objective = Interaction(20, 2, 3).requires_grad_(False)
    noise = noise_that_draws(Categorical(logits).mode())
    exact = gradient_of(LocalExpectation(), logits, objective, noise=noise)

    def shifted(z: Tensor) -> Tensor:
        return (objective(z.double()) + 2.0**9).float()

    single = gradient_of(LocalExpectation(), logits.float(), shifted, noise=noise.float())
    # The losses themselves are rounded to 2^-15; nothing beyond that is lost.
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=2.0**-15)


def test_other_distributions_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^LocalExpectation needs independent variables"):
        LocalExpectation()(coupled_distribution(), lambda z: z.sum((-2, -1)))
