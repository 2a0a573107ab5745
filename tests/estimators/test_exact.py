"""Exact: autograd of the enumerated expectation."""

from __future__ import annotations

import pytest
import torch
from estimator_problems import logit_gradient, random_logits
from hypothesis import given
from hypothesis import strategies as st

from directmax import Categorical, Exact, PairwiseBinary
from reference import Interaction, expected_gradient, expected_loss, gibbs_probs, state_table

EXACT = {"rtol": 0, "atol": 1e-9}


@given(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 4)), st.integers(0, 50))
def test_value_and_gradients(sizes: tuple[int, int, int], seed: int) -> None:
    logits, objective = random_logits(*sizes, seed=seed), Interaction(*sizes, seed=seed)
    estimate = Exact()(Categorical(logits), objective)
    expected = expected_loss(logits, objective)
    torch.testing.assert_close(estimate.loss, expected, **EXACT)
    parameters = list(objective.parameters())
    by_parameters = torch.autograd.grad(estimate.loss.sum(), parameters, retain_graph=True)
    torch.testing.assert_close(
        by_parameters, torch.autograd.grad(expected.sum(), parameters), **EXACT
    )
    torch.testing.assert_close(
        logit_gradient(estimate, logits), expected_gradient(logits, objective), **EXACT
    )


def test_second_derivatives() -> None:
    logits, objective = random_logits(1, 2, 3), Interaction(1, 2, 3)
    assert torch.autograd.gradgradcheck(lambda h: Exact()(Categorical(h), objective).loss, logits)


@given(st.integers(1, 3), st.integers(1, 8), st.integers(0, 50))
def test_coupled_variables(batch: int, n: int, seed: int) -> None:
    """The Gibbs expectation, and its gradients by unary and pairwise potentials."""
    unary = random_logits(batch, n, 2, seed=seed)
    pairwise = random_logits(batch, n * (n - 1) // 2, seed=seed + 1)
    objective = Interaction(batch, n, 2, seed=seed)
    expected = (gibbs_probs(unary, pairwise) * state_table(unary, objective)).sum(-1)
    leaves = [unary, pairwise, *objective.parameters()]
    for perturbation in ("unary", "states"):
        q = PairwiseBinary(unary, pairwise, perturbation=perturbation)
        estimate = Exact()(q, objective)
        assert estimate.sample is None
        torch.testing.assert_close(estimate.loss, expected, **EXACT)
        torch.testing.assert_close(
            torch.autograd.grad(estimate.loss.sum(), leaves),
            torch.autograd.grad(expected.sum(), leaves, retain_graph=True),
            **EXACT,
        )


def test_second_derivatives_of_coupled_variables() -> None:
    potentials, objective = (random_logits(1, 3, 2), random_logits(1, 3)), Interaction(1, 3, 2)
    assert torch.autograd.gradgradcheck(
        lambda *h: Exact()(PairwiseBinary(*h), objective).loss, potentials
    )


@pytest.mark.parametrize(("num_variables", "num_values"), [(3, 2), (1, 8)])
def test_too_many_states(num_variables: int, num_values: int) -> None:
    q = Categorical(torch.zeros(1, num_variables, num_values))
    estimator = Exact(max_states=7)
    with pytest.raises(ValueError, match="= 8 states, the limit is 7"):
        estimator(q, lambda z: z.sum((-2, -1)))
    assert Exact(max_states=8)(q, lambda z: z.sum((-2, -1))).loss.item() == pytest.approx(
        num_variables
    )


@pytest.mark.parametrize("value", [0, 2.0, "8"])
def test_wrong_limits_are_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^max_states must be an integer"):
        Exact(max_states=value)
