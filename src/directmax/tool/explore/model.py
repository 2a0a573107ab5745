"""A model as what a page needs to encode and to decode."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from directmax.models import AttributeVAE, MixedVAE, PairwiseEncoder, StructuredEncoder
from directmax.tool.explore.networks import (
    Layer,
    Shape,
    UnknownLayerError,
    Weights,
    cropped,
    layers_of,
)
from directmax.tool.run.codes import inferred
from directmax.tool.run.make import Model

MOST_COUPLED = 12
"""Coupled variables whose 2^n states a page enumerates."""
LARGEST_WEIGHTS = 5_000_000
"""Bytes of weights in a page."""
IN_A_SET = (
    "the model's codes are elements of a set, of which the library finds the most probable one; a "
    "code that is changed here need not be in it"
)
MOST_ROUNDING = 0.01
"""By how much a pixel in [0, 1] may change where weights are rounded to 16 bits."""


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of images, as the library finds them.

    Attributes:
        values: the most probable value of every variable, `(N, n)`.
        gaussian: the mean of the Gaussian code for these values, `(N, c)`; c may be 0.
        log_variance: its log-variance, `(N, c)`.
    """

    values: Tensor
    gaussian: Tensor
    log_variance: Tensor


@torch.no_grad()
def codes_of(model: Model, images: Tensor) -> Codes:
    """The codes of images, as rows of pixels in [0, 1] on the model's device."""
    if isinstance(model, AttributeVAE):
        encoder = model.encoder
        pictures = images.unflatten(-1, encoder.shape).to(model.scale.dtype)
        bits = encoder.classify(pictures).mode()[..., 1]
        mean, log_variance = encoder.gaussians(encoder.features(pictures), bits)
        return Codes(bits.round().long(), mean, log_variance)
    images = images.to(next(model.parameters()).dtype)
    values = inferred(model, images).mode().argmax(-1)
    if isinstance(model, MixedVAE):
        mean, log_variance = model.encoder.row(images, values.squeeze(1))
        return Codes(values, mean, log_variance)
    nothing = images.new_zeros(len(images), 0)
    return Codes(values, nothing, nothing)


@torch.no_grad()
def decoded(model: Model, values: Tensor, gaussian: Tensor) -> Tensor:
    """Mean images of codes, as rows of pixels in [0, 1].

    Args:
        model: any model of a run.
        values: of the variables, `(N, n)`, integers.
        gaussian: the Gaussian code, `(N, c)`; c is 0 where there is none.
    """
    like = next(model.parameters())
    if isinstance(model, AttributeVAE):
        return model.decoder(gaussian.to(like), values.to(like)).flatten(1)
    num_values = model.encoder.num_values
    z = nn.functional.one_hot(values, num_values).to(like)  # (N, n, k)
    if isinstance(model, MixedVAE):
        z = z.transpose(1, 2) * gaussian.to(like).unsqueeze(1)  # (N, k, c)
    images: Tensor = model.decoder(z).sigmoid()
    return images


def networks_of(
    model: Model, shape: Sequence[int], weights: Weights
) -> tuple[dict[str, list[Layer]], str]:
    """The networks by name, and what of the encoder the page lacks: empty for nothing.

    Raises:
        UnknownLayerError: the page cannot decode.
    """
    networks = _decoder(model, weights)
    if isinstance(model.encoder, StructuredEncoder):
        return networks, IN_A_SET
    known = Weights()  # what an encoder that cannot be written has added does not count
    try:
        _encoder(model, shape, known)
    except UnknownLayerError as error:
        return networks, f"the page does not know the layer {error} of the encoder"
    return {**networks, **_encoder(model, shape, weights)}, _unsolved(model)


def _unsolved(model: Model) -> str:
    coupling, n = coupling_of(model), model.encoder.num_variables
    if coupling is None or n <= MOST_COUPLED:
        return ""
    return f"{n} coupled variables need a solver, and a page enumerates at most {MOST_COUPLED}"


def coupling_of(model: Model) -> nn.Module | None:
    """What makes pairwise potentials of the encoder's outputs; None where none are coupled."""
    encoder = model.encoder
    if isinstance(encoder, PairwiseEncoder):
        return encoder.potentials
    return getattr(encoder, "coupled", None)


def _decoder(model: Model, weights: Weights) -> dict[str, list[Layer]]:
    decoder: Any = model.decoder
    if isinstance(model, AttributeVAE):
        grow, (_, height, width) = decoder.layers, decoder.shape
        shape: Shape = (int(grow.start.in_features),)
        first, _ = layers_of(grow.start, shape=shape, weights=weights)
        grid = (grow.widths[0], *grow.grid)
        rest, full = layers_of(grow.layers, shape=grid, weights=weights)
        return {"decoder": first + rest + cropped(full, height, width)[0]}
    shape = (decoder.num_variables * decoder.num_values,)
    return {"decoder": layers_of(decoder, shape=shape, weights=weights)[0]}


def _encoder(model: Model, shape: Sequence[int], weights: Weights) -> dict[str, list[Layer]]:
    encoder: Any = model.encoder
    if isinstance(model, MixedVAE):
        base, features = layers_of(encoder.base, shape=(math.prod(shape),), weights=weights)
        return {
            "base": base,
            "potentials": layers_of(encoder.discrete, shape=features, weights=weights)[0],
            "rows": layers_of(encoder.rows, shape=features, weights=weights)[0],
            "gaussian": layers_of(
                encoder.shared, shape=(encoder.shared[0].in_features,), weights=weights
            )[0],
        }
    if isinstance(model, AttributeVAE):
        image = tuple(encoder.shape)
        trunk, features = layers_of(encoder.discrete.layers, shape=image, weights=weights)
        potentials = layers_of(encoder.potentials, shape=features, weights=weights)[0]
        both = {"trunk": trunk, "potentials": potentials}  # by itself where it sees both sides
        continuous = (encoder.continuous.layers, encoder.bottleneck, nn.ReLU())
        row = (encoder.row, nn.ReLU(), encoder.last)
        size = (encoder.row.in_features,)
        return {
            **(both if encoder.mirrored else {"potentials": trunk + potentials}),
            "features": layers_of(*continuous, shape=image, weights=weights)[0],
            "gaussian": layers_of(*row, shape=size, weights=weights)[0],
        }
    return {"potentials": layers_of(encoder.layers, shape=(math.prod(shape),), weights=weights)[0]}


def rounded(model: Model) -> Model:
    """A copy whose weights are numbers of 16 bits."""
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.copy_(parameter.half())
    return copied
