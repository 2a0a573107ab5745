"""REBAR and RELAX: the formula, no bias, the gradients of τ, η and r, what they leave alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from estimator_problems import (
    FixedNoise,
    coupled_distribution,
    gradient_of,
    random_logits,
    random_noise,
    seeded,
)
from torch import Tensor, nn

from directmax import Categorical, Rebar, Relax, ScoreFunction
from directmax.estimators import Surrogate
from directmax.gumbel import EULER_GAMMA
from reference import Interaction, expected_gradient, is_one_hot
from significance import assert_mean

EXACT = {"rtol": 0, "atol": 1e-9}


def surrogate(*sizes: int, seed: int = 5) -> Surrogate:
    """r with weights that are not zero, in float64."""
    network = Surrogate(*sizes, hidden=3).double()
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.copy_(random_logits(*parameter.shape, seed=seed + number))
    return network


def make(name: str, *sizes: int, **settings: float) -> Rebar:
    """By name, in float64, with τ and η away from the defaults."""
    settings = {"temperature": 0.8, "scale": 0.6, **settings}
    if name == "rebar":
        return Rebar(**settings).double()
    if name == "black box":
        settings["scale"] = None
    return Relax(surrogate(*sizes), **settings).double()


NAMES = ["rebar", "relax", "black box"]
EVERY = pytest.mark.parametrize("name", NAMES)


def plain(
    estimator: Rebar, logits: Tensor, noise: Tensor, objective: Callable[[Tensor], Tensor]
) -> Tensor:
    """(f(z) − c(s̃)) ∇log q(z) + ∇c(s) − ∇c(s̃), draw by draw; γ̃ | z is made of the same noise."""
    logits = logits.detach().requires_grad_()
    temperature, scale = estimator.log_temperature.detach().exp(), estimator.scale.detach()
    total = torch.zeros_like(logits)

    def control(scores: Tensor) -> Tensor:
        relaxed = (scores / temperature).softmax(-1)
        value = scale * objective(relaxed)
        return value + estimator.surrogate(relaxed) if isinstance(estimator, Relax) else value

    for row in noise:
        scores = logits + row
        z = torch.zeros_like(row).scatter(-1, scores.argmax(-1, keepdim=True), 1.0)
        exponentials = (-(row + EULER_GAMMA)).exp()
        least = (z * exponentials).sum(-1, keepdim=True) / logits.exp().sum(-1, keepdim=True)
        given = -((1 - z) * exponentials * (-logits).exp() + least).log()
        reward = (objective(z) - control(given)).detach()
        log_prob = (z * logits.log_softmax(-1)).sum((-2, -1))
        value = reward * log_prob + control(scores) - control(given)
        total += torch.autograd.grad(value.sum(), logits)[0] / len(noise)
    return total


@EVERY
@pytest.mark.parametrize("sizes", [(1, 4), (2, 3), (3, 2)])
@pytest.mark.parametrize("num_samples", [1, 3])
def test_every_draw_as_it_is_written(name: str, sizes: tuple[int, int], num_samples: int) -> None:
    logits, noise = random_logits(4, *sizes), random_noise(num_samples, 4, *sizes)
    estimator = make(name, *sizes, num_samples=num_samples)
    objective = Interaction(4, *sizes).requires_grad_(False)
    expected = plain(estimator, logits, noise, objective)
    for _ in range(2):  # a call that learns, and one that does not
        gradient = gradient_of(estimator, logits, objective, noise=noise)
        torch.testing.assert_close(gradient, expected, **EXACT)


@EVERY
@pytest.mark.parametrize(("sizes", "temperature"), [((1, 3), 0.3), ((2, 3), 2.0), ((3, 2), 0.7)])
def test_unbiased(name: str, sizes: tuple[int, int], temperature: float) -> None:
    """Whatever τ, η and r are."""
    logits, objective = random_logits(1, *sizes).detach(), Interaction(1, *sizes, scale=2.0)
    estimator = make(name, *sizes, temperature=temperature, learn_every=0)
    many = logits.expand(20_000, -1, -1)
    gradients = gradient_of(estimator, many, objective, generator=seeded())
    assert_mean(gradients, expected_gradient(logits, objective)[0])


def test_without_control_variate_it_is_the_score_function() -> None:
    logits, noise = random_logits(4, 2, 3), random_noise(2, 4, 2, 3)
    objective = Interaction(4, 2, 3)
    expected = gradient_of(
        ScoreFunction(num_samples=2, baseline="none"), logits, objective, noise=noise
    )
    for estimator in (
        Rebar(scale=0, num_samples=2),
        Relax(Surrogate(2, 3), scale=None, num_samples=2),
    ):
        gradient = gradient_of(estimator, logits, objective, noise=noise)
        torch.testing.assert_close(gradient, expected, **EXACT)


@EVERY
@pytest.mark.parametrize("num_samples", [1, 2])
def test_gradients_of_the_parameters_are_those_of_the_squared_norm(
    name: str, num_samples: int
) -> None:
    """By central differences, with the noise held; with a mean of losses, mean over problems."""
    sizes = (3, 2, 3)
    logits, noise = random_logits(*sizes), random_noise(num_samples, *sizes)
    objective = Interaction(*sizes).requires_grad_(False)
    estimator = make(name, *sizes[1:], num_samples=num_samples)
    learned = [p for p in estimator.parameters() if p.requires_grad]
    assert len(learned) == {"rebar": 2, "relax": 6, "black box": 5}[name]
    estimator(FixedNoise(logits, noise), objective).loss.mean().backward()

    def mean_square() -> float:
        return float(gradient_of(estimator, logits, objective, noise=noise).square().sum()) / 3

    step = 1e-5
    for parameter in learned:
        for entry in range(parameter.numel()):
            values = []
            for shift in (step, -2 * step):
                parameter.data.view(-1)[entry] += shift
                values.append(mean_square())
            parameter.data.view(-1)[entry] += step
            slope = (values[0] - values[1]) / (2 * step)
            actual = float(parameter.grad.view(-1)[entry])
            assert actual == pytest.approx(slope, rel=1e-6, abs=1e-7)
        assert parameter.grad.abs().max() > 1e-3


@EVERY
def test_learns_at_every_fourth_call_in_training_mode(name: str) -> None:
    logits, objective = random_logits(4, 2, 3), Interaction(4, 2, 3)
    estimator = make(name, 2, 3)
    learned = [p for p in estimator.parameters() if p.requires_grad]
    for call in range(9):
        estimator.zero_grad()
        estimator(Categorical(logits), objective, generator=seeded(call)).loss.mean().backward()
        for parameter in learned:
            assert parameter.grad is not None
            assert bool(parameter.grad.any()) == (call % 4 == 0)
    estimator.eval().zero_grad()
    estimator.step = 0
    estimator(Categorical(logits), objective).loss.mean().backward()
    assert all(p.grad is None for p in estimator.parameters())
    never = make(name, 2, 3, learn_every=0)
    assert not any(p.requires_grad for p in never.parameters())
    never(Categorical(logits), objective).loss.mean().backward()


def test_a_model_that_is_unfrozen_as_a_whole_still_never_learns() -> None:
    estimator = Rebar(learn_every=0).requires_grad_(True)
    logits, objective = random_logits(4, 2, 3), Interaction(4, 2, 3)
    estimator(Categorical(logits), objective).loss.mean().backward()
    assert not any(p.grad is not None and p.grad.any() for p in estimator.parameters())


@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_learning_lowers_the_variance_from_a_bad_start(name: str) -> None:
    logits, objective = random_logits(1, 2, 3).detach(), Interaction(1, 2, 3, scale=2.0)
    objective.requires_grad_(False)
    estimator = make(name, 2, 3, temperature=8.0, scale=-1.0, learn_every=1)
    many = logits.expand(5000, -1, -1)

    def spread() -> float:
        gradients = gradient_of(estimator, many, objective, generator=seeded())
        assert_mean(gradients, expected_gradient(logits, objective)[0], resolution=1.0)
        return float(gradients.var(0).sum())

    before = spread()
    optimizer = torch.optim.Adam(estimator.parameters(), lr=0.05)
    few = logits.expand(64, -1, -1).clone().requires_grad_()
    for seed in range(150):
        optimizer.zero_grad()
        estimator(Categorical(few), objective, generator=seeded(seed)).loss.mean().backward()
        optimizer.step()
    assert spread() < 0.4 * before
    if name == "rebar":  # both have moved the right way
        latest = estimator.latest()
        assert latest["temperature"] < 7
        assert latest["scale"] > 0.3


def test_relax_with_a_surrogate_of_zero_is_rebar() -> None:
    logits, noise, objective = (
        random_logits(4, 2, 3),
        random_noise(1, 4, 2, 3),
        Interaction(4, 2, 3),
    )
    gradients = []
    for estimator in (Rebar(0.8, scale=0.6), Relax(Surrogate(2, 3), 0.8, scale=0.6)):
        leaf = logits.detach().clone().requires_grad_()
        estimator.double()(FixedNoise(leaf, noise), objective).loss.sum().backward()
        gradients.append([leaf.grad, estimator.log_temperature.grad, estimator.scale.grad])
    torch.testing.assert_close(*gradients, **EXACT)
    last = estimator.surrogate.last
    assert last.weight.grad.abs().min() > 0  # it starts to learn all the same


def test_a_black_box_is_asked_at_the_vertices_only() -> None:
    calls: list[int] = []

    def objective(z: Tensor) -> Tensor:
        assert is_one_hot(z)
        calls.append(z.shape[:-3].numel())
        return z.detach().round()[..., 0].sum(-1) ** 2

    logits = random_logits(4, 2, 3)
    estimator = make("black box", 2, 3, num_samples=3)
    for _ in range(2):
        estimator(Categorical(logits), objective, generator=seeded()).loss.sum().backward()
    assert calls == [3, 3]
    assert not estimator.needs_derivative
    assert Relax(Surrogate(2, 3)).needs_derivative


@pytest.mark.parametrize("name", ["rebar", "relax"])
@pytest.mark.parametrize("with_parameters", [False, True])
def test_an_f_without_slope_is_refused(name: str, with_parameters: bool) -> None:
    """The slope of r must not hide that f has none: the gradient would have a bias."""
    inner = Interaction(4, 2, 3).requires_grad_(with_parameters)
    with pytest.raises(TypeError, match=r"needs an f that is differentiable in z$"):
        make(name, 2, 3)(Categorical(random_logits(4, 2, 3)), lambda z: inner(z.detach()))


def test_an_f_without_slope_is_refused_after_another_with_one() -> None:
    """As where every batch brings its own f."""
    estimator, objective = make("relax", 2, 3), Interaction(4, 2, 3)
    logits = random_logits(4, 2, 3)
    estimator(Categorical(logits), objective)
    with pytest.raises(TypeError, match=r"needs an f that is differentiable in z$"):
        estimator(Categorical(logits), lambda z: objective(z.detach()))


@EVERY
@pytest.mark.parametrize("learn_every", [0, 1])
def test_the_objective_gets_the_gradient_at_the_sample_only(name: str, learn_every: int) -> None:
    logits, objective = random_logits(4, 2, 3), Interaction(4, 2, 3)
    estimator = make(name, 2, 3, learn_every=learn_every, num_samples=2)
    estimate = estimator(Categorical(logits), objective, generator=seeded())
    everything = [logits, *objective.parameters(), *estimator.parameters()]
    assert all(leaf.grad is None for leaf in everything)  # nothing leaks before backward
    estimate.loss.sum().backward()
    losses = objective(estimate.sample).mean(0).sum()
    wanted = torch.autograd.grad(losses, list(objective.parameters()))
    actual = [parameter.grad for parameter in objective.parameters()]
    torch.testing.assert_close(actual, list(wanted), **EXACT)


@EVERY
def test_the_state_is_saved_and_copied(name: str) -> None:
    logits, objective = random_logits(4, 2, 3), Interaction(4, 2, 3)
    source, target = make(name, 2, 3), make(name, 2, 3, temperature=3.0)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.1)
    source.step = 2
    target.load_state_dict(source.state_dict())
    expected = gradient_of(source, logits, objective, generator=seeded())
    for estimator in (target, copy.deepcopy(source)):
        gradient = gradient_of(estimator, logits, objective, generator=seeded())
        assert torch.equal(gradient, expected)
        assert estimator.latest() == source.latest()
    assert source.latest()["temperature"] == pytest.approx(0.8 * math.exp(0.1), rel=1e-6)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1000.0])
def test_saturated_logits(name: str, dtype: torch.dtype, size: float) -> None:
    """The logits' gradient and the parameters' are finite, with losses of hundreds of nats."""
    signs = torch.tensor([[[1, -1, -1], [-1, 1, 1]]])
    logits = (size * signs).expand(9, -1, -1).to(dtype).clone().requires_grad_()
    estimator = make(name, 2, 3, temperature=0.1).float()
    loss = estimator(Categorical(logits), lambda z: 300 * z[..., 0].sum(-1) ** 2).loss
    loss.mean().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in estimator.parameters() if p.requires_grad)
    assert logits.grad[:, 0].double().abs().max() < 1e-12  # no draw moves it


def test_what_is_refused() -> None:
    for value in (0, -1, math.nan, None):
        with pytest.raises((TypeError, ValueError), match=r"^temperature must be "):
            Rebar(value)
    for value in (math.inf, "1", True):
        with pytest.raises(TypeError, match=r"^scale must be a finite number"):
            Rebar(scale=value)
    with pytest.raises(TypeError, match=r"^surrogate must be a module"):
        Relax(lambda z: z.sum((-2, -1)))
    with pytest.raises(ValueError, match=r"^the surrogate must return one number per assignment"):
        Relax(nn.Flatten(-2))(Categorical(random_logits(4, 2, 3)), Interaction(4, 2, 3))
    for name in NAMES:
        with pytest.raises(TypeError, match=r"^Re\w+ needs independent variables"):
            make(name, 2, 3)(coupled_distribution(), lambda z: z.sum((-2, -1)))
