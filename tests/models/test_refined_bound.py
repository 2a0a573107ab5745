"""Bounds of codes that a local search with the decoder has refined."""

from __future__ import annotations

import math

import pytest
import torch

from directmax import (
    Categorical,
    Decoder,
    DiscreteVAE,
    Encoder,
    LocalExpectation,
    PairwiseEncoder,
)
from reference import all_states


@pytest.mark.parametrize("coupled", [False, True])
def test_the_encoders_own_is_beside_it(coupled: bool) -> None:
    torch.manual_seed(0)
    encoder = PairwiseEncoder(12, 4) if coupled else Encoder(12, 4, 2)
    model = DiscreteVAE(encoder, Decoder(4, 2, 12), LocalExpectation(), refined=True).double()
    for parameter in model.parameters():
        parameter.data *= 5
    images = torch.rand(9, 12, dtype=torch.float64).round()
    found, q = model.bound(images), model.inferred(images)
    assert isinstance(q, Categorical)
    states = all_states(4, 2).double()
    losses = model.objective(images)(states[:, None].expand(-1, 9, -1, -1))  # (K, b)
    log_q = q.log_prob_table()
    expected = ((log_q.exp() * (losses.T + log_q)).sum(-1) + 4 * math.log(2)).detach()
    torch.testing.assert_close(found.bound, expected)
    assert found.nll is not None
    assert (found.bound >= found.nll - 1e-9).all()
    model.refined = False
    alone = model.bound(images)
    torch.testing.assert_close(found.amortized, alone.bound)
    torch.testing.assert_close(found.nll, alone.nll)
    assert found.bound.mean() < alone.bound.mean()
    assert alone.amortized is None
    model.refined = True
    drawn = model.bound(images, max_states=8, num_samples=2000)
    assert drawn.valid
    torch.testing.assert_close(drawn.bound, expected, rtol=0.05, atol=0.05)
    assert (drawn.amortized is None, drawn.authors is not None) == (coupled, coupled)


def test_no_images() -> None:
    model = DiscreteVAE(Encoder(12, 3, 2), Decoder(3, 2, 12), LocalExpectation(), refined=True)
    assert model.bound(torch.zeros(0, 12)).bound.shape == (0,)


def test_images_are_refined_in_parts_as_they_are_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = DiscreteVAE(Encoder(12, 5, 3), Decoder(5, 3, 12), LocalExpectation(), refined=True)
    images = torch.rand(50, 12).round()
    whole = model.inferred(images).marginals()
    monkeypatch.setattr("directmax.models._discrete_vae.TABLE_ELEMENTS", 12 * 11 * 7)
    torch.testing.assert_close(model.inferred(images).marginals(), whole)
