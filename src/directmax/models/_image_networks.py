"""Convolutional and residual networks for images of any size and any number of channels.

Height and width are halved until the larger one is at most 4, so depth follows from the image.
Normalisation is by groups of channels within an image: the rows of a call may be candidates and
samples of the same image, which BatchNorm would mix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from directmax._choices import check_choice
from directmax._transforms import recorded
from directmax._validation import check_count, check_flag, check_shape, shown
from directmax.models._convolutions import Convolution, Doubling, grid_of
from directmax.models._network_names import NETWORKS
from directmax.models._networks import Decoder, check_codes

SMALLEST = 4
"""Height and width, at most, of the grid in the middle."""
WIDEST = 4
"""Times that the channels of the first stage are multiplied, at most."""
GROUPS = 8
CHUNK_CPU, CHUNK_CUDA = 2**22, 2**27
"""Numbers of the largest layer that are held at a time, where no gradient is wanted."""


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) of (height, width) or of itself.

    Example:
        >>> image_shape((28, 20)), image_shape((3, 32, 32))
        ((1, 28, 20), (3, 32, 32))
    """
    if not isinstance(shape, Sequence):
        raise TypeError(
            f"shape must be (height, width) or (channels, height, width), got {shown(shape)}"
        )
    axes = ("channels", "height", "width")[-max(2, min(3, len(shape))) :]
    sizes = check_shape("shape", tuple(shape), axes)
    return (1, *sizes) if len(sizes) == 2 else sizes  # type: ignore[return-value]


class ImageTrunk(nn.Module):
    """Rows of pixels `(b, d)` → convolutions → linear → ReLU → features `(b, hidden)`.

    The `trunk` of an encoder: `Encoder(784, 1, 10, trunk=ImageTrunk((28, 28), 300))`.

    Args:
        shape: (height, width) or (channels, height, width) of an image; d is their product.
        hidden: features.
        width: channels of the first stage; later ones have up to 4 times as many.
        residual: two convolutions a stage with a shortcut, in place of one.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> ImageTrunk((3, 17, 30), 12, width=8)(torch.zeros(5, 3 * 17 * 30)).shape
        torch.Size([5, 12])

    Reference: He et al. 2016 (identity mappings); Wu and He 2018 (GroupNorm).
    """

    def __init__(
        self, shape: Sequence[int], hidden: int, *, width: int = 32, residual: bool = False
    ) -> None:
        super().__init__()
        self.shape = image_shape(shape)
        channels, height, rows = self.shape
        widths, stages = _widths(self.shape, check_count("width", width))
        layers: list[nn.Module] = []
        if check_flag("residual", residual):
            layers.append(Convolution(channels, widths[0], 3, 1, 1))
            channels = widths[0]
        for index, out in enumerate(widths):
            stride = 2 if index < stages else 1
            if residual:
                layers.append(ResidualBlock(channels, out, stride))
            else:
                layers += [Convolution(channels, out, 3, stride, 1), group_norm(out), nn.ReLU()]
            channels = out
        if residual:
            layers += [group_norm(channels), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(
            channels * math.prod(grid_of(height, rows, stages)), check_count("hidden", hidden)
        )

    def forward(self, images: Float[Tensor, "b d"]) -> Float[Tensor, "b hidden"]:
        """Features of images in [0, 1]."""
        pictures = self.layers(images.unflatten(-1, self.shape))
        return F.relu(self.last(pictures.flatten(1)))


class ImageDecoder(nn.Module):
    """One-hot z `(…, n, k)` → linear → a small grid → convolutions → logits of d pixels.

    Its first layer is linear, so it is a `FactoredDecoder`. Behind it everything is decoded anew
    for every candidate: with several variables that costs far more than a `Decoder`.

    Args:
        num_variables: n ≥ 1.
        num_values: k ≥ 2; of a `MixedVAE` (values, dimensions) stand for n and k.
        shape: (height, width) or (channels, height, width) of an image; d is their product.
        width: channels of the last stage; earlier ones have up to 4 times as many.
        residual: two convolutions a stage with a shortcut, in place of one.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> decoder = ImageDecoder(2, 5, (17, 30), width=8)
        >>> decoder(torch.zeros(3, 7, 2, 5)).shape
        torch.Size([3, 7, 510])
    """

    def __init__(
        self,
        num_variables: int,
        num_values: int,
        shape: Sequence[int],
        *,
        width: int = 32,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.num_variables = check_count("num_variables", num_variables)
        self.num_values = check_count("num_values", num_values, minimum=2)
        self.shape = image_shape(shape)
        widths, stages = _widths(self.shape, check_count("width", width))
        widths = widths[::-1]
        self.grid = (widths[0], *grid_of(self.shape[1], self.shape[2], stages))
        self.first = nn.Linear(num_variables * num_values, math.prod(self.grid))
        layers: list[nn.Module] = []
        channels = widths[0]
        for index, out in enumerate((*widths[1:], widths[-1])):
            doubled = index < stages
            if check_flag("residual", residual):
                layers += [nn.Upsample(scale_factor=2)] if doubled else []
                layers.append(ResidualBlock(channels, out, 1))
            else:
                layers += [group_norm(channels), nn.ReLU()]
                layers.append(
                    Doubling(channels, out) if doubled else Convolution(channels, out, 3, 1, 1)
                )
            channels = out
        layers += [group_norm(channels), nn.ReLU(), Convolution(channels, self.shape[0], 3, 1, 1)]
        self.layers = nn.Sequential(*layers)
        self._largest = max(widths[-1] * 4**stages * math.prod(self.grid[1:]), 1)

    def rest(self, pre_activation: Float[Tensor, "... h"]) -> Float[Tensor, "... d"]:
        """From the first layer's output to pixel logits."""
        rows = pre_activation.flatten(0, -2)
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or recorded():
            logits = self._pictures(rows)
        else:
            budget = CHUNK_CUDA if rows.is_cuda else CHUNK_CPU
            parts = rows.split(max(1, budget // self._largest))
            logits = torch.cat([self._pictures(part) for part in parts])
        return logits.unflatten(0, pre_activation.shape[:-1])

    def forward(self, z: Float[Tensor, "... n k"]) -> Float[Tensor, "... d"]:
        """Pixel logits of p(x|z)."""
        check_codes(z, self.num_variables, self.num_values, self)
        if z.ndim < 3:
            raise ValueError(f"z must be (…, variables, values), got shape {tuple(z.shape)}")
        return self.rest(self.first(z.flatten(-2)))

    def _pictures(self, rows: Float[Tensor, "m h"]) -> Float[Tensor, "m d"]:
        images = self.layers(rows.unflatten(-1, self.grid))
        _, height, width = self.shape
        top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
        return images[..., top : top + height, left : left + width].flatten(1)


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), the shortcut a 1×1 convolution where it must be.

    Args:
        channels: that come in.
        out: that go out.
        stride: of the first convolution, 1 or 2.
    """

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            group_norm(channels),
            nn.ReLU(),
            Convolution(channels, out, 3, stride, 1),
            group_norm(out),
            nn.ReLU(),
            Convolution(out, out, 3, 1, 1),
        )
        same = channels == out and stride == 1
        self.shortcut = nn.Identity() if same else Convolution(channels, out, 1, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b out h2 w2"]:
        """The sum of both ways."""
        total: Tensor = self.shortcut(x) + self.layers(x)
        return total


def group_norm(channels: int) -> nn.GroupNorm:
    """Of at most 8 groups that divide the channels."""
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def named_trunk(network: str, shape: Sequence[int], hidden: int) -> ImageTrunk | None:
    """The trunk of an encoder by name; None for mlp, an encoder's own.

    Raises:
        ValueError: an unknown name.
    """
    check_choice("network", network, tuple(NETWORKS))
    if network == "mlp":
        return None
    return ImageTrunk(shape, hidden, residual=network == "resnet")


def named_decoder(
    network: str, num_variables: int, num_values: int, shape: Sequence[int], hidden: int
) -> Decoder | ImageDecoder:
    """A decoder by name.

    Raises:
        ValueError: an unknown name.
    """
    check_choice("network", network, tuple(NETWORKS))
    check_count("hidden", hidden)
    if network == "mlp":
        return Decoder(num_variables, num_values, math.prod(shape), hidden=hidden)
    return ImageDecoder(num_variables, num_values, shape, residual=network == "resnet")


def _widths(shape: tuple[int, int, int], width: int) -> tuple[list[int], int]:
    """Channels of every stage from the image on, and how many of the stages halve it."""
    stages = max(0, math.ceil(math.log2(max(shape[1:]) / SMALLEST)))
    return [width * min(2**index, WIDEST) for index in range(max(1, stages))], stages
