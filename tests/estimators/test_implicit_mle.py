"""I-MLE: the direct estimator of a linearised loss, draw by draw; its bias; coupled variables."""

from __future__ import annotations

import math

import pytest
import torch
from estimator_problems import (
    FixedPairs,
    gradient_of,
    independent,
    random_logits,
    random_noise,
    seeded,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import Categorical, Direct, ImplicitMLE, PerturbedArgmax
from directmax.estimators._implicit_mle import conditional_argmax
from directmax.structures import Subsets
from reference import Function, Interaction, all_states, state_probs
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}


def multilinear(*sizes: int, seed: int = 0) -> Function:
    """Σ_i a_i·z_i plus a product over all variables of b_i·z_i, per problem: linear in each."""
    linear, factors = (random_logits(*sizes, seed=seed + s).detach() for s in (20, 21))

    def objective(z: Tensor) -> Tensor:
        return (z * linear).sum((-2, -1)) + 2 * (z * factors).sum(-1).prod(-1)

    return objective


SETTINGS = [
    {"epsilon": 0.3},
    {"epsilon": 3.0, "two_sided": True},
    {"epsilon": "auto", "scale": 0.7},
    {"epsilon": "auto", "two_sided": True},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("num_variables", "num_samples"), [(1, 1), (3, 1), (3, 4)])
def test_equals_direct_where_f_is_linear_in_every_variable(
    num_variables: int, num_samples: int, settings: dict[str, object]
) -> None:
    """The changes of f are then its slope, up to a constant a variable."""
    sizes = (40, num_variables, 3)
    logits, noise = random_logits(*sizes), random_noise(num_samples, *sizes)
    objective = multilinear(*sizes)
    gradients = [
        gradient_of(cls(num_samples=num_samples, **settings), logits, objective, noise=noise)
        for cls in (ImplicitMLE, Direct)
    ]
    torch.testing.assert_close(*gradients, **EXACT)
    assert gradients[0].abs().max() > 0.1


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4)),
    st.integers(1, 3),
    st.sampled_from([0.05, 0.5, 5.0]),
    st.booleans(),
    st.integers(0, 30),
)
def test_every_draw_as_it_is_written(
    sizes: tuple[int, int, int], num_samples: int, epsilon: float, two_sided: bool, seed: int
) -> None:
    """(argmax(h + γ) − argmax(h + γ − ε ∇f(z*)))/ε, averaged over the draws."""
    logits = random_logits(*sizes, seed=seed)
    noise = random_noise(num_samples, *sizes, seed=seed)
    objective = Interaction(*sizes, scale=3.0, seed=seed)
    expected = torch.zeros(sizes, dtype=torch.float64)

    def argmax(scores: Tensor) -> Tensor:
        return torch.zeros_like(scores).scatter(-1, scores.argmax(-1, keepdim=True), 1.0)

    for row in noise:
        perturbed = (logits + row).detach()
        z = argmax(perturbed).requires_grad_()
        (slope,) = torch.autograd.grad(objective(z).sum(), z)
        lower = argmax(perturbed - epsilon * slope)
        if two_sided:
            expected += (argmax(perturbed + epsilon * slope) - lower) / (2 * epsilon)
        else:
            expected += (z.detach() - lower) / epsilon
    estimator = ImplicitMLE(epsilon, two_sided=two_sided, num_samples=num_samples)
    gradient = gradient_of(estimator, logits, objective, noise=noise)
    torch.testing.assert_close(gradient, expected / num_samples, **EXACT)


@pytest.mark.parametrize("two_sided", [False, True])
def test_the_difference_is_divided_by_the_step(two_sided: bool) -> None:
    """ε ∇f decides z^ε, and 1/ε scales: (ε/2, 2f) gives exactly twice the gradient."""
    logits, noise = random_logits(200, 2, 3), random_noise(1, 200, 2, 3)
    objective = Interaction(200, 2, 3)
    base = gradient_of(ImplicitMLE(0.5, two_sided=two_sided), logits, objective, noise=noise)
    assert base.abs().max() == (1.0 if two_sided else 2.0)
    twice = gradient_of(
        ImplicitMLE(0.25, two_sided=two_sided), logits, lambda z: 2 * objective(z), noise=noise
    )
    assert torch.equal(twice, 2 * base)


@pytest.mark.parametrize("epsilon", [0.5, "auto"])
def test_the_step_knows_neither_the_batch_nor_what_follows(epsilon: float | str) -> None:
    """The slope of a problem's own f is used, whatever is done with the losses afterwards."""
    one, noise = random_logits(1, 2, 3).detach(), random_noise(40, 1, 2, 3)
    objective = Interaction(1, 2, 3, scale=3.0)
    alone = gradient_of(ImplicitMLE(epsilon, num_samples=40), one, objective, noise=noise)
    assert alone.any()
    leaf = one.expand(6, -1, -1).clone().requires_grad_()
    q = independent(leaf, noise.expand(-1, 6, -1, -1))
    loss = ImplicitMLE(epsilon, num_samples=40)(q, objective).loss
    (by_mean,) = torch.autograd.grad(loss.mean(), leaf)
    torch.testing.assert_close(by_mean, alone.expand(6, -1, -1) / 6, **EXACT)


def test_several_draws_average_their_gradients() -> None:
    logits, noise = random_logits(3, 2, 3), random_noise(5, 3, 2, 3)
    objective = Interaction(3, 2, 3, scale=3.0)
    singles = [gradient_of(ImplicitMLE(0.5), logits, objective, noise=row[None]) for row in noise]
    together = gradient_of(ImplicitMLE(0.5, num_samples=5), logits, objective, noise=noise)
    torch.testing.assert_close(together, torch.stack(singles).mean(0), **EXACT)


def rao_blackwell_mean(logits: Tensor, f: Function, epsilon: float, *, two_sided: bool) -> Tensor:
    """E_{z ∼ q} of the Rao-Blackwell form, `(n, k)`, by enumeration."""
    states, probs = all_states(*logits.shape[1:]), state_probs(logits.detach())[0]
    noise, many = 1e3 * states.unsqueeze(0), logits.detach().expand(len(states), -1, -1)
    estimator = ImplicitMLE(epsilon, rao_blackwell=True, two_sided=two_sided)
    return torch.einsum("d,dnk->nk", probs, gradient_of(estimator, many, f, noise=noise))


@given(st.integers(2, 5), st.integers(0, 50), st.sampled_from([0.01, 1.0, 50.0]))
def test_the_other_argmax_given_the_sample(k: int, seed: int, size: float) -> None:
    """Where the push does not depend on z*, its mean is a softmax again."""
    logits = random_logits(6, 2, k, seed=seed).detach()
    push = size * random_logits(6, 2, k, seed=seed + 1).detach()
    total, probs = torch.zeros_like(logits), logits.softmax(-1)
    for value, z in enumerate(torch.eye(k, dtype=torch.float64)):
        given_it = conditional_argmax(logits, z.expand(1, 6, 2, k), push.unsqueeze(0))[0]
        assert (given_it >= 0).all()
        torch.testing.assert_close(given_it.sum(-1), torch.ones(6, 2).double(), **EXACT)
        total += probs[..., value, None] * given_it
    torch.testing.assert_close(total, (logits - push).softmax(-1), **EXACT)


@pytest.mark.parametrize("two_sided", [False, True])
def test_rao_blackwell_has_the_same_mean(two_sided: bool) -> None:
    """Also where the slope of f depends on the variable's own value."""
    logits, objective = random_logits(1, 2, 3), Interaction(1, 2, 3, scale=2.0)
    plain = ImplicitMLE(1.0, two_sided=two_sided)
    many = logits.detach().expand(20_000, -1, -1)
    draws = gradient_of(plain, many, objective, generator=seeded())
    expected = rao_blackwell_mean(logits, objective, 1.0, two_sided=two_sided)
    assert_mean(draws, expected)


def test_two_sided_is_right_for_a_quadratic_f_as_epsilon_falls() -> None:
    """f(z) = (z_1 − 0.3)² of one variable, on with probability ¼: its slope is 0.4 · 3/16."""
    logits = torch.tensor([[[0.0, -math.log(3.0)]]], dtype=torch.float64)
    means = [
        rao_blackwell_mean(logits, lambda z: (z[..., 0, 1] - 0.3) ** 2, 1e-5, two_sided=two)[0, 1]
        for two in (True, False)
    ]
    assert float(means[0]) == pytest.approx(0.075, abs=1e-6)
    assert abs(float(means[1]) - 0.075) > 0.05  # one-sided: the slopes of one end only


@pytest.mark.parametrize("two_sided", [False, True])
def test_coupled_variables(two_sided: bool) -> None:
    """The gradients of the pairwise potentials too are those of `Direct` for a multilinear f."""
    unary, pairwise = random_logits(50, 3, 2), random_logits(50, 3, seed=1)
    noise, objective = random_noise(2, 50, 3, 2), multilinear(50, 3, 2)
    gradients = []
    for cls in (ImplicitMLE, Direct):
        q = FixedPairs(unary, pairwise, noise)
        loss = cls(0.7, two_sided=two_sided, num_samples=2)(q, objective).loss
        gradients.append(torch.autograd.grad(loss.sum(), [unary, pairwise]))
    torch.testing.assert_close(*gradients, **EXACT)
    assert all(g.abs().max() > 0.1 for g in gradients[0])


def test_inside_nothing_else_gets_a_gradient() -> None:
    logits, objective = random_logits(4, 2, 3), Interaction(4, 2, 3)
    estimate = ImplicitMLE(0.5)(Categorical(logits), objective, generator=seeded())
    assert all(p.grad is None for p in objective.parameters())
    estimate.loss.sum().backward()
    assert estimate.sample.grad is None
    wanted = torch.autograd.grad(objective(estimate.sample[0]).sum(), list(objective.parameters()))
    actual = [p.grad for p in objective.parameters()]
    torch.testing.assert_close(actual, list(wanted), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1000.0])
def test_saturated_logits(dtype: torch.dtype, size: float) -> None:
    logits = size * torch.tensor([[[1, -1, -1], [-1, 1, 1]]]).expand(9, -1, -1).to(dtype)
    for settings in SETTINGS:
        gradient = gradient_of(
            ImplicitMLE(**settings), logits, lambda z: 3 * z[..., 0].sum(-1) ** 2, noise=None
        )
        assert gradient.isfinite().all()
        assert gradient[:, 0].double().abs().max() < 1e-15  # 0 or 6 nats move nothing


@pytest.mark.parametrize("with_parameters", [False, True])
def test_an_f_without_slope_is_refused(with_parameters: bool) -> None:
    """Also where the parameters of f have a gradient and z has none."""
    inner = Interaction(2, 2, 3).requires_grad_(with_parameters)
    with pytest.raises(TypeError, match=r"^ImplicitMLE needs an f that is differentiable in z$"):
        ImplicitMLE(0.5)(Categorical(random_logits(2, 2, 3)), lambda z: inner(z.detach()))


def test_rao_blackwell_refuses_coupled_variables() -> None:
    q = FixedPairs(random_logits(1, 2, 2), random_logits(1, 1))
    with pytest.raises(TypeError, match=r"^rao_blackwell needs independent variables"):
        ImplicitMLE(0.5, rao_blackwell=True)(q, lambda z: z.sum((-2, -1)))


def test_a_layer_steps_by_the_derivative_of_the_mean() -> None:
    """λ of a layer is λ/b of f, as the table of other libraries says."""
    cost = torch.rand(8, 5, generator=torch.Generator().manual_seed(0))

    def f(z: Tensor) -> Tensor:
        return (z[..., 1] * cost).sum(-1)

    def slope(layer: bool) -> Tensor:
        weights = (cost.flip(0) / 4).requires_grad_()
        q = PerturbedArgmax(weights, Subsets(5, 2), noise="none")
        if layer:
            loss = f(ImplicitMLE(epsilon=2.0).rsample(q)).mean()
        else:
            loss = ImplicitMLE(epsilon=2.0 / 8)(q, f).loss.mean()
        loss.backward()
        assert weights.grad is not None
        return weights.grad

    assert bool(slope(layer=True).any())
    torch.testing.assert_close(slope(layer=True), slope(layer=False))
