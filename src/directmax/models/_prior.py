"""The prior p(z) of the discrete model: uniform, learned, or uniform on a structure's set."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from directmax.models._networks import StructuredEncoder
from directmax.objectives import LinearCost

NUM_PRIOR_CODES = 32
"""That `DiscreteVAE.prior_terms` draws."""
ALL_PRIOR_CODES = 128
"""With one variable it decodes all values where there are no more than so many."""


class PriorTerms(NamedTuple):
    """What codes of the prior add to a training loss, in nats.

    Attributes:
        decoder: the loss of the mean training image.
        encoder: −log q(z|x̃) of images x̃ that the decoder draws.

    Example:
        >>> terms = PriorTerms(torch.tensor(30.0), torch.tensor(2.0))
        >>> 0.01 * terms.decoder + terms.encoder
        tensor(2.3000)
    """

    decoder: Tensor
    encoder: Tensor


def said_sizes(encoder: nn.Module) -> tuple[int, int] | None:
    """n and k, as the encoder says them; None where it does not."""
    n, k = getattr(encoder, "num_variables", None), getattr(encoder, "num_values", None)
    return (n, k) if isinstance(n, int) and isinstance(k, int) else None


def needed_sizes(encoder: nn.Module) -> tuple[int, int]:
    """n and k.

    Raises:
        ValueError: the encoder does not say them.
    """
    if (said := said_sizes(encoder)) is None:
        raise ValueError(
            "the prior needs an encoder that says how many variables and values it has, by "
            f"attributes num_variables and num_values; {type(encoder).__name__} has none"
        )
    return said


def uniform_logits(encoder: nn.Module) -> nn.Parameter:
    """Of a learned prior at its start.

    Raises:
        ValueError: the encoder does not say its sizes, or its codes are those of a structure.
    """
    if isinstance(encoder, StructuredEncoder):
        raise ValueError(
            "learned_prior is of independent variables, and the codes of "
            f"{type(encoder).__name__} are those of a structure; leave it out"
        )
    return nn.Parameter(torch.zeros(needed_sizes(encoder)))


def cost_of(logits: Float[Tensor, "n k"]) -> LinearCost:
    """−log p_i − log k: by how much a value is rarer than in the uniform prior, in nats."""
    return LinearCost(-logits.log_softmax(-1) - math.log(logits.shape[-1]))


@torch.no_grad()
def drawn_codes(
    encoder: nn.Module,
    prior: Float[Tensor, "n k"] | None,
    n: int,
    k: int,
    count: int,
    generator: torch.Generator | None,
    like: Tensor,
) -> Float[Tensor, "count n k"]:
    """One-hot codes of the prior.

    Args:
        encoder: of the model.
        prior: p_i of every variable; uniform, on the set of a structured encoder, when None.
        n: variables.
        k: values.
        count: how many.
        generator: source of randomness, on any device.
        like: whose device and type codes get.
    """
    if isinstance(encoder, StructuredEncoder):
        return encoder.prior_codes(count, generator=generator).to(like)
    device = like.device if generator is None else generator.device
    if prior is None:
        codes = torch.randint(k, (count, n), generator=generator, device=device)
    else:
        shares = prior.detach().to(device)
        codes = torch.multinomial(shares, count, replacement=True, generator=generator).T
    return one_hot(codes.to(like.device), k).to(like.dtype)
