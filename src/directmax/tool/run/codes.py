"""What images are encoded with."""

from __future__ import annotations

from torch import Tensor

from directmax.distributions import DiscreteDistribution
from directmax.models import AttributeVAE, DiscreteVAE, MixedVAE


def inferred(model: DiscreteVAE | MixedVAE | AttributeVAE, images: Tensor) -> DiscreteDistribution:
    """The posterior of images: the encoder's, refined by the decoder where the model says so."""
    return model.inferred(images) if isinstance(model, DiscreteVAE) else model.posterior(images)
