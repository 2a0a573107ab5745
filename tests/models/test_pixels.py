"""DiscreteVAE with pixels of 256 levels: against direct computation, its draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from directmax import Decoder, DiscreteVAE, Encoder, Exact
from reference import all_states

EXACT = {"rtol": 0, "atol": 1e-9}
PIXELS = 5


def make(likelihood: str, num_variables: int = 1) -> DiscreteVAE:
    """A small model in float64 with parameters of size one, far from uniform."""
    model = DiscreteVAE(
        Encoder(PIXELS, num_variables, 3, hidden=4),
        Decoder(num_variables, 3, PIXELS, hidden=4),
        Exact(),
        likelihood=likelihood,
    ).double()
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g, dtype=torch.float64))
        model.pixels.scale.fill_(-0.12)
    return model


def by_levels(likelihood: str, mean: Tensor, scale: float, images: Tensor) -> Tensor:
    """−log p of levels, `(b, c)`, from distribution functions and densities in float64."""
    levels = (255 * images).round().unsqueeze(1).numpy()  # (b, 1, d)
    means = mean.detach().numpy()
    if likelihood == "logistic":
        above = stats.logistic.cdf((levels + 1) / 256, means, scale)
        below = stats.logistic.cdf(levels / 256, means, scale)
        masses = np.where(levels == 255, 1, above) - np.where(levels == 0, 0, below)
        return torch.from_numpy(-np.log(masses).sum(-1))
    middle = stats.norm.logpdf((levels + 0.5) / 256, means, scale) - math.log(256)
    spread = 1 / (12 * 256**2 * 2 * scale**2)  # of uniform noise within a level
    return torch.from_numpy((spread - middle).sum(-1))


@pytest.mark.parametrize("likelihood", ["gaussian", "logistic"])
@pytest.mark.parametrize("num_variables", [1, 2])
def test_levels_against_enumeration(likelihood: str, num_variables: int) -> None:
    """Terms, gradients, fast or not, and the bound; the scale learns, too."""
    model = make(likelihood, num_variables)
    scale = math.exp(-1.2)
    g = torch.Generator().manual_seed(1)
    images = (255 * torch.rand(6, PIXELS, generator=g, dtype=torch.float64)).round() / 255
    images[0, :2] = torch.tensor([0.0, 1.0])
    states = all_states(num_variables, 3)
    table = by_levels(likelihood, model.decoder(states).sigmoid(), scale, images)
    q = (model.encoder(images).unsqueeze(1).log_softmax(-1) * states).sum((-1, -2))  # (b, K)
    kl = (q.exp() * (q + math.log(len(states)))).sum(-1)
    terms, bound = model(images), model.bound(images)
    for found in (terms, bound):
        torch.testing.assert_close(found.reconstruction, (q.exp() * table).sum(-1), **EXACT)
        torch.testing.assert_close(found.kl, kl, **EXACT)
    nll = math.log(len(states)) - torch.logsumexp(-table, -1)
    torch.testing.assert_close(bound.nll, nll, **EXACT)
    terms.reconstruction.sum().backward()
    step = 1e-5
    with torch.no_grad():
        ends = []
        for sign in (1, -1):
            model.pixels.scale.fill_(-0.12 + sign * step)
            ends.append(model(images).reconstruction.sum())
    slope = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(model.pixels.scale.grad, slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("likelihood", ["gaussian", "logistic"])
def test_levels_are_drawn_from_their_likelihood(likelihood: str) -> None:
    """Of a wide scale, so that both tails are cut; the prior's images are these."""
    model = make(likelihood)
    logits = torch.tensor([0.7, -2.0, 0.0], dtype=torch.float64).expand(20_000, 3)
    drawn = model.pixels.draw(logits, torch.Generator().manual_seed(0))
    assert float(drawn.min()) == 0
    assert float(drawn.max()) == 1
    edges = np.append(np.arange(8, 256, 8), 256) / 256
    distribution = {"gaussian": stats.norm, "logistic": stats.logistic}[likelihood]
    for pixel in range(3):
        cdf = distribution.cdf(edges, float(logits[0, pixel].sigmoid()), math.exp(-1.2))
        cdf[-1] = 1
        expected = np.diff(cdf, prepend=0) * len(drawn)
        counts = np.histogram(255 * drawn[:, pixel].numpy(), np.append(0, 256 * edges))[0]
        assert stats.chisquare(counts, expected).pvalue > 1e-4
