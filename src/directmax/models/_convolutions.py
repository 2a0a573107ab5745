"""Convolutional trunks for square or rectangular images: down to a small grid, and up again."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = 4
"""Halvings of height and width."""


def grid_of(height: int, width: int, stages: int = STAGES) -> tuple[int, int]:
    """Height and width after some halvings, rounded up.

    Example:
        >>> grid_of(64, 50)
        (4, 4)
    """
    scale = 2**stages
    return math.ceil(height / scale), math.ceil(width / scale)


def channels_last(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Images as the networks have them in memory; those of other strides are compared slowly."""
    return images.contiguous(memory_format=torch.channels_last)


def rectifier() -> nn.Module:
    """ReLU, whose backward pass takes half as long on a CPU in bfloat16 when it is called this."""
    return nn.Hardtanh(0.0, math.inf, inplace=True)


class NormalizedRectifier(nn.Module):
    """Layer normalisation of the channels at every place of a map, then ReLU.

    Of one image alone, so that q(z|x) does not depend on the other images of a batch, as with
    batch normalisation it would. In a map that is channels-last the channels lie side by side.

    Args:
        channels: of the map.

    Reference: Ba et al. 2016; Liu et al. 2022 (in convolutional networks).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The map."""
        hidden: Tensor = self.norm(maps.permute(0, 2, 3, 1))
        return F.hardtanh_(hidden, 0.0, math.inf).permute(0, 3, 1, 2)  # see `rectifier`


class Shrink(nn.Module):
    """Images → convolutions of stride 2 with ReLU → a flat vector.

    Args:
        shape: (channels, height, width) of an image.
        widths: channels after every convolution; the first one is 5×5, the others 3×3.
        strides: of every convolution, 1 or 2.
        normalized: whether every ReLU is a `NormalizedRectifier`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        widths: tuple[int, ...],
        strides: tuple[int, ...],
        *,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        layers: list[nn.Module] = []
        for index, (out, stride) in enumerate(zip(widths, strides, strict=True)):
            kernel = 5 if index == 0 else 3
            layers.append(nn.Conv2d(channels, out, kernel, stride, kernel // 2))
            layers.append(NormalizedRectifier(out) if normalized else rectifier())
            channels = out
        self.layers = nn.Sequential(*layers)
        rows, columns = grid_of(height, width, sum(stride == 2 for stride in strides))
        self.size = channels * rows * columns
        """Length of the vector."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Float[Tensor, "b channels height width"]) -> Float[Tensor, "b size"]:
        """The vector of every image."""
        hidden: Tensor = self.layers(channels_last(images))
        return hidden.flatten(1)


class Grow(nn.Module):
    """A vector → linear → transposed convolutions of stride 2 with ReLU → images.

    Args:
        size: length of the vector.
        shape: (channels, height, width) of an image.
        widths: channels of the small grid and after every doubling but the last.
    """

    def __init__(self, size: int, shape: tuple[int, int, int], widths: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.widths = shape, widths
        channels, height, width = shape
        self.grid = grid_of(height, width, len(widths))
        self.start = nn.Linear(size, widths[0] * self.grid[0] * self.grid[1])
        layers: list[nn.Module] = []
        for before, after in zip(widths, (*widths[1:], channels), strict=True):
            layers += [rectifier(), nn.ConvTranspose2d(before, after, 4, 2, 1)]
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, vectors: Float[Tensor, "m size"]) -> Float[Tensor, "m channels height width"]:
        """An image for every vector; unbounded numbers."""
        grid = self.start(vectors).unflatten(-1, (self.widths[0], *self.grid))
        images: Tensor = self.layers(channels_last(grid))
        _, height, width = self.shape
        if images.shape[-2:] == (height, width):
            return images
        rows, columns = images.shape[-2] - height, images.shape[-1] - width
        top, left = rows // 2, columns // 2
        return F.pad(images, (-left, left - columns, -top, top - rows))
