"""Gradients through an argmax over any set: against quadrature, and against other distributions."""

from __future__ import annotations

import pytest
import torch
from estimator_problems import random_logits, seeded
from pairwise_estimates import all_interactions, losses_of
from torch import Tensor

from directmax import (
    ClampedArgmax,
    Direct,
    Estimator,
    ImplicitMLE,
    LabelledDirect,
    PairwiseBinary,
    PerturbedArgmax,
)
from directmax.structures import Chain
from perturbed_problems import ASSIGNMENTS, NO_NEIGHBOURS, ONE_OF_THREE, tries_all
from reference import Function, perturb_and_map_gradient, perturb_and_map_probs
from significance import assert_mean

FORBIDDEN = -16.0
"""A coupling that the noise overcomes once in a million draws."""


def gradients(
    estimator: Estimator, unary: Tensor, allowed: Tensor, f: Function, draws: int
) -> Tensor:
    """Independent gradients of one problem's potentials `(n, k)`, `(draws, n, k)`."""
    leaf = unary.expand(draws, -1, -1).clone().requires_grad_()
    q = PerturbedArgmax(leaf, tries_all(allowed))
    return torch.autograd.grad(estimator(q, f, generator=seeded()).loss.sum(), leaf)[0]


def inside(allowed: Tensor, f: Function) -> Function:
    """f, which fails outside of the set."""

    def checked(z: Tensor) -> Tensor:
        values = z.argmax(-1).unsqueeze(-2)
        assert bool((values == allowed).all(-1).any(-1).all())
        return f(z)

    return checked


def test_clamped_argmax_is_unbiased_on_a_set() -> None:
    """The independent sets of a path, as a `PairwiseBinary` that forbids two neighbours."""
    unary = torch.tensor([[0.0, 0.4], [0.0, 1.0], [0.2, 0.0]], dtype=torch.float64)
    pairwise = torch.tensor([FORBIDDEN, 0.0, FORBIDDEN], dtype=torch.float64)
    probs = perturb_and_map_probs(unary, pairwise)
    assert int((probs > 1e-4).sum()) == len(NO_NEIGHBOURS)
    expected = perturb_and_map_gradient(unary, pairwise, losses_of(all_interactions, 3))[:3]
    found = gradients(
        ClampedArgmax(), unary, NO_NEIGHBOURS, inside(NO_NEIGHBOURS, all_interactions), 60_000
    )
    torch.testing.assert_close(found[..., 0], -found[..., 1], rtol=0, atol=1e-12)
    assert_mean(found[..., 1], expected)


def one_of_three_gradient(unary: Tensor, losses: Tensor) -> Tensor:
    """∂E[f] by the weights, where exactly one variable is on, by quadrature on a line.

    P(z* = e_i) = ∫ p(x − w_i) Π_{j≠i} F(x − w_j) dx with the logistic density p and its integral F.
    """
    weights = (unary[:, 1] - unary[:, 0]).detach().requires_grad_()
    x = torch.linspace(-40, 40, 20_001, dtype=torch.float64)[:, None]
    below = torch.sigmoid(x - weights)  # (x, 3)
    density = below * torch.sigmoid(weights - x)
    others = below.prod(-1, keepdim=True) / below
    probs = (density * others).sum(0) * 80 / 20_000
    torch.testing.assert_close(probs.sum(), torch.ones_like(probs.sum()), rtol=0, atol=1e-8)
    return torch.autograd.grad((probs * losses).sum(), weights)[0]


def test_clamped_argmax_is_unbiased_where_one_is_on() -> None:
    unary = torch.tensor([[0.0, 0.5], [0.3, 0.0], [0.0, -1.0]], dtype=torch.float64)
    cost = torch.tensor([3.0, -1.0, 0.0], dtype=torch.float64)

    def f(z: Tensor) -> Tensor:
        return (z[..., 1] * cost).sum(-1)

    expected = one_of_three_gradient(unary, cost)
    found = gradients(ClampedArgmax(num_samples=2), unary, ONE_OF_THREE, f, 20_000)
    assert_mean(found[..., 1], expected)
    # A linear f: the direct estimator's argmax of the loss is exact, and its bias small.
    found = gradients(Direct(0.2, two_sided=True), unary, ONE_OF_THREE, f, 200_000)
    error = found[..., 1].std(0) / len(found) ** 0.5
    assert ((found[..., 1].mean(0) - expected).abs() < 4 * error + 0.01).all()
    assert expected.abs().min() > 0.1


def test_direct_s_second_argmax_is_exact_for_a_linear_loss() -> None:
    """Of matchings with four values each: z^ε is the argmax of h + γ − ε f, draw by draw."""
    unary, cost = random_logits(5, 4, 4), random_logits(5, 4, 4, seed=1).detach()
    q = PerturbedArgmax(unary, tries_all(ASSIGNMENTS))

    def f(z: Tensor) -> Tensor:
        return (z * cost).sum((-2, -1))

    estimate = Direct(0.5)(q, f, generator=seeded())
    noise = q.noise(1, generator=seeded())
    lower = tries_all(ASSIGNMENTS)(unary.detach() + noise - 0.5 * cost)
    expected = 2 * (estimate.sample[0] - torch.nn.functional.one_hot(lower[0], 4))
    assert expected.abs().sum() > 0
    (found,) = torch.autograd.grad(estimate.loss.sum(), unary)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(estimate.loss, f(estimate.sample)[0])


@pytest.mark.parametrize(
    "estimator",
    [Direct(0.3, two_sided=True, num_samples=50), ImplicitMLE(0.3, num_samples=50)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_the_gradient_of_a_pairwise_distribution(estimator: Estimator) -> None:
    """These also serve a maximiser with potentials of its own: they look at its answers only."""
    pairwise = random_logits(4, 3, seed=3).detach()
    unary = random_logits(4, 3, 2)
    coupled = PairwiseBinary(unary, pairwise)

    def maximise(potentials: Tensor) -> Tensor:
        return coupled.solver(potentials, pairwise).value[..., 1] > 0

    found = []
    for q in (coupled, PerturbedArgmax(unary, maximise)):
        loss = estimator(q, all_interactions, generator=seeded()).loss.sum()
        found.append(torch.autograd.grad(loss, unary)[0])
    assert found[0].abs().max() > 0.1
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)


def test_a_variable_without_a_choice_has_no_gradient() -> None:
    always = NO_NEIGHBOURS[NO_NEIGHBOURS[:, 0] == 1]
    unary = torch.zeros(3, 2, dtype=torch.float64)
    found = gradients(ClampedArgmax(), unary, always, inside(always, all_interactions), 100)
    assert torch.equal(found[:, :2], torch.zeros(100, 2, 2, dtype=torch.float64))
    assert found[:, 2].abs().min() > 0


def test_labels_teach_the_argmax() -> None:
    """Some persons' tasks are known: the solver fills in the others, and learns."""
    unary = torch.zeros(8, 4, 4, requires_grad=True)
    labels = torch.tensor([[2, 0, -1, -1]]).expand(8, -1)
    optimizer = torch.optim.Adam([unary], lr=0.3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        q = PerturbedArgmax(unary, tries_all(ASSIGNMENTS))
        loss = LabelledDirect(num_samples=4)(q, labels, generator=generator).loss
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    assert (q.mode()[:, :2].argmax(-1) == torch.tensor([2, 0])).all()
    assert float(loss.detach().mean()) < 0.1
    with pytest.raises(TypeError, match=r"^PerturbedArgmax is known by its samples only"):
        LabelledDirect(rao_blackwell=True)(q, labels)


def test_only_binary_variables_can_be_clamped() -> None:
    q = PerturbedArgmax(torch.zeros(1, 4, 4), tries_all(ASSIGNMENTS))
    with pytest.raises(TypeError, match=r"^ClampedArgmax needs binary variables, got 4 values"):
        ClampedArgmax()(q, lambda z: z[..., 0].sum(-1))


def test_transitions_beyond_the_length_of_a_chain_have_no_gradient() -> None:
    """Two places, as a `PairwiseBinary`; the third is not of the chain."""
    unary = torch.tensor([[0.3, 0.0], [0.0, 0.6], [0.0, 5.0]], dtype=torch.float64)
    table = torch.tensor([[0.5, -1.0], [0.2, 0.9]], dtype=torch.float64)

    def f(z: Tensor) -> Tensor:  # of both places together
        return (z[..., 0, 1] + 2 * z[..., 1, 1] - 0.8) ** 2

    pull = (
        torch.stack([table[1, 0], table[0, 1]]) - table[0, 0]
    )  # T_ij in terms of z_i, z_j, z_i z_j
    both = torch.stack(
        [torch.zeros(2, dtype=torch.float64), unary[:2, 1] - unary[:2, 0] + pull], -1
    )
    coupling = (table[0, 0] + table[1, 1] - table[0, 1] - table[1, 0]).reshape(1)
    first, second, pair = perturb_and_map_gradient(both, coupling, losses_of(f, 2))
    expected = torch.stack([pair - first - second, second - pair, first - pair, pair])

    draws = 20_000
    transitions = table.expand(draws, 2, 2, 2).clone().requires_grad_()
    chain = Chain(3, 2, transitions, lengths=torch.full((draws,), 2))
    q = PerturbedArgmax(unary.expand(draws, -1, -1), chain)
    loss = ClampedArgmax()(q, f, generator=seeded()).loss
    (found,) = torch.autograd.grad(loss.sum(), transitions)
    assert_mean(found[:, 0].flatten(1), expected)
    assert bool((found[:, 1] == 0).all())
