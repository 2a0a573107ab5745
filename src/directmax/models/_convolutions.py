"""Convolutional trunks for square or rectangular images: down to a small grid, and up again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from directmax._precision import NARROW
from directmax._transforms import recorded, wrapped
from directmax.models._normalized import NormalizedRectifier

STAGES = 4
"""Halvings of height and width."""
FEW_CHANNELS = 8
"""Of a result; fewer are not worth a matrix product's registers."""


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
    if wrapped(images) and not recorded():  # torch.func has one layout
        return images
    return images.contiguous(memory_format=torch.channels_last)


def rectifier() -> nn.Module:
    """ReLU in place; not as `Hardtanh`, of which autograd keeps a copy of what it gets."""
    return nn.ReLU(inplace=True)


def _is_narrow(maps: Tensor) -> bool:
    """Whether torch may return memory that nobody wrote; see `NARROW`."""
    if maps.device.type != "cpu" or maps.shape[-1] > NARROW:
        return False
    return torch.is_autocast_enabled("cpu") or maps.dtype in (torch.bfloat16, torch.float16)


def _in_float32(
    convolve: Callable[..., Tensor],
    maps: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *geometry: Any,
) -> Tensor:
    """What a convolution returns, in the type that it would have, computed in float32."""
    autocast = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if autocast else maps.dtype
    with torch.autocast("cpu", enabled=False):
        bias = None if bias is None else bias.float()
        return convolve(maps.float(), weight.float(), bias, *geometry).to(dtype)


class Convolution(nn.Conv2d):
    """A convolution that is right for narrow maps in bfloat16, too; see `_is_narrow`."""

    def forward(self, maps: Float[Tensor, "b before h w"]) -> Float[Tensor, "b after h2 w2"]:
        """The convolved map."""
        if _is_narrow(maps):
            geometry = self.stride, self.padding, self.dilation, self.groups
            return _in_float32(F.conv2d, maps, self.weight, self.bias, *geometry)
        return super().forward(maps)


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution that doubles height and width, in the way that is fast on a CPU.

    There torch adds up a bias's gradient without vectors, which takes longer than all the rest of
    the backward pass; so biases of many channels are added apart. And into few channels, such as
    colours, products of matrices are narrow; so a convolution makes the four pixels that the corner
    between four places of the map touches, as channels, which are then put side by side.

    Args:
        before: channels of the map.
        after: channels of the result.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 4, 2, 1)

    def forward(  # type: ignore[override]
        self, maps: Float[Tensor, "b before h w"]
    ) -> Float[Tensor, "b after 2*h 2*w"]:
        """The larger map."""
        assert self.bias is not None
        if maps.device.type != "cpu":
            return super().forward(maps)
        if _is_narrow(maps):
            return _in_float32(F.conv_transpose2d, maps, self.weight, self.bias, 2, 1)
        if self.out_channels < FEW_CHANNELS:
            return self._by_corners(maps, self.bias)
        if not torch.is_grad_enabled() or recorded():
            return super().forward(maps)
        larger = F.conv_transpose2d(maps, self.weight, None, 2, 1)
        return larger.add_(self.bias.to(larger.dtype).view(-1, 1, 1))

    def _by_corners(self, maps: Tensor, bias: Tensor) -> Tensor:
        before, after = self.in_channels, self.out_channels
        # Pixel 2m − 1 + a sees place m with weight a, and place m − 1 with weight a + 2.
        weight = self.weight.view(before, after, 2, 2, 2, 2).flip(2, 4)
        weight = weight.permute(3, 5, 1, 0, 2, 4).reshape(4 * after, before, 2, 2)
        pixels = F.conv2d(maps, channels_last(weight), bias.repeat(4), padding=1)
        batch, _, height, width = pixels.shape  # one more than of maps
        blocks = pixels.permute(0, 2, 3, 1).view(batch, height, width, 2, 2, after)
        rows = blocks.transpose(2, 3).reshape(batch, 2 * height, 2 * width, after)
        return rows.permute(0, 3, 1, 2)[..., 1:-1, 1:-1]


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
            layers.append(Convolution(channels, out, kernel, stride, kernel // 2))
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
            layers += [rectifier(), Doubling(before, after)]
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
