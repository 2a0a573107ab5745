"""Any decoder as an objective: with fast tables where its first layer is linear, else without."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from directmax.models._pixels import BinaryPixels, Pixels
from directmax.objectives import PlainReconstruction, Reconstruction, is_factored


def reconstruction(
    decoder: Any, images: Float[Tensor, "b d"], pixels: Pixels, *, reduced: bool = True
) -> Reconstruction | PlainReconstruction:
    """f(z) = −log p(x|z) of a decoder, in nats per image.

    Args:
        decoder: see `DiscreteVAE`.
        images: x in [0, 1].
        pixels: their likelihood; there are fast tables where it is Bernoulli.
        reduced: see `Reconstruction`; of binary pixels only.
    """
    if not isinstance(pixels, BinaryPixels):
        return PlainReconstruction(
            decoder, images, loss=pixels.loss, table=pixels.table, reduced=False
        )
    if is_factored(decoder):
        return Reconstruction(decoder, images, reduced=reduced)
    return PlainReconstruction(decoder, images, reduced=reduced)
