"""Encoder and decoder: shapes, the factored form, errors."""

from __future__ import annotations

import pytest
import torch

from directmax import Decoder, Encoder


def test_encoder() -> None:
    encoder = Encoder(6, 2, 3, hidden=5)
    images = torch.rand(4, 6)
    assert encoder(images).shape == (4, 2, 3)
    assert encoder(images[:0]).shape == (0, 2, 3)
    hidden = torch.relu(encoder.layers[0](images))
    torch.testing.assert_close(encoder(images).flatten(1), encoder.layers[2](hidden))


@pytest.mark.parametrize("leading", [(), (4,), (2, 4), (0,)])
def test_decoder(leading: tuple[int, ...]) -> None:
    decoder = Decoder(2, 3, 6, hidden=5)
    z = torch.eye(3)[torch.zeros(*leading, 2, dtype=torch.int64)]
    logits = decoder(z)
    assert logits.shape == (*leading, 6)
    torch.testing.assert_close(logits, decoder.rest(decoder.first(z.flatten(-2))))


def test_one_hidden_layer_of_300_units() -> None:
    sizes = [tuple(parameter.shape) for parameter in Encoder(784, 1, 10).parameters()]
    assert sizes == [(300, 784), (300,), (10, 300), (10,)]
    sizes = [tuple(parameter.shape) for parameter in Decoder(1, 10, 784).parameters()]
    assert sizes == [(300, 10), (300,), (784, 300), (784,)]


@pytest.mark.parametrize(
    ("sizes", "error", "name"),
    [
        ((0, 1, 2), ValueError, "num_pixels"),
        ((4, 0, 2), ValueError, "num_variables"),
        ((4, 1, 1), ValueError, "num_values"),
        ((4, 1.0, 2), TypeError, "num_variables"),
    ],
)
def test_wrong_sizes_are_refused(
    sizes: tuple[int, int, int], error: type[Exception], name: str
) -> None:
    num_pixels, num_variables, num_values = sizes
    with pytest.raises(error, match=f"^{name} must be an integer of at least"):
        Encoder(*sizes)
    with pytest.raises(error, match=f"^{name} must be an integer of at least"):
        Decoder(num_variables, num_values, num_pixels)


def test_wrong_hidden_layers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^hidden must be an integer of at least 1"):
        Encoder(4, 1, 2, hidden=0)
    with pytest.raises(ValueError, match=r"^hidden must be an integer of at least 1"):
        Decoder(1, 2, 4, hidden=0)
