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


def rectifier() -> nn.Module:
    """ReLU, whose backward pass takes half as long on a CPU in bfloat16 when it is called this."""
    return nn.Hardtanh(0.0, math.inf, inplace=True)


class Shrink(nn.Module):
    """Images → convolutions of stride 2 with ReLU → a flat vector.

    Args:
        shape: (channels, height, width) of an image.
        widths: channels after every convolution; the first one is 5×5, the others 3×3.
        strides: of every convolution, 1 or 2.
    """

    def __init__(
        self, shape: tuple[int, int, int], widths: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        super().__init__()
        channels, height, width = shape
        layers: list[nn.Module] = []
        for index, (out, stride) in enumerate(zip(widths, strides, strict=True)):
            kernel = 5 if index == 0 else 3
            layers += [nn.Conv2d(channels, out, kernel, stride, kernel // 2), rectifier()]
            channels = out
        self.layers = nn.Sequential(*layers)
        rows, columns = grid_of(height, width, sum(stride == 2 for stride in strides))
        self.size = channels * rows * columns
        """Length of the vector."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Float[Tensor, "b channels height width"]) -> Float[Tensor, "b size"]:
        """The vector of every image."""
        hidden: Tensor = self.layers(images.contiguous(memory_format=torch.channels_last))
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
        images: Tensor = self.layers(grid.contiguous(memory_format=torch.channels_last))
        _, height, width = self.shape
        if images.shape[-2:] == (height, width):
            return images
        rows, columns = images.shape[-2] - height, images.shape[-1] - width
        top, left = rows // 2, columns // 2
        return F.pad(images, (-left, left - columns, -top, top - rows))
