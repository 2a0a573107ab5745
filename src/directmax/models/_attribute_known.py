"""Losses of images whose attributes are known or taken for known: by themselves, or mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from directmax._randomness import draw
from directmax.distributions import DiscreteDistribution, observed_one_hot
from directmax.models._attribute_networks import AttributeEncoder


class Known(NamedTuple):
    """Images and what is known of their attributes.

    Attributes:
        images: as they are classified, `(m, channels, height, width)`.
        observed: one-hot, zero rows where an attribute is not known, `(m, n, 2)`.
        loss: of q(z|x) and `observed`, `(m,)`.
        mixed: whether the images are classified as means of two.
    """

    images: Tensor
    observed: Tensor
    loss: Callable[[DiscreteDistribution, Tensor], Tensor]
    mixed: bool = False


def labelled_images(
    images: Float[Tensor, "m channels height width"],
    labels: Int[Tensor, "m n"],
    like: DiscreteDistribution,
    loss: Callable[[DiscreteDistribution, Tensor], Tensor],
    *,
    mixing: bool,
) -> Known:
    """Images, as they are classified, with labels 0 or 1, −1 where unknown.

    Args:
        images: in [0, 1].
        labels: of their attributes.
        like: a q(z|x) of as many attributes.
        loss: of q(z|x) and one-hot labels.
        mixing: see `Known`.
    """
    looked_at = like.device.type == "cpu" and not torch.compiler.is_compiling()
    shape = (len(images), like.num_variables, 2)
    observed = observed_one_hot(
        labels, shape, dtype=like.dtype, device=like.device, validate=looked_at
    )
    return Known(images, observed, loss, mixed=mixing)


def known_losses(
    encoder: AttributeEncoder,
    known: Sequence[Known],
    *,
    generator: torch.Generator | None,
) -> tuple[list[Float[Tensor, " m"]], list[DiscreteDistribution]]:
    r"""The losses of several sets of images, which are classified in one pass.

    Mixed images are λx + (1 − λ)x', x' another image of the set and λ uniform on (0, 1), anew for
    every image, and the loss λℓ(q, answer of x) + (1 − λ)ℓ(q, answer of x'). Every other image
    stays as it is, λ = 1: with many labels and few steps nothing but mixtures is learned slowly.

    Args:
        encoder: images to q(z|x).
        known: the sets.
        generator: draws λ and x'.

    Returns:
        The losses of every set, and q of its images, as they were classified.

    Reference: Zhang et al. 2018 (mixup).
    """
    shown, mixtures = [], []
    for each in known:
        mixture = _mixture(each.images, generator) if each.mixed else None
        mixtures.append(mixture)
        shown.append(each.images if mixture is None else mixture.images)
    potentials = encoder.classifier(2 * torch.cat(shown) - 1)
    parts = potentials.split([len(each.images) for each in known])
    posteriors = [encoder.distribution(part) for part in parts]
    losses = []
    for each, mixture, q in zip(known, mixtures, posteriors, strict=True):
        loss = each.loss(q, each.observed)
        if mixture is not None:
            other = each.loss(q, each.observed[mixture.partner])
            loss = other + mixture.share * (loss - other)
        losses.append(loss)
    return losses, posteriors


class _Mixture(NamedTuple):
    images: Tensor
    partner: Tensor
    share: Tensor


def _mixture(images: Tensor, generator: torch.Generator | None) -> _Mixture:
    settings = {"dtype": images.dtype, "device": images.device}
    share = draw(torch.rand, (len(images),), generator, **settings)
    share[::2] = 1.0
    partner = draw(torch.rand, (len(images),), generator, **settings).argsort()
    weight = share.view(-1, 1, 1, 1)
    return _Mixture(weight * images + (1 - weight) * images[partner], partner, share)
