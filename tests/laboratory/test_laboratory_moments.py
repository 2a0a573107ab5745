"""Streamed moments, the jackknife and the test of a bias."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from directmax.laboratory._moments import GroupMoments, jackknife
from significance import ALPHA

SHAPE = (3, 4)
SIZES = (5, 4, 6)


def streamed(groups: list[Tensor], chunk: int, extras: list[Tensor] | None = None) -> GroupMoments:
    moments = GroupMoments(len(groups), SHAPE, extras=0 if extras is None else 2)
    for index, draws in enumerate(groups):
        parts = draws.split(chunk)
        others = [None] * len(parts) if extras is None else extras[index].split(chunk)
        for part, other in zip(parts, others, strict=True):
            moments.add(index, part, other)
    return moments


def drawn(generator: torch.Generator, shift: float = 0.0) -> list[Tensor]:
    return [
        shift + torch.randn(size, *SHAPE, generator=generator, dtype=torch.float64)
        for size in SIZES
    ]


@pytest.mark.parametrize("chunk", [1, 2, 100])
@pytest.mark.parametrize("shift", [0.0, 1e7])
def test_as_of_stored_draws(generator: torch.Generator, chunk: int, shift: float) -> None:
    groups = drawn(generator, shift)
    extras = [torch.rand(size, 2, generator=generator, dtype=torch.float64) for size in SIZES]
    moments = streamed(groups, chunk, extras)
    for without in (None, 0, 2):
        kept = [draws for index, draws in enumerate(groups) if index != without]
        scalars = [each for index, each in enumerate(extras) if index != without]
        stored = torch.cat(kept).numpy()
        pooled = moments.pooled(without)
        assert pooled.count == len(stored)
        np.testing.assert_allclose(pooled.mean, stored.mean(0), rtol=1e-13, atol=1e-13)
        variance = stored.var(0, ddof=1).sum(-1).mean()
        assert pooled.variance == pytest.approx(variance, rel=1e-12 if not shift else 1e-7)
        np.testing.assert_allclose(pooled.extras, torch.cat(scalars).mean(0), rtol=1e-13)


def test_equal_draws_have_no_variance() -> None:
    draw = torch.tensor([[0.1, 0.7, 1 / 3, 1e-9]], dtype=torch.float64).expand(SHAPE)
    moments = streamed([draw.expand(7, *SHAPE)] * 3, 3)
    assert moments.pooled().variance == 0.0
    assert torch.equal(moments.pooled().mean, draw)


def test_the_jackknife_of_a_mean_is_its_standard_error(generator: torch.Generator) -> None:
    groups = [torch.randn(4, *SHAPE, generator=generator, dtype=torch.float64) for _ in range(6)]
    found = jackknife(streamed(groups, 3), lambda pooled: {"first": float(pooled.mean[0, 0])})
    means = np.array([float(draws[:, 0, 0].mean()) for draws in groups])
    assert found.values["first"] == pytest.approx(means.mean(), rel=1e-12)
    assert found.errors["first"] == pytest.approx(means.std(ddof=1) / 6**0.5, rel=1e-12)


def test_the_jackknife_of_infinities_has_no_error(generator: torch.Generator) -> None:
    found = jackknife(streamed(drawn(generator), 3), lambda pooled: {"x": np.inf})
    assert np.isnan(found.errors["x"])


# The test of a bias


def test_p_values_are_uniform_without_a_bias(generator: torch.Generator) -> None:
    repeats, groups = 400, 10
    p_values = []
    for _ in range(repeats):
        moments = GroupMoments(groups, (1, 2))
        draws = torch.randn(groups, 2, 1, 2, generator=generator, dtype=torch.float64)
        for group, each in enumerate(draws):
            moments.add(group, each)
        p_values.append(moments.sign_test(torch.zeros(1, 2, dtype=torch.float64)))
    ordered = np.sort(p_values)
    distance = np.abs(ordered - (np.arange(repeats) + 0.5) / repeats).max()
    assert distance < (np.log(2 / ALPHA) / (2 * repeats)) ** 0.5  # Dvoretzky, Kiefer, Wolfowitz


def test_a_bias_is_noticed(generator: torch.Generator) -> None:
    moments = GroupMoments(20, (1, 2))
    for group in range(20):
        noise = torch.randn(50, 1, 2, generator=generator, dtype=torch.float64)
        moments.add(group, 0.3 + noise)
    assert moments.sign_test(torch.zeros(1, 2, dtype=torch.float64)) == 1e-4
    assert moments.sign_test(torch.full((1, 2), 0.3, dtype=torch.float64)) > 1e-3


def test_rounding_is_no_bias() -> None:
    moments = GroupMoments(20, (2, 1))
    for group in range(20):
        moments.add(group, torch.full((2, 2, 1), 1e-7, dtype=torch.float64))
    zero = torch.zeros(2, 1, dtype=torch.float64)
    assert moments.sign_test(zero, rounding=2e-7) == 1.0
    assert moments.sign_test(zero) == 1e-4
