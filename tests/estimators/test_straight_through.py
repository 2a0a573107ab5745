"""Straight-through, ReinMax and Gumbel-Rao: what they are exact for, their formulas, their bias."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from estimator_problems import (
    coupled_distribution,
    gradient_of,
    independent,
    random_logits,
    random_noise,
    seeded,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import (
    Categorical,
    Estimator,
    ExponentialDecay,
    GumbelRao,
    GumbelSoftmax,
    ReinMax,
    StraightThrough,
)
from directmax.gumbel import EULER_GAMMA
from reference import (
    Function,
    Interaction,
    all_states,
    expected_gradient,
    local_gradient,
    state_probs,
)
from significance import assert_mean, quantile

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4))


def slope_at(objective: Function, z: Tensor) -> Tensor:
    """∇f(z)."""
    z = z.detach().clone().requires_grad_()
    return torch.autograd.grad(objective(z).sum(), z)[0]


def mean_gradient(estimator: Estimator, logits: Tensor, objective: Function) -> Tensor:
    """The mean over the sample of one problem, by enumeration, `(n, k)`."""
    states = all_states(*logits.shape[1:])
    many = logits.expand(len(states), -1, -1)
    gradients = gradient_of(estimator, many, objective, noise=1e3 * states.unsqueeze(0))
    return torch.einsum("d,dnk->nk", state_probs(logits)[0], gradients)


def polynomial(degree: int, *sizes: int) -> Function:
    """Polynomials of every z_i, multiplied and, others of them, added: of that degree in each."""
    weights = random_logits(2, degree, *sizes).detach()

    def objective(z: Tensor) -> Tensor:
        powers = [
            sum((z * w).sum(-1) ** (d + 1) for d, w in enumerate(part)) + 0.3 for part in weights
        ]
        return powers[0].prod(-1) + powers[1].sum(-1)

    return objective


@given(SIZES, st.integers(1, 3), st.sampled_from([0.3, 1.0, 2.5]), st.integers(0, 30))
def test_the_formulas(
    sizes: tuple[int, int, int], num_samples: int, temperature: float, seed: int
) -> None:
    """τ is in the softmax and, for straight-through, divides; ReinMax as in its algorithm 2."""
    logits = random_logits(*sizes, seed=seed)
    noise = random_noise(num_samples, *sizes, seed=seed)
    objective = Interaction(*sizes, seed=seed)
    straight, reinmax = torch.zeros(2, *sizes, dtype=torch.float64)
    for z in independent(logits, noise).sample(num_samples):
        slope = slope_at(objective, z)
        probs = (logits / temperature).softmax(-1)
        straight += torch.autograd.grad((probs * slope).sum(), logits)[0] / num_samples

        middle = 0.5 * (z + (logits / temperature).softmax(-1))
        middle = ((middle.log() - logits).detach() + logits).softmax(-1)
        second = 2 * middle - 0.5 * logits.softmax(-1)
        reinmax += torch.autograd.grad((second * slope).sum(), logits)[0] / num_samples
    for cls, expected in ((StraightThrough, straight), (ReinMax, reinmax)):
        estimator = cls(temperature, num_samples=num_samples)
        gradient = gradient_of(estimator, logits, objective, noise=noise)
        torch.testing.assert_close(gradient, expected, **EXACT)


@pytest.mark.parametrize("sizes", [(1, 4), (2, 3), (3, 2)])
def test_straight_through_is_unbiased_for_a_multilinear_f(sizes: tuple[int, int]) -> None:
    logits, objective = random_logits(1, *sizes).detach(), polynomial(1, *sizes)
    exact = expected_gradient(logits, objective)[0]
    mean = mean_gradient(StraightThrough(), logits, objective)
    torch.testing.assert_close(mean, exact, **EXACT)
    for other in (mean_gradient(StraightThrough(2.0), logits, objective), 2 * mean):
        assert (other - exact).abs().max() > 0.01


@pytest.mark.parametrize("sizes", [(1, 4), (2, 3), (3, 2)])
def test_reinmax_is_unbiased_for_an_f_quadratic_in_every_variable(sizes: tuple[int, int]) -> None:
    logits, objective = random_logits(1, *sizes).detach(), polynomial(2, *sizes)
    exact = expected_gradient(logits, objective)[0]
    torch.testing.assert_close(mean_gradient(ReinMax(), logits, objective), exact, **EXACT)
    for estimator in (ReinMax(1.5), StraightThrough()):
        assert (mean_gradient(estimator, logits, objective) - exact).abs().max() > 0.01
    cubic = polynomial(3, *sizes)
    bias = mean_gradient(ReinMax(), logits, cubic) - expected_gradient(logits, cubic)[0]
    assert bias.abs().max() > 0.01


def test_straight_through_is_the_local_expectation_of_the_linearised_f() -> None:
    logits, objective = random_logits(1, 3, 3).detach(), Interaction(1, 3, 3)
    for state in all_states(3, 3)[::4]:
        z = state[None]
        slope, value = slope_at(objective, z), objective(z).detach()
        expected = local_gradient(
            logits, lambda w, z=z, g=slope, v=value: v + (g * (w - z)).sum((-2, -1)), z
        )
        gradient = gradient_of(StraightThrough(), logits, objective, noise=1e3 * z[None])
        torch.testing.assert_close(gradient, expected, **EXACT)


@pytest.mark.parametrize("cls", [StraightThrough, GumbelRao])
def test_temperature_follows_its_schedule(cls: type[StraightThrough | GumbelRao]) -> None:
    schedule = ExponentialDecay(initial=2.0, rate=0.5, every=1, minimum=0.01)
    logits, noise = random_logits(4, 1, 3), random_noise(1, 4, 1, 3)
    estimator, objective = cls(schedule), Interaction(4, 1, 3)
    for step in range(3):
        actual = gradient_of(estimator, logits, objective, noise=noise)
        fixed = gradient_of(cls(schedule(step)), logits, objective, noise=noise)
        assert torch.equal(actual, fixed)


# Gumbel-Rao


class Held(Categorical):
    """Given samples `(s, b, n, k)`, and the fresh noise `(K·s, b, n, k)` for the rest."""

    def __init__(self, logits: Tensor, z: Tensor, noise: Tensor) -> None:
        super().__init__(logits)
        self.held, self.fresh = z, noise

    def sample(self, num_samples: int = 1, *, generator: torch.Generator | None = None) -> Tensor:
        return self.held

    def noise(self, num_samples: int, *, generator: torch.Generator | None = None) -> Tensor:
        assert len(self.fresh) == num_samples
        return self.fresh


def test_gumbel_rao_as_it_is_written() -> None:
    """The Jacobian of softmax((h + γ)/τ), averaged over K draws of γ given the argmax."""
    draws, samples, temperature = 5, 2, 0.7
    logits, objective = random_logits(3, 2, 4), Interaction(3, 2, 4)
    noise = random_noise(draws * samples, 3, 2, 4) - EULER_GAMMA
    z = Categorical(logits).sample(samples, generator=seeded())
    estimator = GumbelRao(temperature, num_conditional=draws, num_samples=samples)
    loss = estimator(Held(logits, z, noise), objective).loss
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    expected = torch.zeros_like(gradient)
    normaliser = logits.exp().sum(-1, keepdim=True)
    for row, exponentials in enumerate((-(noise + EULER_GAMMA)).exp()):
        held = z[row % samples]
        least = (exponentials * held).sum(-1, keepdim=True) / normaliser
        others = exponentials * (-logits).exp() * (1 - held)
        perturbed = (-(others + least).log()).detach()  # h + γ, up to a constant
        relaxed = ((logits + (perturbed - logits).detach()) / temperature).softmax(-1)
        total = (relaxed * slope_at(objective, held)).sum() / (draws * samples)
        expected += torch.autograd.grad(total, logits)[0]
    torch.testing.assert_close(gradient, expected, **EXACT)


def relaxed_mean(logits: Tensor, objective: Function, temperature: float) -> Tensor:
    """The mean of GumbelSoftmax(straight_through) for one binary variable, by Gauss's rule.

    σ(δ), with δ the difference of the Gumbels, is uniform; the sample switches at δ = −φ.
    """
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(40))
    switch = torch.sigmoid(logits[0, 0, 0] - logits[0, 0, 1])
    fine = torch.linspace(0, 1, 101, dtype=torch.float64) ** 2  # finer towards the switch
    edges = torch.cat([switch * (1 - fine.flip(0)), (switch + (1 - switch) * fine)[1:]])
    width = edges.diff()[:, None]
    v = (edges[:-1, None] + width * (nodes + 1) / 2).flatten()
    noise = torch.stack([torch.zeros_like(v), v.logit()], -1)[None, :, None, :]
    estimator = GumbelSoftmax(temperature, straight_through=True)
    gradients = gradient_of(estimator, logits.expand(len(v), -1, -1), objective, noise=noise)
    return torch.einsum("d,dnk->nk", (width * weights / 2).flatten(), gradients)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("num_conditional", [1, 8])
def test_gumbel_rao_has_the_mean_of_straight_through_gumbel_softmax(
    temperature: float, num_conditional: int
) -> None:
    logits, objective = torch.tensor([[[0.4, -0.3]]]).double(), Interaction(1, 1, 2, scale=2.0)
    expected = relaxed_mean(logits, objective, temperature)
    exact = expected_gradient(logits, objective)[0]
    assert (expected - exact).abs().max() > 0.05  # biased, both in the same way
    estimator = GumbelRao(temperature, num_conditional=num_conditional)
    many = logits.expand(20_000, -1, -1)
    assert_mean(gradient_of(estimator, many, objective, generator=seeded()), expected)


def squares(gradients: Tensor) -> tuple[float, float]:
    """The total variance of draws, and its standard error."""
    squared = (gradients - gradients.mean(0)).square().sum((-2, -1))
    return float(squared.mean()), float(squared.std()) / math.sqrt(len(squared))


def test_more_conditional_draws_give_less_variance() -> None:
    """One is as noisy as Gumbel-Softmax; the differences are many standard errors."""
    logits, objective = random_logits(1, 2, 3).detach(), Interaction(1, 2, 3)
    many = logits.expand(10_000, -1, -1)
    estimators = [GumbelSoftmax(0.2, straight_through=True)]
    estimators += [GumbelRao(0.2, num_conditional=draws) for draws in (1, 3, 30)]
    variances = [
        squares(gradient_of(estimator, many, objective, generator=seeded(seed)))
        for seed, estimator in enumerate(estimators)
    ]
    gaps = [
        (first - second) / math.hypot(e, f)
        for (first, e), (second, f) in itertools.pairwise(variances)
    ]
    assert abs(gaps[0]) < quantile()
    assert min(gaps[1:]) > quantile()
    assert variances[3][0] < 0.5 * variances[1][0]


def test_the_bias_of_gumbel_rao_shrinks_with_the_temperature() -> None:
    """For a linear f, on a grid of the noise instead of draws."""
    logits = torch.tensor([[[0.6, -0.5]]]).double()
    cost = torch.tensor([[1.0, -2.0]]).double()
    exact = expected_gradient(logits, lambda z: (z * cost).sum((-2, -1)))[0]
    u = (torch.arange(300, dtype=torch.float64) + 0.5) / 300
    grid = -(-torch.cartesian_prod(u, u).log()).log() - EULER_GAMMA  # (N², 2)
    many = logits.expand(len(grid), -1, -1).clone().requires_grad_()
    biases = []
    for temperature in (1.0, 0.5, 0.25, 0.125):
        mean = torch.zeros(1, 2, dtype=torch.float64)
        for value, prob in zip(torch.eye(2).double(), logits[0, 0].softmax(-1), strict=True):
            q = Held(many, value.expand(1, len(grid), 1, 2), grid[None, :, None])
            loss = GumbelRao(temperature, num_conditional=1)(
                q, lambda z: (z * cost).sum((-2, -1))
            ).loss
            mean += prob * torch.autograd.grad(loss.mean(), many)[0].sum(0)
        biases.append(float((mean - exact).norm() / exact.norm()))
    assert biases[0] > 0.05
    assert biases[0] > 2 * biases[1] > 4 * biases[2]
    assert biases[3] < 0.01


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1000.0])
@pytest.mark.parametrize("estimator", [StraightThrough(0.1), ReinMax(1.3), GumbelRao(0.1)])
def test_saturated_logits(dtype: torch.dtype, size: float, estimator: Estimator) -> None:
    logits = size * torch.tensor([[[1, -1, -1], [-1, 1, 1]]]).expand(50, -1, -1).to(dtype)
    gradient = gradient_of(estimator, logits, lambda z: 30 * z[..., 0].sum(-1) ** 2)
    assert gradient.isfinite().all()
    assert gradient[:, 0].double().abs().max() < 1e-15


@pytest.mark.parametrize("cls", [StraightThrough, ReinMax, GumbelRao])
def test_what_is_refused(cls: type[StraightThrough | ReinMax | GumbelRao]) -> None:
    for value in (0, -0.5, math.inf, "1", None):
        with pytest.raises((TypeError, ValueError), match=r"^temperature must be "):
            cls(value)
    with pytest.raises(TypeError, match=rf"^{cls.__name__} needs independent variables"):
        cls()(coupled_distribution(), lambda z: z.sum((-2, -1)))
    with pytest.raises(ValueError, match=r"^num_conditional must be an integer of at least 1"):
        GumbelRao(num_conditional=0)
