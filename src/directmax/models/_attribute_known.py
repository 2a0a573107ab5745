"""Losses of images whose attributes are known or taken for known: by themselves, or mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from directmax._randomness import draw
from directmax.distributions import DiscreteDistribution, observed_one_hot
from directmax.estimators import LabelledDirect
from directmax.models._attribute_networks import AttributeEncoder
from directmax.models._attribute_prior import label_loss
from directmax.models._attribute_terms import targets_of
from directmax.models._distortion import distorted


class Known(NamedTuple):
    """Images and what is known of their attributes.

    Attributes:
        images: as they are classified, `(m, channels, height, width)`.
        observed: one-hot, zero rows where an attribute is not known, `(m, n, 2)`; or whatever else
            `loss` takes, a row an image.
        loss: of q(z|x) and `observed`, `(m,)`.
        mixed: how images are made of two before they are classified: "means", "patches", or "" for
            not at all.
    """

    images: Tensor
    observed: Tensor
    loss: Callable[[DiscreteDistribution, Tensor], Tensor]
    mixed: str = ""


class Shown(NamedTuple):
    """How images are shown to the network of q(z|x), and what it is told of them.

    Attributes are those of `AttributeVAE.forward`, `symmetric` of `AttributeEncoder`.
    """

    distortion: float
    sharpness: float
    confidence: float
    patching: bool
    mixing: bool
    tilt: Tensor | None
    symmetric: bool = True


def loss_of_labels(
    supervision: LabelledDirect, generator: torch.Generator | None, tilt: Tensor | None = None
) -> Callable[[DiscreteDistribution, Tensor], Tensor]:
    """The loss of q and of one-hot labels; of labels drawn in other shares with `tilt`."""
    if tilt is not None:
        return partial(label_loss, tilt=tilt)
    supervised = partial(supervision, generator=generator, validate=False)
    return lambda q, observed: supervised(q, observed).loss


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
        mixing: whether they are mixed, as means of two.
    """
    looked_at = like.device.type == "cpu" and not torch.compiler.is_compiling()
    shape = (len(images), like.num_variables, 2)
    observed = observed_one_hot(
        labels, shape, dtype=like.dtype, device=like.device, validate=looked_at
    )
    return Known(images, observed, loss, mixed="means" if mixing else "")


def shown_images(
    images: Float[Tensor, "b channels height width"],
    told: DiscreteDistribution,
    labelled: Float[Tensor, "m channels height width"] | None,
    labels: Int[Tensor, "m n"] | None,
    supervision: LabelledDirect,
    how: Shown,
    *,
    generator: torch.Generator | None,
) -> list[Known]:
    """Distorted images with what they are told, then, where given, labelled ones.

    Args:
        images: without label, in [0, 1]; left out with distortion 0.
        told: q of these images.
        labelled: in [0, 1].
        labels: theirs, 0 or 1, −1 where unknown.
        supervision: the loss of labels.
        how: distortion, targets and mixtures.
        generator: source of randomness.
    """
    seen = partial(distorted, strength=how.distortion, mirror=how.symmetric, generator=generator)
    known: list[Known] = []
    if how.distortion > 0:
        sure = loss_of_labels(supervision, generator)
        targets = targets_of(told, how.sharpness, how.confidence, sure)
        known.append(Known(seen(images), *targets, "patches" if how.patching else ""))
    if labelled is not None and labels is not None:
        labelled = seen(labelled, cover=False) if how.distortion > 0 else labelled
        loss = loss_of_labels(supervision, generator, how.tilt)
        known.append(labelled_images(labelled, labels, told, loss, mixing=how.mixing))
    return known


def known_losses(
    encoder: AttributeEncoder,
    known: Sequence[Known],
    *,
    generator: torch.Generator | None,
) -> tuple[list[Float[Tensor, " m"]], list[DiscreteDistribution]]:
    r"""The losses of several sets of images, which are classified in one pass.

    Mixed images are λx + (1 − λ)x', x' another image of the set and λ uniform on (0, 1), anew for
    every image, and the loss λℓ(q, answer of x) + (1 − λ)ℓ(q, answer of x'). Or a rectangle of x'
    covers at most half of x, and λ is the share of x that is seen. Every other image stays as it
    is, λ = 1: with many labels and few steps nothing but mixtures is learned slowly.

    Args:
        encoder: images to q(z|x).
        known: the sets.
        generator: draws λ and x'.

    Returns:
        The losses of every set, and q of its images, as they were classified.

    Reference: Zhang et al. 2018 (mixup); Yun et al. 2019 (CutMix).
    """
    shown, mixtures = [], []
    for each in known:
        mixture = _MIXTURES[each.mixed](each.images, generator) if each.mixed else None
        mixtures.append(mixture)
        shown.append(each.images if mixture is None else mixture.images)
    potentials = encoder.classifier((2 * torch.cat(shown)).sub_(1))
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


def _means(images: Tensor, generator: torch.Generator | None) -> _Mixture:
    share, partner = _share(images, generator), _partner(images, generator)
    weight = share.view(-1, 1, 1, 1)
    return _Mixture(weight * images + (1 - weight) * images[partner], partner, share)


def _patches(images: Tensor, generator: torch.Generator | None) -> _Mixture:
    """A rectangle of the images' own shape somewhere, cut off at the border, is of another one."""
    kept = (1 + _share(images, generator)) / 2
    half = (1 - kept).sqrt().view(-1, 1) / 2  # of the rectangle, in heights and widths
    sides = []
    for size in images.shape[-2:]:
        middle = _uniform(images, generator).view(-1, 1)
        places = (torch.arange(size, device=images.device, dtype=images.dtype) + 0.5) / size
        sides.append((places - middle).abs() < half)
    covered = (sides[0].unsqueeze(2) & sides[1].unsqueeze(1)).unsqueeze(1)
    partner = _partner(images, generator)
    share = 1 - covered.to(images.dtype).mean((1, 2, 3))
    return _Mixture(torch.where(covered, images[partner], images), partner, share)


_MIXTURES = {"means": _means, "patches": _patches}


def _uniform(images: Tensor, generator: torch.Generator | None) -> Tensor:
    settings = {"dtype": images.dtype, "device": images.device}
    return draw(torch.rand, (len(images),), generator, **settings)


def _share(images: Tensor, generator: torch.Generator | None) -> Tensor:
    share = _uniform(images, generator)
    share[::2] = 1.0
    return share


def _partner(images: Tensor, generator: torch.Generator | None) -> Tensor:
    return _uniform(images, generator).argsort()
