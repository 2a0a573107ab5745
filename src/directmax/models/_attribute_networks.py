"""Convolutional networks of the model of images with attributes."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._validation import check_count
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.models._networks import Encoder, PairwiseEncoder
from directmax.objectives import unit_pixels
from directmax.solvers import PairwiseSolver

SMALLEST = 4
"""Height and width at which convolutions hand over to linear layers."""

GROUP = 8
"""Channels that are normalised together."""

EncoderKind = Literal["independent", "pairwise", "supermodular"]


class AttributePosterior(NamedTuple):
    """q(z|x), and the features of which every assignment's Gaussian is computed."""

    q: DiscreteDistribution
    features: Float[Tensor, "b f"]


def stages(shape: tuple[int, int, int]) -> int:
    """How often an image is halved until it is 4×4.

    Raises:
        ValueError: it is not square, or no power of two from 8 to 256.

    Example:
        >>> stages((3, 64, 64))
        4
    """
    _, height, width = shape
    count = int(math.log2(max(1, height) / SMALLEST)) if height >= SMALLEST else 0
    if height != width or height != SMALLEST * 2**count or not 1 <= count <= 6:
        raise ValueError(
            f"images must be square, their size a power of two from 8 to 256, got {height}×{width}"
        )
    return count


def _normalised(channels: int) -> list[nn.Module]:
    """Normalisation over groups of channels of one image, so that images do not depend on others.

    Scale and shift start as the identity; then ReLU.
    """
    groups = channels // GROUP if channels % GROUP == 0 else 1
    return [nn.GroupNorm(groups, channels), nn.ReLU()]


class AttributeEncoder(nn.Module):
    r"""x → convolutions → features → q(z) of n binary variables; features and z → Gaussian code.

    Convolutions halve the image down to 4×4, doubling the channels; a linear layer gives the
    features. Discrete head: an `Encoder` or `PairwiseEncoder` of the features. Continuous head:
    features and the n bits of z → linear → ReLU → linear → mean and log-variance of c dimensions,
    the same layers for all 2^n assignments.

    Args:
        shape: (channels, height, width); square, a power of two from 8 to 256.
        num_variables: n ≥ 1, the attributes.
        num_dimensions: c ≥ 1, of the Gaussian code.
        width: channels of the first convolution.
        hidden: features, and units of the heads' hidden layers.
        kind: independent; pairwise, or supermodular, couplings.
        solver: of a structured encoder's argmax; see `PairwiseBinary`.
        perturbation: see `PairwiseBinary`.

    Raises:
        TypeError, ValueError: a size that does not fit, an unknown solver.

    Example:
        >>> encoder = AttributeEncoder((3, 32, 32), 3, 20, width=8, hidden=32)
        >>> posterior = encoder(torch.zeros(5, 3, 32, 32))
        >>> posterior.q
        Categorical(batch_size=5, num_variables=3, num_values=2)
        >>> mean, log_variance = encoder.gaussians(posterior.features, torch.zeros(8, 5, 3))
        >>> mean.shape
        torch.Size([8, 5, 20])

    Reference: Lorberbom et al. 2019, section 5.
    """

    num_values = 2

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_variables: int,
        num_dimensions: int,
        *,
        width: int = 16,
        hidden: int = 256,
        kind: EncoderKind = "independent",
        solver: str | PairwiseSolver = "auto",
        perturbation: Literal["unary", "states"] = "unary",
    ) -> None:
        super().__init__()
        self.shape = shape
        self.num_variables = check_count("num_variables", num_variables)
        self.num_dimensions = check_count("num_dimensions", num_dimensions)
        check_count("width", width)
        check_count("hidden", hidden)
        layers: list[nn.Module] = []
        before = check_count("channels", shape[0])
        for stage in range(stages(shape)):
            channels = width * 2**stage
            layers += [nn.Conv2d(before, channels, 4, stride=2, padding=1), *_normalised(channels)]
            before = channels
        self.convolutions = nn.Sequential(*layers)
        self.base = nn.Sequential(nn.Linear(before * SMALLEST**2, hidden), nn.ReLU())
        if kind == "independent":
            self.discrete: nn.Module = Encoder(hidden, num_variables, 2, hidden=hidden)
        else:
            self.discrete = PairwiseEncoder(
                hidden,
                num_variables,
                supermodular=kind == "supermodular",
                hidden=hidden,
                solver=solver,
                perturbation=perturbation,
            )
        self.first = nn.Linear(hidden, hidden)
        self.bits = nn.Linear(num_variables, hidden, bias=False)
        self.last = nn.Linear(hidden, 2 * num_dimensions)
        self.to(memory_format=torch.channels_last)

    def features(self, pixels: Float[Tensor, "b ch h w"]) -> Float[Tensor, "b f"]:
        """What both heads see; pixels in (0, 1)."""
        centred = (4 * pixels - 2).contiguous(memory_format=torch.channels_last)
        output: Tensor = self.base(self.convolutions(centred).flatten(1))
        return output

    def distribution(self, features: Float[Tensor, "b f"]) -> DiscreteDistribution:
        """q(z|x) of features."""
        output = self.discrete(features)
        if isinstance(output, DiscreteDistribution):
            return output
        return Categorical(output, validate=False)

    def gaussians(
        self, features: Float[Tensor, "b f"], bits: Float[Tensor, "*s b n"]
    ) -> tuple[Float[Tensor, "*s b c"], Float[Tensor, "*s b c"]]:
        """Mean and log-variance of the code for assignments of the attributes."""
        # Around the middle, as all inputs; the features go through their layer once.
        hidden = torch.relu(self.first(features) + self.bits(2 * bits - 1))
        mean, log_variance = self.last(hidden).chunk(2, -1)
        return mean, log_variance

    def forward(self, pixels: Float[Tensor, "b ch h w"]) -> AttributePosterior:
        """q(z|x) and the features."""
        features = self.features(pixels)
        return AttributePosterior(self.distribution(features), features)


class AttributeDecoder(nn.Module):
    """Gaussian code and attributes → linear → transposed convolutions → mean image.

    Also holds the logarithm of the likelihood's scale, one learned number for all pixels.

    Args:
        shape: (channels, height, width); square, a power of two from 8 to 256.
        num_variables: n ≥ 1, the attributes.
        num_dimensions: c ≥ 1, of the Gaussian code.
        width: channels before the last convolution.

    Raises:
        TypeError, ValueError: a size that does not fit.

    Example:
        >>> decoder = AttributeDecoder((3, 32, 32), 3, 20, width=8)
        >>> decoder(torch.zeros(8, 5, 20), torch.zeros(8, 5, 3)).shape
        torch.Size([8, 5, 3, 32, 32])

    Reference: Lorberbom et al. 2019, section 5.
    """

    scale_speed = 10.0
    """log σ = speed · parameter, so that Adam moves it as much faster than a weight."""

    initial_scale = 0.2

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_variables: int,
        num_dimensions: int,
        *,
        width: int = 16,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.num_variables = check_count("num_variables", num_variables)
        self.num_dimensions = check_count("num_dimensions", num_dimensions)
        check_count("width", width)
        count = stages(shape)
        self.channels = width * 2 ** (count - 1)
        self.first = nn.Linear(num_dimensions, self.channels * SMALLEST**2)
        self.bits = nn.Linear(num_variables, self.channels * SMALLEST**2, bias=False)
        layers: list[nn.Module] = [*_normalised(self.channels)]
        before = self.channels
        for stage in reversed(range(count - 1)):
            channels = width * 2**stage
            layers += [
                nn.ConvTranspose2d(before, channels, 4, stride=2, padding=1),
                *_normalised(channels),
            ]
            before = channels
        layers.append(nn.ConvTranspose2d(before, shape[0], 4, stride=2, padding=1))
        self.convolutions = nn.Sequential(*layers)
        self.scale = nn.Parameter(torch.tensor(math.log(self.initial_scale) / self.scale_speed))
        self.to(memory_format=torch.channels_last)

    @property
    def log_scale(self) -> Float[Tensor, ""]:
        """log σ of the Gaussian, log s of the logistic, in units of the unit interval."""
        return self.scale_speed * self.scale

    def forward(
        self, code: Float[Tensor, "*s b c"], bits: Float[Tensor, "*s b n"]
    ) -> Float[Tensor, "*s b ch h w"]:
        """Mean images, for pixels in (0, 1)."""
        start = self.first(code) + self.bits(2 * bits - 1)
        flat = start.reshape(-1, self.channels, SMALLEST, SMALLEST)
        images: Tensor = self.convolutions(flat.contiguous(memory_format=torch.channels_last))
        return 0.5 + 0.25 * images.unflatten(0, start.shape[:-1])


def image_input(images: Tensor, like: nn.Module) -> Float[Tensor, "b ch h w"]:
    """8-bit images as the encoder takes them, in the type of its parameters."""
    return unit_pixels(images, next(like.parameters()).dtype)
