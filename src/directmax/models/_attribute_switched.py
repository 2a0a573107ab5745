"""The loss of images that are decoded with attributes other than their own."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._randomness import draw
from directmax.distributions import DiscreteDistribution
from directmax.estimators import LabelledDirect
from directmax.models._attribute_networks import AttributeEncoder
from directmax.objectives import AttributeReconstruction

NOISE = 0.05
"""Deviation of what is added to decoded images: patterns that only q would see drown in it."""


def switched_loss(
    q: DiscreteDistribution,
    objective: AttributeReconstruction,
    encoder: AttributeEncoder,
    layers: nn.Module,
    supervision: LabelledDirect,
    count: int,
    generator: torch.Generator | None,
) -> Float[Tensor, " s"]:
    r"""−log q(z' | g(ε_z, z')) of the first images: the code of z decoded with z' shows z'.

    z are the most probable attributes, and z' the same with each one switched with probability ½.
    Only the decoder g gets a gradient. Without this, nothing keeps the Gaussian code from saying
    also what the attributes say, and the decoder from not listening to them. Decoded images are
    mirrored at random, where `encoder.symmetric`, and get noise before q looks at them.

    Args:
        q: of the objective's images.
        objective: of the images, with their Gaussian codes and the decoder.
        encoder: makes q of what the layers return.
        layers: that q looks with.
        supervision: the loss of z'.
        count: how many images.
        generator: draws z', the mirrored ones and the noise.

    Reference: Hu et al. 2017 (the same for sentences); Chen et al. 2016 (information term).
    """
    with torch.no_grad():
        own = q.mode()[..., 1]  # (b, n)
        code = objective.code(own)[:count]
    own = own[:count]
    settings = {"dtype": own.dtype, "device": own.device}
    other = (own - (draw(torch.rand, own.shape, generator, **settings) < 0.5).to(own.dtype)).abs()
    images = objective.decoder(code, other)
    seen = images
    if encoder.symmetric:
        mirrored = draw(torch.rand, (len(images), 1, 1, 1), generator, **settings) < 0.5
        seen = torch.where(mirrored, images.flip(-1), images)
    noise = draw(torch.randn, tuple(images.shape), generator, **settings)
    # The layers' own weights get no gradient here.
    frozen = {name: value.detach() for name, value in layers.named_parameters()}
    potentials = torch.func.functional_call(layers, frozen, ((2 * (seen + NOISE * noise)).sub_(1),))
    found = encoder.distribution(potentials)
    observed = torch.stack([1 - other, other], -1).to(found.dtype)
    return supervision(found, observed, generator=generator, validate=False).loss
