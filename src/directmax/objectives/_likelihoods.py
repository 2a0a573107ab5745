"""−log P(x) of 8-bit images given their decoded mean: Gaussian and discretised logistic."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from directmax._precision import no_autocast, widened
from directmax._validation import check_broadcast, check_place, check_real, check_tensor
from directmax.objectives._bernoulli import softplus

LEVELS = 256
"""Values of a pixel of one channel."""
PIXEL_AXES = (-3, -2, -1)
"""Channels, height and width, summed where they lie: flattened, channels-last images are copied."""


def unit_pixels(
    images: UInt8[Tensor, "*s"], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*s"]:
    """(v + ½)/256, the middle of the interval of the pixel value v = 0 … 255, in (0, 1).

    Example:
        >>> unit_pixels(torch.tensor([0, 255], dtype=torch.uint8))
        tensor([0.0020, 0.9980])
    """
    check_tensor("images", images, (), "")
    return images.to(dtype, copy=True).add_(0.5).mul_(1 / LEVELS)


def gaussian_loss(
    mean: Float[Tensor, "*s b c h w"],
    log_scale: Float[Tensor, ""],
    images: UInt8[Tensor, "b c h w"],
) -> Float[Tensor, "*s b"]:
    r"""An upper bound of −log P(x) under a Gaussian of each pixel, in nats per image.

    The pixel value v is the interval [v, v + 1)/256 of the unit interval, and P(v) the mass of
    N(μ, σ²) there. With u uniform on [0, 1), by Jensen's inequality,

        −log P(v) ≤ E_u[−log N((v + u)/256; μ, σ²)] + log 256
                  = ((y − μ)² + 1/(12 · 256²))/(2σ²) + log σ + ½ log 2π + log 256,

    y = (v + ½)/256: what uniform dequantisation bounds, its mean over the noise u taken exactly. So
    the loss is on the scale of `logistic_loss`, and is at its lowest for a σ above zero.

    Args:
        mean: μ, one for each pixel and channel, in units of the unit interval.
        log_scale: log σ, one number for all.
        images: x, 0 … 255.

    Example:
        >>> image = torch.full((1, 1, 1, 1), 128, dtype=torch.uint8)
        >>> mean = torch.full((1, 1, 1, 1), 128.5 / 256)
        >>> gaussian_loss(mean, torch.tensor(-3.0), image)  # log(256 √(2π) e⁻³), and a little more
        tensor([3.4644])

    Reference: Theis et al. 2016 (dequantisation); Rybkin et al. 2021 (one learned σ).
    """
    mean, log_scale = _checked(mean, log_scale, images)
    with no_autocast(mean.device):
        difference = mean - unit_pixels(images, mean.dtype)
        pixels = math.prod(difference.shape[-3:])
        squares = difference.square().sum(PIXEL_AXES) + pixels / (12 * LEVELS**2)
        constant = pixels * (log_scale + 0.5 * math.log(2 * math.pi) + math.log(LEVELS))
        return 0.5 * squares * (-2 * log_scale).exp() + constant


def logistic_loss(
    mean: Float[Tensor, "*s b c h w"],
    log_scale: Float[Tensor, ""],
    images: UInt8[Tensor, "b c h w"],
) -> Float[Tensor, "*s b"]:
    r"""−log P(x) under a discretised logistic of each pixel, in nats per image.

    P(v) is the mass of the logistic distribution with mean μ and scale s on [v, v + 1)/256, the
    outer values taking the tails, so that the 256 probabilities sum to 1. With
    a = ((v + 1)/256 − μ)/s and b = (v/256 − μ)/s,

        −log P(v) = softplus(−a) + softplus(b) − log(1 − e^{−1/(256 s)}),

    only softplus(−a) for v = 0, and only softplus(b) for v = 255.

    Args:
        mean: μ, one for each pixel and channel, in units of the unit interval.
        log_scale: log s, one number for all.
        images: x, 0 … 255.

    Example:
        >>> images = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
        >>> losses = logistic_loss(torch.full((256, 1, 1, 1), 0.3), torch.tensor(-3.0), images)
        >>> round(float((-losses).exp().sum()), 4)
        1.0

    Reference: Kingma et al. 2016 (IAF); Salimans et al. 2017 (PixelCNN++).
    """
    mean, log_scale = _checked(mean, log_scale, images)
    with no_autocast(mean.device):
        rate = (-log_scale).exp()
        centred = (unit_pixels(images, mean.dtype) - mean) * rate
        half = rate / (2 * LEVELS)
        upper = softplus(-centred - half) * (images < LEVELS - 1)
        lower = softplus(centred - half) * (images > 0)
        inside = ((images > 0) & (images < LEVELS - 1)).sum(PIXEL_AXES)
        width = torch.log(-torch.expm1(-2 * half))
        return (upper + lower).sum(PIXEL_AXES) - inside * width


def _checked(mean: object, log_scale: object, images: object) -> tuple[Tensor, Tensor]:
    """The mean images and the scale, of fitting types and shapes."""
    mean, log_scale = check_real("mean", mean), check_real("log_scale", log_scale)
    images = check_place("images", check_tensor("images", images, (), ""), mean.device, "mean")
    if mean.ndim < 4 or images.ndim != 4:
        raise ValueError(
            "mean and images must have shapes (…, batch, channels, height, width) and (batch, "
            f"channels, height, width), got {tuple(mean.shape)} and {tuple(images.shape)}"
        )
    if log_scale.ndim:
        raise ValueError(f"log_scale must be one number, got shape {tuple(log_scale.shape)}")
    check_broadcast("mean and images", mean, images)
    return widened(mean), widened(log_scale)
