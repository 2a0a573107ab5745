"""The bound of trained models: over all states where they can be enumerated, else by sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax.distributions import (
    DiscreteDistribution,
    Gibbs,
    PairwiseBinary,
    number_of_states,
    state_block,
)
from directmax.models._decoding import reconstruction
from directmax.models._pixels import Pixels
from directmax.objectives import LinearCost, decoded, evaluate

TABLE_ELEMENTS = 2**24
"""Losses of (state, image) pairs held at a time."""

BLOCK_STATES = 2**12
"""States decoded at a time."""

NUM_AUTHORS_SAMPLES = 10
"""Samples an image for the authors' quantity; its mean over images varies little."""


@dataclass(frozen=True)
class Bound:
    """The bound of every image, in nats; lower is better.

    Attributes:
        reconstruction: E_q[−log p(x|z)], `(N,)`.
        kl: KL(q ‖ prior), which is uniform unless the model has another one, `(N,)`.
        nll: −log p(x) by enumeration, `(N,)`; None where the states were sampled.
        num_samples: samples an image in `reconstruction`; None where it was enumerated.
        authors: structured encoders only, `(N,)`: the loss of perturb-and-MAP samples plus the KL
            of the unary potentials' softmax, as the authors' code reports. **No bound.**
        valid: False where q is structured and has too many states: then reconstruction + kl is
            the authors' quantity and no bound.
        amortized: of a model that refines its posterior, `(N,)`: the bound of the encoder's alone.

    Example:
        >>> import torch
        >>> bound = Bound(torch.tensor([9.0, 8.0]), torch.tensor([1.0, 0.5]), None, num_samples=1)
        >>> bound.bound
        tensor([10.0000,  8.5000])
    """

    reconstruction: Float[Tensor, " N"]
    kl: Float[Tensor, " N"]
    nll: Float[Tensor, " N"] | None
    num_samples: int | None
    authors: Float[Tensor, " N"] | None = None
    valid: bool = True
    amortized: Float[Tensor, " N"] | None = None

    @property
    def bound(self) -> Float[Tensor, " N"]:
        """reconstruction + kl ≥ −log p(x) (in expectation, where sampled)."""
        return self.reconstruction + self.kl


Posterior = Callable[[Tensor], DiscreteDistribution]


@torch.no_grad()
def enumerated(
    posterior: Posterior,
    decoder: nn.Module,
    pixels: Pixels,
    prior_cost: LinearCost | None,
    images: Float[Tensor, "N d"],
    n: int,
    k: int,
    progress: Callable[[float], None] | None = None,
    *,
    alone: Posterior | None = None,
) -> Bound:
    """Sums over all K = k^n states. A state is decoded once, whatever the number of images.

    E_q[f] = Σ_z q(z) f(z); −log p(x) = n log k − log Σ_z e^{−f(z)}. On a structure Z, where the
    prior is uniform, with log |Z| for n log k and z in Z. `prior_cost`: of a learned prior, −log
    p_i − log k. `alone`: the encoder's q, for `Bound.amortized`.
    """
    states = number_of_states(n, k)
    block = min(states, BLOCK_STATES)
    parts = images.split(max(1, TABLE_ELEMENTS // block))
    posteriors = [posterior(part) for part in parts]
    encoded = [] if alone is None else [alone(part) for part in parts]
    expected = [part.new_zeros(len(part)) for part in parts]
    kl = [q.kl_to_uniform() for q in posteriors]
    amortized = [q.kl_to_uniform() for q in encoded]
    evidence = [part.new_full((len(part),), -torch.inf) for part in parts]
    sizes = [torch.zeros(len(part), dtype=torch.int64, device=part.device) for part in parts]
    for start in range(0, states, block):
        z = state_block(
            n, k, start, min(start + block, states), dtype=images.dtype, device=images.device
        )
        logits = decoded(decoder, z)  # (c, d)
        cost = None if prior_cost is None else prior_cost(z.unsqueeze(1)).squeeze(1)  # (c,)
        for index, (part, q) in enumerate(zip(parts, posteriors, strict=True)):
            losses = pixels.table(logits, part)  # (b, c)
            log_probs = q.log_prob_states(z)
            total = inside = losses if cost is None else losses + cost
            if isinstance(q, Gibbs):  # outside of Z there is neither posterior nor prior
                outside = log_probs == -torch.inf
                sizes[index] += (~outside).sum(-1)
                inside = total.masked_fill(outside, torch.inf)
            probs = log_probs.exp_()
            expected[index] += (probs * losses).sum(-1)
            if cost is not None:
                kl[index] = kl[index] + probs @ cost
            if encoded:
                amortized[index] += (encoded[index].log_prob_states(z).exp_() * total).sum(-1)
            evidence[index] = torch.logaddexp(evidence[index], torch.logsumexp(-inside, -1))
        if progress is not None:
            progress(min(1.0, (start + block) / states))
    structured = any(isinstance(q, Gibbs) for q in posteriors)
    prior = torch.cat(sizes).to(images.dtype).log() if structured else math.log(states)
    return Bound(
        reconstruction=torch.cat(expected),
        kl=torch.cat(kl),
        nll=prior - torch.cat(evidence),
        num_samples=None,
        amortized=torch.cat(amortized) if encoded else None,
    )


@torch.no_grad()
def sampled(
    posterior: Posterior,
    decoder: nn.Module,
    pixels: Pixels,
    prior_cost: LinearCost | None,
    images: Float[Tensor, "N d"],
    num_samples: int,
    generator: torch.Generator | None,
) -> Bound:
    """The mean over samples of z, with the exact KL of independent variables."""
    # Made before all: what stays behind large blocks leaves holes that the next ones do not fit.
    losses, kl, valid = images.new_empty(len(images)), images.new_empty(len(images)), True
    size = max(1, TABLE_ELEMENTS // (num_samples * images.shape[-1]))
    for index, part in enumerate(images.split(size)):
        rows = slice(index * size, index * size + len(part))
        q = posterior(part)
        z = q.sample(num_samples, generator=generator)
        losses[rows] = evaluate(reconstruction(decoder, part, pixels), z).mean(0)
        if isinstance(q, PairwiseBinary):
            valid = False
            kl[rows] = q.unary_kl_to_uniform()
        else:
            kl[rows] = q.kl_to_uniform()
        if prior_cost is not None:
            kl[rows] += prior_cost(z).mean(0)
    return Bound(
        reconstruction=losses,
        kl=kl,
        nll=None,
        num_samples=num_samples,
        authors=None if valid else losses + kl,
        valid=valid,
    )
