"""Gumbel noise: moments, finiteness, types, reproducibility; Gumbel-Max; given its argmax."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from directmax import Categorical, sample_gumbel
from directmax.gumbel import EULER_GAMMA, conditional_gumbel, one_hot_argmax
from significance import ALPHA, assert_mean

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments(generator: torch.Generator, dtype: torch.dtype) -> None:
    noise = sample_gumbel((400_000,), generator=generator, dtype=dtype)
    assert_mean(noise, 0.0, resolution=0.02)
    assert_mean(noise.double().square(), math.pi**2 / 6)


def test_distribution(generator: torch.Generator) -> None:
    noise = sample_gumbel((50_000,), generator=generator, dtype=torch.float64)
    test = stats.kstest(noise.numpy(), stats.gumbel_r(loc=-EULER_GAMMA).cdf)
    assert test.pvalue > ALPHA
    # Power: noise of mean 0.5772, with the constant forgotten, is refused.
    assert stats.kstest(noise.numpy(), stats.gumbel_r().cdf).pvalue < ALPHA


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("uniform", ["zero", "denormal", "half", "largest"])
def test_extreme_draws_are_finite(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, uniform: str
) -> None:
    """The noise comes from torch.rand, whose draws lie in [0, 1)."""
    drawn: list[torch.Tensor] = []

    def rand(shape: tuple[int, ...], **settings: object) -> torch.Tensor:
        wide = torch.empty(shape, dtype=settings["dtype"])
        largest = 1 - torch.finfo(wide.dtype).eps / 2
        value = {"zero": 0.0, "denormal": 1e-45, "half": 0.5, "largest": largest}[uniform]
        drawn.append(wide.fill_(value).clone())
        return wide

    monkeypatch.setattr(torch, "rand", rand)
    noise = sample_gumbel((3,), dtype=dtype)
    assert len(drawn) == 1
    assert noise.isfinite().all()
    if uniform in ("half", "largest"):
        expected = -(-drawn[0].double().log()).log() - EULER_GAMMA
        close = {"rtol": 2 * torch.finfo(dtype).eps, "atol": 1e-6}
        torch.testing.assert_close(noise.double(), expected, **close)
    else:
        assert (noise < -4).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_type_shape_and_device(generator: torch.Generator, dtype: torch.dtype) -> None:
    noise = sample_gumbel((2, 0, 3), generator=generator, dtype=dtype)
    assert noise.dtype == dtype
    assert noise.shape == (2, 0, 3)
    noise = sample_gumbel((100_000,), generator=generator, dtype=dtype, device="cpu")
    assert noise.isfinite().all()
    assert noise.device.type == "cpu"
    assert not noise.requires_grad


def test_default_type() -> None:
    assert sample_gumbel((1,)).dtype == torch.get_default_dtype()


def test_half_precision_is_the_rounded_single_precision_draw() -> None:
    wide = sample_gumbel((1000,), generator=torch.Generator().manual_seed(3), dtype=torch.float32)
    for dtype in (torch.float16, torch.bfloat16):
        g = torch.Generator().manual_seed(3)
        assert torch.equal(sample_gumbel((1000,), generator=g, dtype=dtype), wide.to(dtype))


def test_a_generator_decides_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    first = sample_gumbel((5,), generator=torch.Generator().manual_seed(1))
    again = sample_gumbel((5,), generator=torch.Generator().manual_seed(1))
    other = sample_gumbel((5,), generator=torch.Generator().manual_seed(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match="dtype must be floating point"):
        sample_gumbel((2,), dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_argmax_is_that_of_torch(dtype: torch.dtype, generator: torch.Generator) -> None:
    scores = torch.randn(4, 50, 3, generator=generator).round().to(dtype)  # with ties
    scores[0, 0, 1] = scores[1, 1, 0] = math.nan
    scores[2, 2], scores[3, 3] = -math.inf, math.inf
    for each in (scores, scores.transpose(0, 1), scores[:, :0]):
        expected = torch.nn.functional.one_hot(each.argmax(-1), 3).to(dtype)
        assert torch.equal(one_hot_argmax(each), expected)


def test_one_hot_argmax() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0], [-math.inf, -math.inf, -math.inf]], requires_grad=True)
    result = one_hot_argmax(scores)
    assert result.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert not result.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_gumbel_max_samples_softmax(generator: torch.Generator, dtype: torch.dtype) -> None:
    logits = torch.tensor([[[0.0, 1.0, -1.0, 0.5], [2.0, 0.0, 0.0, -3.0]]], dtype=dtype)
    draws = 40_000
    z = Categorical(logits).sample(draws, generator=generator).double()  # (s, 1, 2, 4)
    joint = torch.einsum("sbi,sbj->ij", z[:, :, 0], z[:, :, 1])
    probs = logits.double().softmax(-1)[0]
    expected = draws * probs[0].outer(probs[1])
    assert expected.min() > 5
    assert stats.chisquare(joint.flatten(), expected.flatten()).pvalue > ALPHA
    # Power: samples of a slightly flatter distribution would be refused.
    flat = (0.9 * logits.double()).softmax(-1)[0]
    wrong = draws * flat[0].outer(flat[1])
    assert stats.chisquare(joint.flatten(), wrong.flatten()).pvalue < ALPHA


# Given the argmax


def held_value(value: int, *sizes: int, num_values: int = 3) -> torch.Tensor:
    """One-hot `(*sizes, k)` of one value."""
    return torch.eye(num_values, dtype=torch.float64)[value].expand(*sizes, num_values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_argmax_is_the_given_value(generator: torch.Generator, dtype: torch.dtype) -> None:
    logits = 3 * torch.randn(4, 3, 5, generator=generator, dtype=dtype)
    index = torch.randint(5, (7, 2, 4, 3), generator=generator)
    value = torch.eye(5, dtype=dtype)[index]
    perturbed = conditional_gumbel(logits, value, generator=generator)
    assert perturbed.dtype == dtype
    assert torch.equal(one_hot_argmax(perturbed), value)


def test_averaged_over_the_argmax_the_noise_is_gumbel_again(generator: torch.Generator) -> None:
    """All of γ: of mean zero, of its own distribution, independent over the values."""
    logits = torch.tensor([[[0.5, -1.0, 1.5]]], dtype=torch.float64)
    value = Categorical(logits).sample(60_000, generator=generator)
    noise = (conditional_gumbel(logits, value, generator=generator) - logits)[:, 0, 0]  # (s, k)
    assert_mean(noise, torch.zeros(3), resolution=0.05)
    assert_mean(noise.square(), torch.full((3,), math.pi**2 / 6))
    gumbel = stats.gumbel_r(loc=-EULER_GAMMA)
    for column in noise.T.numpy():
        assert stats.kstest(column, gumbel.cdf).pvalue > ALPHA
    levels = torch.tensor([-0.5, 0.3, 1.0], dtype=torch.float64)
    below = (noise <= levels).double()
    single = torch.from_numpy(gumbel.cdf(levels.numpy()))
    pairs = [(0, 1), (0, 2), (1, 2)]
    both = torch.stack([below[:, i] * below[:, j] for i, j in pairs], -1)
    assert_mean(both, torch.stack([single[i] * single[j] for i, j in pairs]), resolution=0.02)
    # Power: with one and the same value given, the distribution is another.
    same = conditional_gumbel(logits, held_value(0, 60_000, 1, 1), generator=generator) - logits
    assert stats.kstest(same[:, 0, 0, 0].numpy(), gumbel.cdf).pvalue < ALPHA


@pytest.mark.parametrize("given", [0, 1, 2])
def test_distribution_given_the_argmax(generator: torch.Generator, given: int) -> None:
    """The largest is a Gumbel at log Z, whatever the argmax; the others have a closed form.

    With rates a_j = e^{h_j}, A their sum, and y = e^{−(x + c)}:
    P(h_j + γ_j ≤ x, argmax = z) = a_z/A e^{−A y} + a_z/(A − a_j) (1 − e^{−(A − a_j) y}) e^{−a_j y},
    the argmax's own value below x and above it.
    """
    logits = torch.tensor([[[0.5, -1.0, 1.5]]], dtype=torch.float64)
    rates = logits.exp()[0, 0].numpy()
    total = rates.sum()
    value = held_value(given, 20_000, 1, 1)
    perturbed = conditional_gumbel(logits, value, generator=generator)[:, 0, 0]
    gumbel = stats.gumbel_r(loc=math.log(total) - EULER_GAMMA)
    assert stats.kstest(perturbed[:, given].numpy(), gumbel.cdf).pvalue > ALPHA
    for other in {0, 1, 2} - {given}:
        own, rest = rates[other], total - rates[other]

        def cdf(x: object, own: float = own, rest: float = rest) -> object:
            y = np.exp(-(np.asarray(x) + EULER_GAMMA))
            return np.exp(-total * y) + total / rest * -np.expm1(-rest * y) * np.exp(-own * y)

        assert stats.kstest(perturbed[:, other].numpy(), cdf).pvalue > ALPHA
        alone = stats.gumbel_r(loc=math.log(own) - EULER_GAMMA)  # as if nothing were known
        assert stats.kstest(perturbed[:, other].numpy(), alone.cdf).pvalue < ALPHA


def test_the_derivative_by_the_potentials(generator: torch.Generator) -> None:
    """Central differences, with the noise held."""
    logits = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    noise = sample_gumbel((4, 2, 2, 3), generator=generator, dtype=torch.float64)
    value = Categorical(logits).sample(4, generator=generator)
    torch.autograd.gradcheck(
        lambda leaf: conditional_gumbel(leaf, value, noise=noise), logits, atol=1e-8, rtol=1e-6
    )
    # A constant added to all potentials is added to what comes out.
    shifted = conditional_gumbel(logits + 3, value, noise=noise)
    torch.testing.assert_close(shifted, conditional_gumbel(logits, value, noise=noise) + 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [50.0, 1000.0])
@pytest.mark.parametrize("given", [0, 1, 2])
def test_finite_at_saturated_potentials(
    generator: torch.Generator, dtype: torch.dtype, size: float, given: int
) -> None:
    """Also where the given argmax has no probability."""
    logits = size * torch.tensor([[[1.0, -1.0, 0.0]]], dtype=dtype)
    logits.requires_grad_()
    value = held_value(given, 200, 1, 1).to(dtype)
    perturbed = conditional_gumbel(logits, value, generator=generator)
    assert perturbed.isfinite().all()
    largest = (perturbed * value).sum(-1)
    assert (largest >= perturbed.amax(-1)).all()  # equal potentials at most
    (slope,) = torch.autograd.grad((perturbed / 0.1).softmax(-1)[..., 0].sum(), logits)
    assert slope.isfinite().all()


def test_a_generator_decides_what_is_drawn_given_the_argmax() -> None:
    logits, value = torch.zeros(1, 1, 3), held_value(1, 5, 1, 1).float()
    first, again, other = (
        conditional_gumbel(logits, value, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    noise = sample_gumbel((5, 1, 1, 3), generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, conditional_gumbel(logits, value, noise=noise))
