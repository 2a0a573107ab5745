"""p(x|z) of the pixels, given what a decoder returns: binary ones, or 8-bit ones around a mean."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax import objectives
from directmax._choices import check_choice
from directmax._precision import no_autocast, widened
from directmax._randomness import draw
from directmax.objectives import BERNOULLI, LIKELIHOODS, bernoulli_loss, bernoulli_table

SCALE_RATE = 10.0
"""Adam moves every parameter by about its learning rate a step. One number that has to fall from
e⁻² to the size of the remaining error would take thousands of steps; it is this much quicker."""
INITIAL_LOG_SCALE = -2.0
LEVELS = 256
"""Values of a pixel."""
CHUNK_PIXELS = 2**22
"""Pixels, of a pair of an image and a code, that a table looks at at a time."""


class Pixels(nn.Module, ABC):
    """The likelihood of a decoder's pixels. Whatever it is, their mean is σ(logits)."""

    @abstractmethod
    def loss(
        self, logits: Float[Tensor, "*s b d"], images: Float[Tensor, "b d"]
    ) -> Float[Tensor, "*s b"]:
        """−log p(x|z) of images in [0, 1], in nats per image, differentiable."""

    @abstractmethod
    def table(
        self, logits: Float[Tensor, "c d"], images: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b c"]:
        """−log p(x_b|z_c) of every pair of an image and a decoded code."""

    @abstractmethod
    def draw(
        self, logits: Float[Tensor, "*s d"], generator: torch.Generator | None
    ) -> Float[Tensor, "*s d"]:
        """Images in [0, 1] that are drawn from p(x|z), without gradient."""


class BinaryPixels(Pixels):
    """Bernoulli; see `bernoulli_loss`."""

    def loss(self, logits: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z)."""
        return bernoulli_loss(logits, images)

    def table(self, logits: Tensor, images: Tensor) -> Tensor:
        """Of every pair."""
        return bernoulli_table(logits, images)

    @torch.no_grad()
    def draw(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """Zeros and ones."""
        probs = logits.sigmoid()
        noise = torch.rand(probs.shape, generator=generator, device=probs.device)
        return (noise < probs).to(logits.dtype)


class LevelPixels(Pixels):
    """Each of 256 levels v = 0 … 255, images v/255, around the mean with one learned scale.

    See `gaussian_loss` and `logistic_loss`. Numbers between two levels count as the nearer one.

    Args:
        likelihood: "gaussian" or "logistic".
    """

    def __init__(self, likelihood: str) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE / SCALE_RATE))

    @property
    def log_scale(self) -> Float[Tensor, ""]:
        """log of the scale, in units of the unit interval."""
        return SCALE_RATE * self.scale

    def loss(self, logits: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z)."""
        if logits.shape[-1] != images.shape[-1]:
            raise ValueError(
                f"the decoder must return a logit for each of the {images.shape[-1]} pixels of "
                f"the images, got shape {tuple(logits.shape)}"
            )
        levels = (images.detach() * (LEVELS - 1)).round().to(torch.uint8)
        loss = getattr(objectives, LIKELIHOODS[self.likelihood])
        with no_autocast(logits.device):
            mean = widened(logits).sigmoid()
            # The losses are of pictures (…, channels, height, width).
            found: Tensor = loss(mean[..., None, None, :], self.log_scale, levels[:, None, None])
        return found

    def table(self, logits: Tensor, images: Tensor) -> Tensor:
        """Of every pair, some images at a time."""
        rows = max(1, CHUNK_PIXELS // max(1, logits.numel()))
        parts = [self.loss(logits.unsqueeze(1), part).T for part in images.split(rows)]
        return torch.cat(parts)

    @torch.no_grad()
    def draw(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """Levels, as v/255."""
        mean = widened(logits).sigmoid()
        settings = {"dtype": mean.dtype, "device": mean.device}
        if self.likelihood == "gaussian":
            noise = draw(torch.randn, mean.shape, generator, **settings)
        else:
            least = torch.finfo(mean.dtype).eps
            noise = draw(torch.rand, mean.shape, generator, **settings)
            noise = noise.clamp(least, 1 - least).logit()
        values = mean + self.log_scale.exp() * noise  # v is the interval [v, v + 1)/256
        levels = (LEVELS * values).floor().clamp(0, LEVELS - 1)
        return (levels / (LEVELS - 1)).to(logits.dtype)


def pixels_of(likelihood: str) -> Pixels:
    """The likelihood of a name.

    Raises:
        ValueError: an unknown one.
    """
    check_choice("likelihood", likelihood, (BERNOULLI, *LIKELIHOODS))
    return BinaryPixels() if likelihood == BERNOULLI else LevelPixels(likelihood)
