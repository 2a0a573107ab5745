"""Any decoder as an objective: with fast tables where its first layer is linear, else without."""

from __future__ import annotations

from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states
from directmax.models._pixels import BinaryPixels, Pixels
from directmax.objectives import (
    Batched,
    Objective,
    Reconstruction,
    batched,
    is_factored,
)

CHUNK_PIXELS = 2**22
"""Pixels of a call of a decoder without tables, where there is a choice."""


def reconstruction(
    decoder: Any, images: Float[Tensor, "b d"], pixels: Pixels, *, reduced: bool = True
) -> Objective:
    """f(z) = −log p(x|z) of a decoder, in nats per image.

    Args:
        decoder: see `DiscreteVAE`.
        images: x in [0, 1].
        pixels: their likelihood; there are fast tables where it is Bernoulli.
        reduced: see `Reconstruction`.
    """
    if is_factored(decoder) and isinstance(pixels, BinaryPixels):
        return Reconstruction(decoder, images, reduced=reduced)
    chunk = max(1, CHUNK_PIXELS // max(1, images.shape[-1]))
    plain = partial(_plain, decoder, pixels)
    if isinstance(pixels, BinaryPixels):
        return batched(plain, images, chunk_assignments=chunk)
    return _OfLevels(decoder, pixels, images, batched(plain, images, chunk_assignments=chunk))


class _OfLevels:
    """f with its table of all states, each of which is decoded once for all images."""

    def __init__(self, decoder: Any, pixels: Pixels, images: Tensor, plain: Batched) -> None:
        self.decoder, self.pixels, self.images, self.plain = decoder, pixels, images, plain
        self.chunk_assignments = plain.chunk_assignments

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        return self.plain(z)

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b K"]:
        states = enumerate_states(
            num_variables, num_values, max_states=max_states, device=self.images.device
        )
        return self.pixels.table(decoded(self.decoder, states), self.images)


def decoded(decoder: Any, z: Float[Tensor, "m n k"]) -> Float[Tensor, "m d"]:
    """Pixel logits of assignments, in the type of the decoder's weights."""
    if is_factored(decoder):
        logits: Tensor = decoder.rest(decoder.first(z.flatten(1).to(decoder.first.weight.dtype)))
        return logits
    weight = next(decoder.parameters(), z)
    return _checked(decoder(z.to(weight.dtype)), z)


def _plain(
    decoder: Any, pixels: Pixels, z: Float[Tensor, "m n k"], images: Float[Tensor, "m d"]
) -> Float[Tensor, " m"]:
    return pixels.loss(_checked(decoder(z), z), images)


def _checked(logits: object, z: Tensor) -> Tensor:
    """What a decoder returned, if it is a row of logits for each assignment."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        got = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"decoder must return a floating-point tensor of pixel logits, got {got}")
    if logits.ndim != 2 or len(logits) != len(z):
        raise ValueError(
            f"decoder must return pixel logits (m, d) for z (m, n, k) = {tuple(z.shape)}, got "
            f"shape {tuple(logits.shape)}"
        )
    return logits
