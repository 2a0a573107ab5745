"""The convolutional networks of the model with attributes."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from directmax._choices import check_choice
from directmax._validation import check_count, check_flag, check_shape
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.models._convolutions import STAGES, Grow, Shrink
from directmax.models._encoders import COUPLED
from directmax.models._networks import PairwisePotentials
from directmax.solvers import PairwiseSolver

AXES = ("channels", "height", "width")


class AttributeEncoder(nn.Module):
    r"""Images → q(z|x) of n binary attributes, and a Gaussian code for each of their 2^n settings.

    Two convolutional trunks. One ends in the potentials of the attributes. The other ends in
    features, which with the attributes enter the last two layers, features and z → linear → ReLU →
    linear → mean and log-variance: they alone are evaluated for several z, with shared parameters.
    Attributes are detached from nothing: each trunk has its own gradient, so that what reconstructs
    an image well does not decide what an attribute looks like.

    Args:
        shape: (channels, height, width) of an image.
        num_variables: n ≥ 1, attributes.
        num_dimensions: c ≥ 1, of the Gaussian code.
        hidden: size of the features and of the layer behind them.
        width: channels of the first convolution; later ones have 2 and 4 times as many.
        normalized: whether the trunk of q(z|x) has layer normalisation before every ReLU.
        kind: independent; pairwise or supermodular for couplings, see `PairwiseEncoder`.
        solver: of the argmax, where attributes are coupled.
        perturbation: of coupled attributes, "unary" or "states"; see `PairwiseBinary`.
        mirrored: whether potentials are those of the mean features of an image and its mirror
            image: for attributes that do not tell left from right.
        symmetric: whether an image and its mirror image have the same attributes: the losses of
            `AttributeVAE` then mirror what is classified at random.

    Raises:
        TypeError, ValueError: a size that is no integer or too small, an unknown kind or solver.

    Example:
        >>> encoder = AttributeEncoder((3, 16, 16), 3, 8)
        >>> images = torch.rand(5, 3, 16, 16)
        >>> encoder.classify(images).probs.shape
        torch.Size([5, 3, 2])
        >>> mean, log_variance = encoder.gaussians(encoder.features(images), torch.zeros(4, 5, 3))
        >>> mean.shape
        torch.Size([4, 5, 8])

    Reference: Lorberbom et al. 2019, section 5 (CelebA).
    """

    num_values = 2

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_variables: int,
        num_dimensions: int,
        *,
        hidden: int = 256,
        width: int = 32,
        normalized: bool = True,
        kind: str = "independent",
        solver: str | PairwiseSolver = "auto",
        perturbation: Literal["unary", "states"] = "unary",
        mirrored: bool = False,
        symmetric: bool = True,
    ) -> None:
        super().__init__()
        self.symmetric = check_flag("symmetric", symmetric)
        self.mirrored = check_flag("mirrored", mirrored)
        check_choice("encoder", kind, ("independent", *COUPLED))
        n = self.num_variables = check_count("num_variables", num_variables)
        self.num_dimensions = check_count("num_dimensions", num_dimensions)
        check_count("hidden", hidden)
        w = check_count("width", width)
        check_shape("shape", shape, AXES)
        self.shape = shape
        check_flag("normalized", normalized)
        widths = (w, 2 * w, 4 * w, 4 * w)
        self.discrete = Shrink(shape, widths, (2, 2, 2, 1), normalized=normalized)
        self.coupled: PairwisePotentials | None = None
        outputs = 2 * n
        if kind != "independent":
            self.coupled = PairwisePotentials(
                n,
                supermodular=kind == "supermodular",
                solver=solver,
                perturbation=perturbation,
            )
            outputs = self.coupled.num_inputs
        self.potentials: nn.Linear | nn.Sequential = nn.Linear(self.discrete.size, outputs)
        self.continuous = Shrink(shape, widths, (2,) * STAGES)
        self.bottleneck = nn.Linear(self.continuous.size, hidden)
        self.row = nn.Linear(hidden + n, hidden)
        self.last = nn.Linear(hidden, 2 * num_dimensions)

    def classify(
        self,
        images: Float[Tensor, "b channels height width"],
        layers: nn.Sequential | None = None,
    ) -> DiscreteDistribution:
        """q(z|x) of images in [0, 1].

        Args:
            images: x.
            layers: in place of `classifier`, as of `averaged`.
        """
        trunk, potentials = self.classifier if layers is None else layers
        return self.distribution(potentials(self.seen((2 * images).sub_(1), trunk)))

    def seen(
        self, inputs: Float[Tensor, "b channels height width"], trunk: nn.Module | None = None
    ) -> Float[Tensor, "b m"]:
        """What the potentials are linear in, of images in [−1, 1]: with `mirrored` of both sides.

        Args:
            inputs: 2x − 1.
            trunk: in place of the encoder's own.
        """
        trunk = self.discrete if trunk is None else trunk
        features: Tensor = trunk(inputs)
        return (features + trunk(inputs.flip(-1))) / 2 if self.mirrored else features

    @property
    def classifier(self) -> nn.Sequential:
        """Images in [−1, 1] to the potentials of their attributes: the layers of `classify`."""
        return nn.Sequential(self.discrete, self.potentials)

    def distribution(self, potentials: Float[Tensor, "b m"]) -> DiscreteDistribution:
        """q(z|x) of what the layers of `classify` return."""
        if self.coupled is not None:
            q: DiscreteDistribution = self.coupled(potentials)
            return q
        return Categorical(potentials.unflatten(-1, (self.num_variables, 2)), validate=False)

    def features(
        self, images: Float[Tensor, "b channels height width"]
    ) -> Float[Tensor, "b hidden"]:
        """What all settings of the attributes share, of images in [0, 1]."""
        return F.relu(self.bottleneck(self.continuous((2 * images).sub_(1))))

    def gaussians(
        self, features: Float[Tensor, "b hidden"], bits: Float[Tensor, "*s b n"]
    ) -> tuple[Float[Tensor, "*s b c"], Float[Tensor, "*s b c"]]:
        """Mean and log-variance of the code for attributes z.

        Args:
            features: of the images.
            bits: z_i, from 0 to 1.
        """
        n = self.num_variables
        weight = self.row.weight
        shared = F.linear(features, weight[:, :-n], self.row.bias)  # (b, h), once
        attribute_part = F.linear((2 * bits - 1).to(weight.dtype), weight[:, -n:])
        mean, log_variance = self.last(F.relu(shared + attribute_part)).chunk(2, -1)
        return mean, log_variance


class AttributeDecoder(nn.Module):
    """A Gaussian code and attributes → the mean image, in (0, 1).

    Args:
        shape: (channels, height, width) of an image.
        num_variables: n ≥ 1, attributes.
        num_dimensions: c ≥ 1, of the Gaussian code.
        width: channels before the last convolution; earlier ones have 2 and 4 times as many.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> decoder = AttributeDecoder((3, 16, 16), 3, 8)
        >>> decoder(torch.zeros(2, 5, 8), torch.zeros(2, 5, 3)).shape
        torch.Size([2, 5, 3, 16, 16])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_variables: int,
        num_dimensions: int,
        *,
        width: int = 32,
    ) -> None:
        super().__init__()
        n = self.num_variables = check_count("num_variables", num_variables)
        c = self.num_dimensions = check_count("num_dimensions", num_dimensions)
        w = check_count("width", width)
        check_shape("shape", shape, AXES)
        self.shape = shape
        self.layers = Grow(n + c, shape, (4 * w, 4 * w, 2 * w, w))

    def forward(
        self, code: Float[Tensor, "*s b c"], bits: Float[Tensor, "*s b n"]
    ) -> Float[Tensor, "*s b channels height width"]:
        """Mean images."""
        both = torch.cat([code, (2 * bits - 1).to(code.dtype)], -1)
        images: Tensor = self.layers(both.flatten(0, -2).to(self.layers.start.weight.dtype))
        return images.sigmoid().unflatten(0, both.shape[:-1])
