"""Convolutional and residual networks: sizes, equality of tables, candidates that do not mix."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from directmax import (
    Categorical,
    Direct,
    DiscreteVAE,
    Encoder,
    ImageDecoder,
    ImageTrunk,
    LocalExpectation,
    MixedEncoder,
    MixedVAE,
    PairwiseEncoder,
    Reconstruction,
)
from directmax.models import NETWORKS, _image_networks, named_decoder, named_trunk
from directmax.objectives import single_change_losses, state_losses

SHAPES = [(1, 1), (1, 37), (2, 3), (4, 4), (5, 9), (8, 8), (28, 28), (3, 33, 18)]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_size(shape: tuple[int, ...], residual: bool) -> None:
    torch.manual_seed(0)
    pixels = torch.zeros(shape).numel()
    trunk = ImageTrunk(shape, 6, width=4, residual=residual)
    decoder = ImageDecoder(2, 3, shape, width=4, residual=residual)
    assert max(decoder.grid[1:]) <= _image_networks.SMALLEST
    model = DiscreteVAE(Encoder(pixels, 2, 3, hidden=6, trunk=trunk), decoder, LocalExpectation())
    terms = model(torch.rand(3, pixels).round())
    (terms.reconstruction + terms.kl).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0 or pixels < 10, name
    assert not any(isinstance(each, nn.BatchNorm2d) for each in model.modules())


@pytest.mark.parametrize("residual", [False, True])
def test_tables_equal_plain_calls(residual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    decoder = ImageDecoder(3, 4, (9, 6), width=4, residual=residual).double()
    for parameter in decoder.parameters():  # norms of one scale hide mistakes
        parameter.data.add_(torch.randn_like(parameter), alpha=0.3)
    images = torch.rand(5, 54).double().round()
    objective = Reconstruction(decoder, images)
    z = Categorical(torch.randn(5, 3, 4).double()).sample(2)
    plain = single_change_losses(lambda z: objective(z), z)
    monkeypatch.setattr(_image_networks, "CHUNK_CPU", 5_000)  # a few assignments at a time
    torch.testing.assert_close(objective.single_change_losses(z), plain)
    every = state_losses(lambda z: objective(z), (5, 3, 4), dtype=torch.float64)
    torch.testing.assert_close(objective.state_losses(3, 4), every)


def test_other_rows_do_not_matter() -> None:
    torch.manual_seed(0)
    for name in NETWORKS:
        trunk, decoder = named_trunk(name, (8, 8), 5), named_decoder(name, 2, 3, (8, 8), 5)
        encoder = Encoder(64, 2, 3, hidden=5, trunk=trunk).eval()
        images, z = torch.rand(6, 64), Categorical(torch.randn(6, 2, 3)).sample()[0]
        torch.testing.assert_close(encoder(images)[2:3], encoder(images[2:3]))
        torch.testing.assert_close(decoder(z)[2:3], decoder(z[2:3]))


def test_other_heads() -> None:
    trunk = ImageTrunk((8, 8), 5)
    images = torch.rand(6, 64).round()
    q = PairwiseEncoder(64, 4, hidden=5, trunk=trunk)(images)
    assert q.batch_size == 6
    model = MixedVAE(
        MixedEncoder(64, 3, 2, hidden=5, trunk=trunk), ImageDecoder(3, 2, (8, 8)), Direct()
    )
    model(images).reconstruction.sum().backward()
    assert model.bound(images).bound.shape == (6,)


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^trunk must return features .* = \(2, 300\), got \(2"):
        Encoder(64, 1, 3, trunk=nn.Linear(64, 7))(torch.zeros(2, 64))
    with pytest.raises(TypeError, match=r"^trunk must be a torch\.nn\.Module, got int"):
        Encoder(64, 1, 3, trunk=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^shape must be"):
        ImageTrunk((28,), 5)
    with pytest.raises(ValueError, match=r"^shape, width, must be an integer of at least 1"):
        ImageDecoder(1, 3, (28, 0))
    with pytest.raises(ValueError, match="unknown network 'vit'"):
        named_trunk("vit", (8, 8), 5)
