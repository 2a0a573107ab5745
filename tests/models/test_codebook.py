"""Codebooks, and networks of one's own: the same gradients with tables and without."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from directmax import (
    Categorical,
    Codebook,
    CodebookDecoder,
    Decoder,
    Direct,
    DiscreteVAE,
    Encoder,
    Exact,
    LocalExpectation,
)
from directmax.models import LossTerms
from directmax.objectives import _candidates

N, K, D = 4, 3, 20


class Opaque(nn.Module):
    """A decoder of which only the result is known."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.inside = decoder

    def forward(self, z: Tensor) -> Tensor:
        assert z.ndim == 3
        logits: Tensor = self.inside(z)
        return logits


class Behind(nn.Module):
    """A network of one's own behind the vectors themselves."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.first = Codebook(N, K, 5, shared=shared)
        self.layers = nn.Sequential(nn.Tanh(), nn.Linear(5 * N, D))

    def rest(self, pre_activation: Tensor) -> Tensor:
        logits: Tensor = self.layers(pre_activation)
        return logits

    def forward(self, z: Tensor) -> Tensor:
        return self.rest(self.first(z.flatten(-2)))


def gradients(model: DiscreteVAE, images: Tensor) -> list[Tensor]:
    model.zero_grad()
    terms: LossTerms = model(images, generator=torch.Generator().manual_seed(1))
    (terms.reconstruction + terms.kl).mean().backward()
    return [each.grad for each in model.parameters() if each.grad is not None]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("estimator", [LocalExpectation(), Direct(), Exact()], ids=repr)
def test_tables_change_no_gradient(shared: bool, projected: bool, estimator: nn.Module) -> None:
    torch.manual_seed(0)
    decoder: nn.Module = Behind(shared)
    if projected:
        decoder = CodebookDecoder(N, K, D, dimensions=5, shared=shared, hidden=7)
    encoder, images = Encoder(D, N, K, hidden=6).double(), torch.rand(9, D).double().round()
    models = [
        DiscreteVAE(encoder, each, estimator)  # type: ignore[arg-type]
        for each in (decoder.double(), Opaque(decoder))
    ]
    fast, slow = (gradients(model, images) for model in models)
    assert len(fast) == len(slow) > 6
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        assert one.abs().max() > 0
    bounds = [model.bound(images) for model in models]
    torch.testing.assert_close(bounds[0].bound, bounds[1].bound)
    assert bounds[1].nll is not None
    assert bool((bounds[1].bound >= bounds[1].nll).all())


def test_sampled_bounds_of_any_decoder() -> None:
    torch.manual_seed(0)
    encoder, decoder, images = Encoder(D, N, K), Decoder(N, K, D), torch.rand(9, D).round()
    bounds = [
        DiscreteVAE(encoder, each, Direct()).bound(
            images, max_states=2, generator=torch.Generator().manual_seed(0)
        )
        for each in (decoder, Opaque(decoder))
    ]
    torch.testing.assert_close(bounds[0].bound, bounds[1].bound)


@pytest.mark.parametrize("num_values", [2, 3, 16])
def test_the_kernel_of_changes_is_torchs(num_values: int) -> None:
    torch.manual_seed(0)
    columns, before = torch.randn(N, num_values, 33), torch.randn(6, 33)
    values = torch.randint(num_values, (6, N))
    rounded, found = (_candidates._moved_relu(before, columns, values, r) for r in (True, False))
    task = _candidates.Candidates(nn.Module(), columns, values, before, before, before, True)
    expected = torch.relu(task._moved(slice(None))) - torch.relu(before).unsqueeze(1)
    assert torch.equal(rounded, expected.bfloat16())
    assert torch.equal(found, expected)


def test_an_encoder_needs_no_attributes() -> None:
    encoder = nn.Sequential(nn.Unflatten(1, (1, 4, 5)), nn.Conv2d(1, N, (4, 3)), nn.Flatten(2))
    model = DiscreteVAE(encoder, Opaque(Decoder(N, K, D)), Direct())
    images = torch.rand(9, D).round()
    assert isinstance(model.posterior(images), Categorical)
    assert model.bound(images).bound.shape == (9,)
    assert model.bound(images, max_states=2).num_samples == 100


@pytest.mark.parametrize(
    ("encoder", "decoder", "words"),
    [
        (nn.Linear(D, N * K), Decoder(N, K, D), r"^encoder must return logits \(batch, var"),
        (nn.Identity(), Decoder(N, K, D), r"^encoder must return logits .* got shape \(9, 20\)$"),
        (Encoder(D, N, K), nn.Flatten(), "must return a logit for each of the 20 pixels"),
        (Encoder(D, N, K), nn.Identity(), r"^decoder must return pixel logits \(m, d\)"),
        (Encoder(D, N, K), nn.Flatten(0), r"^decoder must return pixel logits \(m, d\)"),
    ],
)
def test_what_does_not_fit(encoder: nn.Module, decoder: nn.Module, words: str) -> None:
    model = DiscreteVAE(encoder, decoder, LocalExpectation())
    with pytest.raises(ValueError, match=words):
        model(torch.rand(9, D).round())


def test_sizes_of_codebooks() -> None:
    for arguments in ((0, 3, 2), (2, 1, 2), (2, 3, 0)):
        with pytest.raises(ValueError, match="must be an integer of at least"):
            Codebook(*arguments)
    assert CodebookDecoder(8, 16, D, shared=True).first.weight.shape == (300, 128)


@pytest.mark.parametrize("z", [[1.0], torch.zeros(5, 4), torch.zeros(5, 8, dtype=torch.int64)])
@pytest.mark.parametrize("out_features", [None, 6])
def test_what_is_no_z(z: object, out_features: int | None) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^z must "):
        Codebook(2, 4, 3, out_features=out_features)(z)
