"""One variable: its values are decoded once, for the images, for the prior and for dreams."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._precision import widened
from directmax.distributions import Categorical
from directmax.estimators import Estimator
from directmax.models._networks import Encoder
from directmax.models._pixels import Pixels
from directmax.models._prior import ALL_PRIOR_CODES, PriorTerms, said_sizes
from directmax.objectives import LinearCost, all_values_decoded


def fits_one_pass(
    encoder: nn.Module, estimator: Estimator, learned_prior: Tensor | None = None
) -> bool:
    """Whether `one_pass` gives what the model gives in several.

    The encoder must treat every image for itself, as batch normalisation of a network of the
    caller's would not, and the estimator ask f at one-hot z only, where a table says all of it. A
    learned prior adds its own cost to f.
    """
    if learned_prior is not None:
        return False
    sizes = said_sizes(encoder)
    if sizes is None or sizes[0] != 1 or sizes[1] > ALL_PRIOR_CODES:
        return False
    return type(encoder) is Encoder and not encoder.own_trunk and not estimator.needs_derivative


def one_pass(
    encoder: Encoder,
    decoder: Any,
    pixels: Pixels,
    images: Float[Tensor, "b d"],
    mean: Float[Tensor, " d"],
    generator: torch.Generator | None,
) -> tuple[Categorical, LinearCost, PriorTerms]:
    """q(z|x) of the images, f of all values for them, and what codes of the prior add.

    f of one variable is linear in one-hot z, so that its table is all there is to know.

    Args:
        encoder: x to logits.
        decoder: z to pixel logits.
        pixels: their likelihood.
        images: x.
        mean: the mean training image.
        generator: source of the images that the decoder draws.
    """
    logits = all_values_decoded(decoder, encoder.num_values, like=images)  # (k, d)
    dreams = pixels.draw(logits, generator).to(images.dtype)
    given = torch.cat([images, mean.unsqueeze(0)])
    sizes = [len(images), len(dreams)]
    losses, mean_losses = pixels.table(logits, given).split([len(images), 1])  # (b, k), (1, k)
    potentials, dreamt = encoder(torch.cat([images, dreams])).split(sizes)
    log_q = widened(dreamt).log_softmax(-1).squeeze(1)  # (k, k)
    prior = PriorTerms(mean_losses.mean(), -log_q.diagonal().mean())
    return Categorical(potentials, validate=False), LinearCost(losses.unsqueeze(1)), prior
