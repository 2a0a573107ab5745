"""One variable: images, pseudo-images and dreams in one pass, to the same terms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from directmax import (
    Decoder,
    Direct,
    DiscreteVAE,
    Encoder,
    Estimator,
    Exact,
    GumbelSoftmax,
    LocalDivergence,
    LocalExpectation,
)
from directmax.models import _discrete_vae
from directmax.models._one_variable import fits_one_pass

PIXELS, VALUES = 6, 4
EXACT = {"rtol": 0.0, "atol": 1e-12}


def make(estimator: Estimator, *, decoder: nn.Module | None = None, **settings: Any) -> DiscreteVAE:
    torch.manual_seed(1)
    encoder = Encoder(PIXELS, 1, VALUES, hidden=7)
    decoder = decoder or Decoder(1, VALUES, PIXELS, hidden=7)
    return DiscreteVAE(encoder, decoder, estimator, **settings).double()


def plain_decoder() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(VALUES, 7), nn.Tanh(), nn.Linear(7, PIXELS))


def pictures(count: int = 5) -> Tensor:
    return torch.rand(count, PIXELS, dtype=torch.float64).round()


def separately(model: DiscreteVAE, images: Tensor, mean: Tensor) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    terms = model(images)
    prior = model.prior_terms(mean, generator=generator)
    return [terms.reconstruction, terms.kl, prior.decoder, prior.encoder]


def together(model: DiscreteVAE, images: Tensor, mean: Tensor) -> list[Tensor]:
    terms = model(images, generator=torch.Generator().manual_seed(3), mean=mean)
    return [terms.reconstruction, terms.kl, terms.prior.decoder, terms.prior.encoder]


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "logistic"])
@pytest.mark.parametrize("decoder", [None, plain_decoder])
def test_terms_and_gradients_are_those_of_two_calls(decoder: Any, likelihood: str) -> None:
    """`Exact` draws nothing, so that the dreams are the same."""
    model = make(Exact(), decoder=decoder and decoder(), likelihood=likelihood)
    images = pictures()
    given = images, images.mean(0)
    assert fits_one_pass(model.encoder, model.estimator)
    expected, actual = separately(model, *given), together(model, *given)
    parameters = list(model.parameters())
    for one, other in zip(expected, actual, strict=True):
        torch.testing.assert_close(other, one, **EXACT)
        gradients = [
            torch.autograd.grad(each.sum(), parameters, retain_graph=True, allow_unused=True)
            for each in (one, other)
        ]
        for first, second in zip(*gradients, strict=True):
            zero = torch.zeros((), dtype=torch.float64)
            torch.testing.assert_close(
                zero if second is None else second.sum(), zero if first is None else first.sum()
            )
            if first is not None and second is not None:
                torch.testing.assert_close(second, first, **EXACT)


def test_everything_is_encoded_and_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    model, images = make(LocalDivergence()), pictures()
    model.encoder.register_forward_hook(lambda module, given, out: calls.append(len(given[0])))
    model.decoder.last.register_forward_hook(lambda module, given, out: calls.append(0))
    model(images, mean=images.mean(0))
    assert calls == [0, len(images) + VALUES]
    monkeypatch.setattr(_discrete_vae, "fits_one_pass", lambda *given: False)
    calls.clear()
    model(images, mean=images.mean(0))
    assert sorted(calls) == [0, 0, VALUES, len(images)]


@pytest.mark.parametrize(
    "estimator", [Direct(), LocalDivergence(), LocalExpectation(num_samples=3)]
)
def test_estimators_that_draw_have_the_same_mean(estimator: Estimator) -> None:
    """One noise for two problems, one of which has the pseudo-image: both are as without it."""
    model = make(estimator)
    images = pictures(1).expand(20_000, -1)
    reconstruction, kl, *_ = together(model, images, images.mean(0))
    exact = make(Exact())(images[:1])
    torch.testing.assert_close(kl[:1], exact.kl, **EXACT)
    spread = reconstruction.std() / len(reconstruction) ** 0.5
    assert (reconstruction.mean() - exact.reconstruction).abs() < 4 * spread + 1e-9


def normalised() -> Encoder:
    trunk = nn.Sequential(nn.Linear(PIXELS, 7), nn.BatchNorm1d(7))
    return Encoder(PIXELS, 1, VALUES, hidden=7, trunk=trunk)


@pytest.mark.parametrize(
    ("encoder", "estimator"),
    [
        (normalised(), Exact()),  # dreams would change what images are normalised with
        (Encoder(PIXELS, 1, VALUES), GumbelSoftmax()),  # asks for f between the values
        (Encoder(PIXELS, 1, 129), Exact()),
        (Encoder(PIXELS, 2, VALUES), Exact()),
    ],
)
def test_what_is_done_in_two_passes(encoder: Encoder, estimator: Estimator) -> None:
    n, k = encoder.num_variables, encoder.num_values
    assert not fits_one_pass(encoder, estimator)
    model = DiscreteVAE(encoder, Decoder(n, k, PIXELS), estimator)
    images = pictures().float()
    terms = model(images, generator=torch.Generator().manual_seed(3), mean=images.mean(0))
    alone = model(images, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(terms.reconstruction, alone.reconstruction)
    assert terms.prior.encoder.isfinite()
    assert alone.prior is None


def test_a_learned_prior_goes_into_both() -> None:
    model = make(Exact(), learned_prior=True)
    assert model.prior_logits is not None
    with torch.no_grad():
        model.prior_logits.copy_(torch.tensor([[2.0, 1.0, 0.0, -1.0]]))
    images = pictures()
    given = images, images.mean(0)
    for one, other in zip(separately(model, *given), together(model, *given), strict=True):
        torch.testing.assert_close(other, one, **EXACT)


@pytest.mark.parametrize(
    ("mean", "error"),
    [
        (torch.rand(PIXELS + 1, dtype=torch.float64), ValueError),
        (torch.full((PIXELS,), 2.0, dtype=torch.float64), ValueError),
        (torch.zeros(PIXELS, dtype=torch.int64), TypeError),
    ],
)
def test_refuses_another_mean(mean: Tensor, error: type[Exception]) -> None:
    with pytest.raises(error, match="mean must"):
        make(Exact())(pictures(), mean=mean)


def test_refuses_what_is_no_generator() -> None:
    images = pictures()
    with pytest.raises(TypeError, match="generator must"):
        make(Exact())(images, generator=3, mean=images.mean(0))
