"""Gumbel noise: moments, finiteness, types, reproducibility; Gumbel-Max against softmax."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from directmax import Categorical, sample_gumbel
from directmax.gumbel import EULER_GAMMA, one_hot_argmax
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
