"""The score function: exact sums over its samples, its baselines, Gibbs samples."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from estimator_problems import (
    FixedPairs,
    coupled_distribution,
    gradient_of,
    independent,
    logit_gradient,
    random_logits,
    random_noise,
    seeded,
)
from torch import Tensor

from directmax import Categorical, PairwiseBinary, ScoreFunction
from reference import (
    Function,
    Interaction,
    all_states,
    expected_gradient,
    gibbs_probs,
    state_probs,
    state_table,
)

EXACT = {"rtol": 0, "atol": 1e-9}


def all_draws(logits: Tensor, num_samples: int) -> tuple[Tensor, Tensor]:
    """Noise `(s, K^s, n, k)` that draws every tuple of samples of one problem, and its probability.

    1,000 at the value that is to be drawn decides, whatever (moderate) logits.
    """
    states, probs = all_states(*logits.shape[1:]), state_probs(logits)[0]
    index = torch.cartesian_prod(*[torch.arange(len(states))] * num_samples)
    index = index.reshape(-1, num_samples)
    return 1e3 * states[index].transpose(0, 1), probs[index].prod(-1)


def moments_of(
    estimator: ScoreFunction, logits: Tensor, objective: Function
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the gradient of one problem, summed over everything it may draw."""
    noise, probs = all_draws(logits, estimator.num_samples)
    many = logits.detach().expand(noise.shape[1], -1, -1)
    gradients = gradient_of(estimator, many, objective, noise=noise)
    mean = torch.einsum("d,dnk->nk", probs, gradients)
    return mean, torch.einsum("d,dnk->nk", probs, (gradients - mean).square())


@pytest.mark.parametrize(
    ("num_samples", "sizes"), [(2, (1, 4)), (2, (2, 3)), (3, (1, 3)), (3, (2, 2)), (5, (1, 2))]
)
def test_leave_one_out_is_unbiased_by_enumeration(num_samples: int, sizes: tuple[int, int]) -> None:
    logits, objective = random_logits(1, *sizes).detach(), Interaction(1, *sizes)
    estimator = ScoreFunction(num_samples=num_samples)
    assert estimator.baseline == "leave-one-out"
    mean, _ = moments_of(estimator, logits, objective)
    torch.testing.assert_close(mean, expected_gradient(logits, objective)[0], **EXACT)


@pytest.mark.parametrize("num_samples", [1, 2])
def test_unbiased_by_enumeration_without_baseline(num_samples: int) -> None:
    logits, objective = random_logits(1, 2, 3), Interaction(1, 2, 3)
    estimator = ScoreFunction(num_samples=num_samples, baseline="none")
    mean, _ = moments_of(estimator, logits, objective)
    torch.testing.assert_close(mean, expected_gradient(logits, objective)[0], **EXACT)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("num_samples", [1, 2])
def test_unbiased_by_enumeration_given_the_running_mean(num_samples: int, training: bool) -> None:
    """Of the batch at hand only f goes in; the mean is that of earlier batches."""
    logits, objective = random_logits(1, 2, 2), Interaction(1, 2, 2)
    estimator = ScoreFunction(num_samples=num_samples, baseline="running-mean")
    for seed in range(3):
        estimator(Categorical(logits), lambda z: 7 * objective(z), generator=seeded(seed))
    before = estimator.latest()["baseline"]
    mean, _ = moments_of(estimator.train(training), logits, objective)
    torch.testing.assert_close(mean, expected_gradient(logits, objective)[0], **EXACT)
    assert (estimator.latest()["baseline"] != before) == training


def test_a_baseline_takes_variance_away_where_losses_have_a_level() -> None:
    logits = random_logits(1, 1, 3).detach()

    def objective(z: Tensor) -> Tensor:
        return 50 + z[..., 0, 1] - z[..., 0, 2]

    variances = {}
    for name in ("none", "leave-one-out", "running-mean"):
        estimator = ScoreFunction(num_samples=2, baseline=name)
        estimator(Categorical(logits), objective, generator=seeded())  # a first mean, about 50
        variances[name] = float(moments_of(estimator, logits, objective)[1].sum())
    assert 100 * variances["leave-one-out"] < variances["none"]
    assert 100 * variances["running-mean"] < variances["none"]


@pytest.mark.parametrize("num_samples", [2, 3, 7])
def test_leave_one_out_as_it_is_written(num_samples: int) -> None:
    logits, objective = random_logits(2, 2, 3), Interaction(2, 2, 3)
    noise = random_noise(num_samples, 2, 2, 3)
    gradient = gradient_of(ScoreFunction(num_samples=num_samples), logits, objective, noise=noise)
    z = independent(logits.detach(), noise).sample(num_samples)
    losses = objective(z).detach()
    expected = torch.zeros_like(gradient)
    for s in range(num_samples):
        others = torch.stack([losses[t] for t in range(num_samples) if t != s]).mean(0)
        score = z[s] - logits.detach().softmax(-1)
        expected += (losses[s] - others)[:, None, None] * score / num_samples
    torch.testing.assert_close(gradient, expected, **EXACT)


def test_vargrad_is_leave_one_out_with_the_log_probability_in_the_loss() -> None:
    """∂/∂h of ½ the sample variance of f + log q, with the samples held."""
    logits, objective = random_logits(3, 2, 3), Interaction(3, 2, 3).requires_grad_(False)
    noise = random_noise(4, 3, 2, 3)
    q = independent(logits, noise)
    sample = q.sample(4)
    half = 0.5 * (objective(sample) + q.log_prob(sample)).var(0, correction=1)
    (expected,) = torch.autograd.grad(half.sum(), logits)
    gradient = gradient_of(
        ScoreFunction(num_samples=4),
        logits,
        lambda z: objective(z) + q.log_prob(z).detach(),
        noise=noise,
    )
    torch.testing.assert_close(gradient, expected, **EXACT)


def test_the_running_mean_is_a_weighted_mean_of_earlier_batches() -> None:
    levels = [3.0, -1.0, 10.0, 4.0]
    logits, probs = random_logits(5, 1, 3), random_logits(5, 1, 3).detach().softmax(-1)
    estimator = ScoreFunction().double()
    for call, level in enumerate(levels):
        estimate = estimator(
            Categorical(logits), lambda z, level=level: z.sum((-2, -1)) * level, generator=seeded()
        )
        weights = [0.99 ** (call - 1 - earlier) for earlier in range(call)]
        total = sum(w * x for w, x in zip(weights, levels, strict=False))
        mean = total / sum(weights) if call else 0.0  # 0 at the first call
        expected = (level - mean) * (estimate.sample[0] - probs)
        torch.testing.assert_close(logit_gradient(estimate, logits), expected, **EXACT)
    weights = [0.99 ** (3 - earlier) for earlier in range(4)]
    mean = sum(w * x for w, x in zip(weights, levels, strict=True)) / sum(weights)
    assert estimator.latest()["baseline"] == pytest.approx(mean, rel=1e-12)


def test_the_running_mean_is_saved_copied_and_frozen_in_eval_mode() -> None:
    logits, objective = random_logits(6, 2, 3), Interaction(6, 2, 3)
    source = ScoreFunction().double()
    for seed in range(3):
        source(Categorical(logits), objective, generator=seeded(seed))
    target = ScoreFunction().double()
    target.load_state_dict(source.state_dict())
    state = {name: value.clone() for name, value in source.state_dict().items()}
    assert float(state["running_mean"]) != 0
    for estimator in (copy.deepcopy(source), target, source):
        assert estimator.latest() == source.latest()
        estimator.eval()
        first = gradient_of(estimator, logits, objective, generator=seeded())
        again = gradient_of(estimator, logits, objective, generator=seeded())
        assert torch.equal(first, again)
        for name, value in estimator.state_dict().items():
            assert torch.equal(value, state[name])
        fresh = gradient_of(ScoreFunction().double(), logits, objective, generator=seeded())
        assert not torch.allclose(first, fresh)


def test_an_empty_batch_leaves_the_running_mean() -> None:
    estimator, objective = ScoreFunction(), Interaction(1, 2, 3)
    estimator(Categorical(random_logits(4, 2, 3)), objective, generator=seeded())
    before = estimator.latest()
    estimator(Categorical(torch.zeros(0, 2, 3)), lambda z: z.sum((-2, -1)))
    assert estimator.latest() == before
    assert math.isfinite(before["baseline"])


def test_a_loss_that_overflows_once_does_not_stay() -> None:
    """As with loss scaling, where a step that overflows is skipped."""
    estimator, logits = ScoreFunction(), random_logits(4, 2, 3)
    q = Categorical(logits, validate=False)
    estimator(q, lambda z: z.sum((-2, -1)) * math.inf, generator=seeded())
    gradient = gradient_of(estimator, logits, Interaction(4, 2, 3), generator=seeded())
    assert gradient.isfinite().all()


@pytest.mark.parametrize("num_samples", [1, 2])
@pytest.mark.parametrize("baseline", ["none", "auto"])
def test_gibbs_samples_are_unbiased_by_enumeration(baseline: str, num_samples: int) -> None:
    """Coupled variables, noise on the states: the gradient of Σ_z q(z) f(z), pairs included."""
    unary, pairwise = random_logits(1, 3, 2), random_logits(1, 3, seed=1)
    objective = Interaction(1, 3, 2, scale=2.0).requires_grad_(False)
    probs = gibbs_probs(unary, pairwise)
    expectation = (probs * state_table(unary, objective)).sum()
    expected = torch.autograd.grad(expectation, [unary, pairwise])
    index = torch.cartesian_prod(*[torch.arange(8)] * num_samples).reshape(-1, num_samples)
    weight = probs[0][index].prod(-1).detach()
    noise = 1e3 * torch.eye(8, dtype=torch.float64)[index].transpose(0, 1)
    many = [t.detach().expand(len(index), *t.shape[1:]).clone() for t in (unary, pairwise)]
    many = [t.requires_grad_() for t in many]
    q = FixedPairs(*many, noise, perturbation="states")
    loss = ScoreFunction(num_samples=num_samples, baseline=baseline)(q, objective).loss
    gradients = torch.autograd.grad(loss.sum(), many)
    means = [torch.einsum("d,d...->...", weight, g).unsqueeze(0) for g in gradients]
    torch.testing.assert_close(means, list(expected), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1000.0])
def test_saturated_logits(dtype: torch.dtype, size: float) -> None:
    logits = size * torch.tensor([[[1, -1, 0], [-1, 1, 1]]]).expand(9, -1, -1).to(dtype)
    for estimator in (ScoreFunction(), ScoreFunction(num_samples=3)):
        gradient = gradient_of(estimator, logits, lambda z: 300 * z[..., 0].sum(-1))
        assert gradient.isfinite().all()
        assert gradient[:, 0].double().abs().max() < 1e-15  # one value has all the probability


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^baseline='leave-one-out' needs num_samples of at le"):
        ScoreFunction(baseline="leave-one-out")
    with pytest.raises(ValueError, match=r"^unknown baseline 'mean': choose from auto, "):
        ScoreFunction(baseline="mean")
    unary, pairwise = random_logits(2, 3, 2), random_logits(2, 3)
    with pytest.raises(ValueError, match=r"^ScoreFunction needs samples of q, and perturb-and-MAP"):
        ScoreFunction()(PairwiseBinary(unary, pairwise), lambda z: z.sum((-2, -1)))
    with pytest.raises(TypeError, match=r"^ScoreFunction needs a Categorical"):
        ScoreFunction()(coupled_distribution(), lambda z: z.sum((-2, -1)))
