"""Encoders with couplings, and the auto-encoder around them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from directmax import (
    ClampedArgmax,
    Decoder,
    Direct,
    DiscreteVAE,
    Exact,
    PairwiseBinary,
    PairwiseEncoder,
)
from directmax.models import _bound
from directmax.objectives import Reconstruction, state_losses

EXACT = {"rtol": 0, "atol": 1e-9}


def pictures(count: int, pixels: int = 12) -> Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.rand(count, pixels, generator=g, dtype=torch.float64).round()


def make(*, n: int = 4, supermodular: bool = False, **options: object) -> DiscreteVAE:
    torch.manual_seed(0)
    encoder = PairwiseEncoder(12, n, supermodular=supermodular, hidden=8)
    model = DiscreteVAE(encoder, Decoder(n, 2, 12, hidden=7), ClampedArgmax(), **options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # away from uniform
    return model


@pytest.mark.parametrize("supermodular", [False, True])
def test_couplings_are_around_the_middle(supermodular: bool) -> None:
    """h(z) = Σ_i a_i(z_i) + Σ h_ij (z_i − ½)(z_j − ½) up to a constant, a the network's output."""
    encoder = PairwiseEncoder(12, 3, supermodular=supermodular, hidden=8).double()
    images = pictures(5)
    q, raw = encoder(images), encoder.layers(images)
    unary = raw[:, :6].unflatten(1, (3, 2))
    pairwise = raw[:, 6:]
    if supermodular:
        pairwise = torch.log1p(torch.exp(pairwise - 2))
    torch.testing.assert_close(q.pairwise, pairwise)
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    offsets = []
    for z in states:
        one_hot = torch.stack([1 - z, z], -1).expand(5, 3, 2)
        spins = z - 0.5
        coupled = sum(
            pairwise[:, p] * spins[i] * spins[j]
            for p, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)])
        )
        expected = (unary * one_hot).sum((-2, -1)) + coupled
        offsets.append(q.score(one_hot) - expected)
    for offset in offsets:
        torch.testing.assert_close(offset, offsets[0])


def test_one_variable_has_no_pairs() -> None:
    q = PairwiseEncoder(12, 1)(pictures(3).float())
    assert q.pairwise.shape == (3, 0)
    assert q.sample(2).shape == (2, 3, 1, 2)


def test_exact_training_terms_are_the_gibbs_bound() -> None:
    model, images = make(), pictures(6)
    model.estimator = Exact()
    terms = model(images)
    bound = model.bound(images)
    torch.testing.assert_close(terms.reconstruction, bound.reconstruction, **EXACT)
    torch.testing.assert_close(terms.kl, bound.kl, **EXACT)
    assert bool((bound.bound >= bound.nll).all())
    assert bound.valid


def test_the_bound_is_tight_at_the_posterior() -> None:
    """An encoder whose Gibbs distribution is p(z|x): with two variables it can be any."""
    model, images = make(n=2), pictures(1)
    losses = state_losses(Reconstruction(model.decoder, images), (1, 2, 2))[0]  # 00, 01, 10, 11

    class Posterior(nn.Module):
        num_variables, num_values = 2, 2

        def forward(self, images: Tensor) -> PairwiseBinary:
            h = -losses.detach()
            field = torch.stack([h[2] - h[0], h[1] - h[0]])
            unary = torch.stack([torch.zeros(2, dtype=torch.float64), field], -1)
            return PairwiseBinary(unary[None], (h[3] - h[1] - h[2] + h[0]).view(1, 1))

    model.encoder = Posterior()
    bound = model.bound(images)
    torch.testing.assert_close(bound.bound, bound.nll, **EXACT)
    assert bound.authors is not None  # a custom encoder is recognised by what it returns


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    model, images = make(), pictures(7)
    whole = model.bound(images)
    monkeypatch.setattr(_bound, "TABLE_ELEMENTS", limit)
    monkeypatch.setattr(_bound, "BLOCK_STATES", min(3, limit))
    shares: list[float] = []
    parts = model.bound(images, progress=shares.append)
    for name in ("reconstruction", "kl", "nll"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), **EXACT)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_too_many_states_give_no_bound() -> None:
    model, images = make(), pictures(7)
    bound = model.bound(images, max_states=8, num_samples=3)
    assert not bound.valid
    assert bound.nll is None
    torch.testing.assert_close(bound.kl, model.posterior(images).unary_kl_to_uniform())
    torch.testing.assert_close(bound.authors, bound.bound)


@pytest.mark.parametrize("estimator", [ClampedArgmax(), Direct(0.2, two_sided=True), Exact()])
@pytest.mark.parametrize("unary_kl", [False, True])
def test_every_parameter_gets_a_gradient(estimator: nn.Module, unary_kl: bool) -> None:
    model = make(supermodular=True, unary_kl=unary_kl)
    model.estimator = estimator
    terms = model(pictures(6), generator=torch.Generator().manual_seed(0))
    (terms.reconstruction + terms.kl).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_unary_kl_ignores_couplings() -> None:
    q = make().posterior(pictures(6))
    probs = q.unary.softmax(-1)
    expected = (probs * (probs.log() + math.log(2))).sum((-2, -1))
    torch.testing.assert_close(q.unary_kl_to_uniform(), expected)
    model = make(unary_kl=True)
    torch.testing.assert_close(model(pictures(6)).kl, expected)


def test_weights_are_saved_and_the_buffer_is_not() -> None:
    names = set(make().state_dict())
    assert not any("middle" in name for name in names)
    clone = make()
    clone.load_state_dict(make().state_dict())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_variables": 0}, ValueError, "num_variables"),
        ({"solver": "maxflow"}, ValueError, "did you mean 'max-flow'"),
        ({"solver": 3}, TypeError, "PairwiseSolver"),
    ],
)
def test_bad_settings(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PairwiseEncoder(12, **{"num_variables": 3, **arguments})
