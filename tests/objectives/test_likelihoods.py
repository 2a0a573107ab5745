"""Likelihoods of 8-bit images: they sum to one, bound what they say, and have the right slopes."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import logistic, norm
from torch import Tensor

from directmax.objectives import gaussian_loss, logistic_loss

EVERY = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)


def mean_of(value: float) -> Tensor:
    return torch.full((256, 1, 1, 1), value, dtype=torch.float64)


def log(scale: float) -> Tensor:
    return torch.tensor(math.log(scale), dtype=torch.float64)


@pytest.mark.parametrize("mean", [-0.2, 0.3, 0.998, 1.5])
@pytest.mark.parametrize("scale", [0.002, 0.05, 0.7])
def test_logistic_masses(mean: float, scale: float) -> None:
    """Against the distribution function, and their sum."""
    losses = logistic_loss(mean_of(mean), log(scale), EVERY)
    assert abs(float((-losses).exp().sum()) - 1) < 1e-9
    edges = [-math.inf, *(v / 256 for v in range(1, 256)), math.inf]
    for v in range(256):
        mass = logistic.cdf(edges[v + 1], mean, scale) - logistic.cdf(edges[v], mean, scale)
        if mass > 1e-6:  # beyond, the difference of two numbers near 1 has no digits
            assert abs(float(losses[v]) + math.log(mass)) < 1e-7


@pytest.mark.parametrize("scale", [0.001, 0.01, 0.3])
def test_gaussian_bounds_the_mass_of_the_interval(scale: float) -> None:
    """Above −log P(v), and the mean over the noise of dequantisation, by quadrature."""
    mean = 0.41
    losses = gaussian_loss(mean_of(mean), log(scale), EVERY)
    for v in range(95, 115):
        inside = (v + (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000) / 256
        density = norm.logpdf(inside.numpy(), mean, scale).mean()
        assert abs(float(losses[v]) - (math.log(256) - density)) < 1e-6
        mass = norm.cdf((v + 1) / 256, mean, scale) - norm.cdf(v / 256, mean, scale)
        if mass > 1e-9:
            assert float(losses[v]) > -math.log(mass) - 1e-9


@pytest.mark.parametrize("loss", [gaussian_loss, logistic_loss])
def test_slopes_and_sums(loss) -> None:  # type: ignore[no-untyped-def]
    """Against finite differences; an image is the sum of its pixels; samples are in front."""
    g = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 3, 2, 2), generator=g, dtype=torch.uint8)
    images[0, 0] = torch.tensor([[0, 255], [0, 255]])
    mean = torch.rand(4, 2, 3, 2, 2, generator=g, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, s: loss(m, s, images), (mean, scale))
    assert loss(mean, scale, images).shape == (4, 2)
    single = sum(
        loss(
            mean[..., c : c + 1, i : i + 1, j : j + 1],
            scale,
            images[:, c : c + 1, i : i + 1, j : j + 1],
        )
        for c in range(3)
        for i in range(2)
        for j in range(2)
    )
    torch.testing.assert_close(loss(mean, scale, images), single, rtol=0, atol=1e-9)
