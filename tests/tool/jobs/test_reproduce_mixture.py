"""Expectation-maximisation finds a mixture that is known, and never gets worse."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from directmax.tool.config import TrainConfig
from directmax.tool.data import load_images
from directmax.tool.paper.kinds.mixture import fit_mixture, measure_mixture
from directmax.tool.run.images import split_images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_known_mixture() -> None:
    probabilities = torch.rand(3, 12, generator=generator()).gt(0.5) * 0.9 + 0.05
    z = torch.randint(3, (6000,), generator=generator(1))
    x = torch.bernoulli(probabilities[z], generator=generator(2))
    found = min(
        (fit_mixture(x, 3, iterations=100, generator=generator(seed)) for seed in range(5)),
        key=lambda fit: fit.nll(x),
    )
    errors = torch.cdist(found.logits.sigmoid(), probabilities).min(0).values
    assert errors.max() < 0.1
    log_p = torch.stack(
        [torch.distributions.Bernoulli(p).log_prob(x).sum(1) for p in probabilities]
    )
    truth = -float((log_p.logsumexp(0) - math.log(3)).mean())
    assert found.nll(x) == pytest.approx(truth, abs=0.02)


def test_it_never_gets_worse() -> None:
    x = split_images(TrainConfig().resolve(), load_images("digits"), "train")
    values = [fit_mixture(x, 8, iterations=n, generator=generator()).nll(x) for n in range(1, 30)]
    # The prior is part of what is maximised: its share of the gain is at most this.
    assert all(b <= a + 1e-3 for a, b in pairwise(values))
    assert values[-1] < values[0] - 1


def test_the_best_restart_by_the_validation_images() -> None:
    settings = {"data": "digits", "binarize": "threshold", "values": 10, "seed": 0}
    data, cpu = load_images("digits"), torch.device("cpu")
    many = measure_mixture({**settings, "restarts": 4, "iterations": 30}, data, cpu)
    one = measure_mixture({**settings, "restarts": 1, "iterations": 30}, data, cpu)
    assert len(many["iterations"]) == 4
    assert many["validation"]["nll"] <= one["validation"]["nll"]
    again = measure_mixture({**settings, "restarts": 4, "iterations": 30}, data, cpu)
    assert many == again


def test_too_few_images() -> None:
    with pytest.raises(ValueError, match="a mixture of 5 needs as many images, got 3"):
        fit_mixture(torch.ones(3, 4), 5, iterations=1, generator=generator())
