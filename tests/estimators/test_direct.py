"""Direct: a plain reference draw by draw, closed forms of its mean, its bias, "auto", errors."""

from __future__ import annotations

import math

import pytest
import torch
from estimator_problems import (
    gradient_of,
    logit_gradient,
    random_logits,
    random_noise,
    seeded,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import Categorical, Direct, ExponentialDecay
from reference import (
    Function,
    Interaction,
    changes_around,
    direct_expectation,
    expected_gradient,
    separable,
)
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}


def one_hot_of(scores: Tensor) -> Tensor:
    """The argmax, variable by variable, in plain Python."""
    z = torch.zeros_like(scores)
    flat, rows = scores.flatten(0, -2).tolist(), z.flatten(0, -2)
    for row, values in enumerate(flat):
        rows[row, values.index(max(values))] = 1
    return rows.reshape(scores.shape)


def reference_gradient(
    logits: Tensor,
    noise: Tensor,
    function: Function,
    epsilon: float | str,
    scale: float,
    two_sided: bool,
) -> Tensor:
    """The estimator in loops: one problem and one draw at a time."""
    gradient = torch.zeros_like(logits)
    num_samples, batch_size = noise.shape[:2]
    samples = [one_hot_of(logits + noise[s]) for s in range(num_samples)]
    tables = [changes_around(function, z) for z in samples]
    for b in range(batch_size):
        if epsilon == "auto":
            variances = [
                sum((x - sum(row) / len(row)) ** 2 for x in row) / len(row)
                for table in tables
                for row in table[b].tolist()
            ]
            step = scale / math.sqrt(sum(variances) / len(variances))
        else:
            step = epsilon
        for s in range(num_samples):
            perturbed = logits[b] + noise[s, b]
            lower = one_hot_of(perturbed - step * tables[s][b])
            if two_sided:
                difference = (one_hot_of(perturbed + step * tables[s][b]) - lower) / 2
            else:
                difference = samples[s][b] - lower
            gradient[b] += difference / step / num_samples
    return gradient


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4)),
    st.integers(1, 3),
    st.sampled_from([0.05, 0.5, 5.0, "auto"]),
    st.booleans(),
    st.integers(0, 50),
)
def test_every_draw_equals_a_plain_reference(
    sizes: tuple[int, int, int], num_samples: int, epsilon: float | str, two_sided: bool, seed: int
) -> None:
    logits = random_logits(*sizes, seed=seed).detach()
    noise = random_noise(num_samples, *sizes, seed=seed)
    objective = Interaction(*sizes, scale=3.0, seed=seed)
    objective.requires_grad_(False)
    estimator = Direct(epsilon, scale=1.3, two_sided=two_sided, num_samples=num_samples)
    expected = reference_gradient(logits, noise, objective, epsilon, 1.3, two_sided)
    torch.testing.assert_close(
        gradient_of(estimator, logits, objective, noise=noise), expected, **EXACT
    )


def test_a_smaller_step_of_a_larger_loss_finds_the_same_argmax() -> None:
    """ε f decides z^ε, and 1/ε scales the difference: (ε/2, 2f) gives twice the gradient."""
    logits, noise = random_logits(200, 2, 3), random_noise(1, 200, 2, 3)
    objective = Interaction(200, 2, 3)
    for two_sided in (False, True):
        base = gradient_of(Direct(0.5, two_sided=two_sided), logits, objective, noise=noise)
        assert base.abs().max() == (1.0 if two_sided else 2.0)
        twice = gradient_of(
            Direct(0.25, two_sided=two_sided), logits, lambda z: 2 * objective(z), noise=noise
        )
        assert torch.equal(twice, 2 * base)


def test_a_tiny_loss_moves_no_argmax() -> None:
    logits, noise = random_logits(50, 1, 3), random_noise(1, 50, 1, 3)
    objective = Interaction(50, 1, 3, scale=1e-12)
    assert not gradient_of(Direct(0.5), logits, objective, noise=noise).any()


def quantile_noise(num_points: int, num_variables: int) -> Tensor:
    r"""Noise `(1, N^n, n, 2)` that stratifies n binary variables: exact sums instead of draws.

    Only the difference of a variable's two Gumbels matters; it is logistic. Its N quantile
    midpoints average any step function of it to within 1/N.
    """
    u = (torch.arange(num_points, dtype=torch.float64) + 0.5) / num_points
    logistic = u.logit()
    grid = torch.cartesian_prod(*[logistic] * num_variables).reshape(-1, num_variables)
    return torch.stack([torch.zeros_like(grid), grid], -1).unsqueeze(0)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("epsilon", [2.0, 0.5, 0.1])
def test_mean_of_one_binary_variable_without_chance(epsilon: float, two_sided: bool) -> None:
    points = 20_000
    logits = torch.tensor([[[0.3, -0.4]]], dtype=torch.float64)
    cost = separable(torch.tensor([[1.0, 2.5]], dtype=torch.float64))
    many = logits.expand(points, -1, -1)
    estimator = Direct(epsilon, two_sided=two_sided)
    mean = gradient_of(estimator, many, cost, noise=quantile_noise(points, 1)).mean(0)
    expected = direct_expectation(logits, cost, epsilon, two_sided=two_sided)[0]
    # Each of two indicator functions is off by at most 1/N.
    torch.testing.assert_close(mean, expected, rtol=0, atol=2 / (points * epsilon))
    assert expected.abs().min() > 100 * 2 / (points * epsilon)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("epsilon", [1.0, 0.2])
def test_mean_of_two_binary_variables_without_chance(epsilon: float, two_sided: bool) -> None:
    """f is not separable: around z*, coordinate-wise changes give the closed form all the same."""
    points = 400
    logits = torch.tensor([[[0.3, -0.4], [0.1, 0.6]]], dtype=torch.float64)

    def objective(z: Tensor) -> Tensor:
        first, second = z[..., 0, 1], z[..., 1, 1]
        return first - 2 * second + 3 * first * second

    many = logits.expand(points**2, -1, -1)
    estimator = Direct(epsilon, two_sided=two_sided)
    mean = gradient_of(estimator, many, objective, noise=quantile_noise(points, 2)).mean(0)
    expected = direct_expectation(logits, objective, epsilon, two_sided=two_sided)[0]
    limit = 4 / (points * epsilon)  # two indicators of two coordinates each
    torch.testing.assert_close(mean, expected, rtol=0, atol=limit)
    assert expected.abs().max() > 5 * limit


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize(("num_variables", "epsilon"), [(1, 1.0), (1, 0.2), (2, 1.0), (3, 0.5)])
def test_mean_in_closed_form(num_variables: int, epsilon: float, two_sided: bool) -> None:
    logits = random_logits(1, num_variables, 3).detach()
    objective = Interaction(1, num_variables, 3, scale=2.0)
    estimator = Direct(epsilon, two_sided=two_sided)
    many = logits.expand(30_000, -1, -1)
    gradients = gradient_of(estimator, many, objective, generator=seeded())
    expected = direct_expectation(logits, objective, epsilon, two_sided=two_sided)
    assert_mean(gradients, expected[0])


def test_mean_of_auto_in_closed_form() -> None:
    """For n = 1 the losses of a problem, hence its ε, do not depend on the draw."""
    logits = random_logits(1, 1, 4).detach()
    cost = torch.tensor([[0.0, 10.0, 30.0, 100.0]], dtype=torch.float64)
    epsilon = 0.8 / float(cost.std(correction=0))
    estimator = Direct("auto", scale=0.8)
    many = logits.expand(30_000, -1, -1)
    gradients = gradient_of(estimator, many, separable(cost), generator=seeded())
    assert_mean(gradients, direct_expectation(logits, separable(cost), epsilon)[0])
    assert estimator.latest()["epsilon"] == pytest.approx(epsilon, rel=1e-12)


@pytest.mark.parametrize(("two_sided", "order"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("num_variables", [1, 2, 3])
def test_bias_vanishes_with_epsilon(num_variables: int, two_sided: bool, order: int) -> None:
    """Also for n > 1 and an f that is not separable, because the variables are independent."""
    logits = random_logits(1, num_variables, 3).detach()
    objective = Interaction(1, num_variables, 3).requires_grad_(False)
    exact = expected_gradient(logits, objective)
    biases = [
        float((direct_expectation(logits, objective, e, two_sided=two_sided) - exact).norm())
        for e in (0.02, 0.01)
    ]
    assert 0 < biases[1] < 0.05 * float(exact.norm())
    assert biases[0] / biases[1] == pytest.approx(2**order, rel=0.05)


def test_small_epsilon_approaches_the_enumerated_gradient() -> None:
    logits = random_logits(1, 2, 3).detach()
    objective = Interaction(1, 2, 3, scale=2.0)
    exact = expected_gradient(logits, objective)[0]
    estimator = Direct(0.1, two_sided=True)
    many = logits.expand(60_000, -1, -1)
    assert_mean(gradient_of(estimator, many, objective, generator=seeded()), exact)
    # A large step is refused, so the comparison above says something.
    far = gradient_of(Direct(3.0), many, objective, generator=seeded())
    with pytest.raises(AssertionError, match="standard errors off"):
        assert_mean(far, exact)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("num_variables", [1, 3])
def test_auto_follows_the_size_of_the_loss(num_variables: int, two_sided: bool) -> None:
    logits, noise = random_logits(40, num_variables, 3), random_noise(2, 40, num_variables, 3)
    objective = Interaction(40, num_variables, 3)

    def run(function: Function) -> Tensor:
        estimator = Direct(two_sided=two_sided, num_samples=2)
        return gradient_of(estimator, logits, function, noise=noise)

    base = run(objective)
    assert base.abs().max() > 0
    for factor, constant in ((1000.0, 0.0), (1e-3, 0.0), (1.0, 100.0), (7.0, -300.0)):
        scaled = run(lambda z, a=factor, c=constant: a * objective(z) + c)
        torch.testing.assert_close(scaled, factor * base, rtol=1e-9, atol=0)


def test_auto_gives_each_problem_its_own_step() -> None:
    cost = torch.tensor([[[0.0, 1.0, 2.0]], [[0.0, 100.0, 200.0]], [[5.0, 5.0, 5.0]]]).double()
    logits = torch.zeros(3, 1, 3, dtype=torch.float64)
    noise = random_noise(1, 1, 1, 3, seed=4).expand(1, 3, 1, 3)
    gradient = gradient_of(Direct(), logits, separable(cost), noise=noise)
    torch.testing.assert_close(gradient[1], 100 * gradient[0], rtol=1e-12, atol=0)
    assert gradient[0].abs().max() > 0
    assert torch.equal(gradient[2], torch.zeros(1, 3, dtype=torch.float64))


def test_epsilon_and_scale_follow_their_schedules() -> None:
    schedule = ExponentialDecay(initial=0.8, rate=0.5, every=1, minimum=0.01)
    logits, noise = random_logits(20, 1, 3), random_noise(1, 20, 1, 3)
    objective = Interaction(20, 1, 3)
    by_epsilon, by_scale = Direct(schedule), Direct(scale=schedule)
    for step in range(3):
        assert by_epsilon.step == by_scale.step == step
        for estimator, fixed in (
            (by_epsilon, Direct(schedule(step))),
            (by_scale, Direct(scale=schedule(step))),
        ):
            actual = gradient_of(estimator, logits, objective, noise=noise)
            assert torch.equal(actual, gradient_of(fixed, logits, objective, noise=noise))
        assert by_epsilon.latest() == {"epsilon": pytest.approx(schedule(step), rel=1e-6)}


def test_the_gradient_is_weighted_by_what_follows() -> None:
    """∂(Σ w_b loss_b): the chain rule through the estimate."""
    logits, objective = random_logits(3, 2, 3), Interaction(3, 2, 3)
    weight = torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64)
    plain = logit_gradient(Direct(1.0)(Categorical(logits), objective, generator=seeded()), logits)
    estimate = Direct(1.0)(Categorical(logits), objective, generator=seeded())
    (gradient,) = torch.autograd.grad((estimate.loss * weight).sum(), logits)
    torch.testing.assert_close(gradient, weight[:, None, None] * plain, **EXACT)


def test_an_encoder_gets_the_gradient() -> None:
    features = random_logits(5, 4, seed=2).detach()
    weight = random_logits(4, 6, seed=3)
    objective = Interaction(5, 2, 3)
    logits = (features @ weight).unflatten(-1, (2, 3))
    Direct(1.0)(Categorical(logits), objective, generator=seeded()).loss.sum().backward()
    by_logits = gradient_of(Direct(1.0), logits, objective, generator=seeded())
    torch.testing.assert_close(weight.grad, features.T @ by_logits.flatten(1), **EXACT)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epsilon": 0.0}, ValueError, "epsilon must be a finite number above 0, got 0.0"),
        ({"epsilon": -1}, ValueError, "epsilon must be a finite number above 0, got -1"),
        ({"epsilon": math.nan}, ValueError, "epsilon must be a finite number above 0, got nan"),
        ({"epsilon": None}, TypeError, "epsilon must be a number above 0, got None"),
        ({"epsilon": "atuo"}, ValueError, "epsilon must be 'auto' or a number above 0, got 'atuo'"),
        ({"scale": 0}, ValueError, "scale must be a finite number above 0, got 0"),
        ({"epsilon": lambda step: -1.0}, ValueError, "epsilon must be a finite number above 0"),
    ],
)
def test_wrong_settings(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        Direct(**arguments)
