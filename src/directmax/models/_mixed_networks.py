"""The encoder of the mixed discrete-continuous model."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from directmax._precision import widened
from directmax._randomness import draw
from directmax._validation import check_count, check_number
from directmax.models._networks import check_pixels, trunk_layers
from directmax.objectives import gaussian_kl

FEATURES, ROW_FEATURES, ROW_HIDDEN = 200, 100, 66
"""Outputs of the base, inputs of the shared row network (and of the discrete head), its units."""


class MixedPosterior(NamedTuple):
    """Parameters of q(z, ε | x) = softmax(logits)_z N(ε; μ_z, σ_z²).

    Attributes:
        logits: of z, `(b, 1, k)`.
        mean: μ, `(b, k, c)`.
        log_variance: log σ², `(b, k, c)`.

    Example:
        >>> import torch
        >>> rows = torch.zeros(5, 2, 3)
        >>> posterior = MixedPosterior(torch.zeros(5, 1, 2), rows + 1, rows)
        >>> posterior.row_kl()[0]  # three dimensions, half a nat each
        tensor([1.5000, 1.5000])
    """

    logits: Float[Tensor, "b 1 k"]
    mean: Float[Tensor, "b k c"]
    log_variance: Float[Tensor, "b k c"]

    def row_kl(self) -> Float[Tensor, "b k"]:
        """KL(N(μ_j, σ_j²) ‖ N(0, I)) of every row, in nats."""
        return gaussian_kl(self.mean, self.log_variance)

    def sample(self, noise: Float[Tensor, "*s b k c"]) -> Float[Tensor, "*s b k c"]:
        """μ + σ · noise, differentiable with respect to μ and σ."""
        return self.mean + (0.5 * self.log_variance).exp() * noise


class MixedEncoder(nn.Module):
    r"""x → base → logits of one variable with k values, and a Gaussian of c dimensions for each.

    Base: x → hidden → ReLU → 200. Discrete head: 200 → 100 → ReLU → k. Continuous head: 200 →
    100·k, one vector of 100 numbers for each row, then for all rows the same network
    100 → 66 → ReLU → 2c, so that its parameters are shared and the rows are a batch.

    Args:
        num_pixels: d, the size of an image.
        num_values: k ≥ 2.
        num_dimensions: c ≥ 1, Gaussian dimensions of a row.
        hidden: units of the base's hidden layer.
        trunk: as of `Encoder`.
        dropout: share of the 66 units that a training step leaves out, below 1, the others scaled
            up (Srivastava et al. 2014). The Gaussian then carries less, and z more. Above 0 their
            ReLU is a LeakyReLU of slope ½. The authors' code has both, with 0.5.

    Raises:
        TypeError, ValueError: a size that is no integer or too small, a share out of range.

    Example:
        >>> import torch
        >>> posterior = MixedEncoder(64, 10, 20)(torch.zeros(5, 64))
        >>> posterior.logits.shape, posterior.mean.shape
        (torch.Size([5, 1, 10]), torch.Size([5, 10, 20]))

    Reference: Lorberbom et al. 2019, section 5; the row network is that of the authors' code.
    """

    num_variables = 1

    def __init__(
        self,
        num_pixels: int,
        num_values: int,
        num_dimensions: int,
        *,
        hidden: int = 400,
        trunk: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = check_number("dropout", dropout)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        self.num_pixels = num_pixels
        self.num_values = check_count("num_values", num_values, minimum=2)
        self.num_dimensions = check_count("num_dimensions", num_dimensions)
        self.base = nn.Sequential(
            *trunk_layers(trunk, num_pixels, hidden), nn.Linear(hidden, FEATURES)
        )
        self.discrete = nn.Sequential(
            nn.Linear(FEATURES, ROW_FEATURES), nn.ReLU(), nn.Linear(ROW_FEATURES, num_values)
        )
        self.rows = nn.Linear(FEATURES, ROW_FEATURES * num_values)
        self.shared = nn.Sequential(
            nn.Linear(ROW_FEATURES, ROW_HIDDEN),
            nn.LeakyReLU(0.5) if self.dropout else nn.ReLU(),
            nn.Linear(ROW_HIDDEN, 2 * num_dimensions),
        )

    def row(
        self,
        images: Float[Tensor, "b d"],
        values: Int[Tensor, " b"],
        *,
        dropped: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
        """Mean and log-variance of one row of each image; cheaper than all of them.

        Args:
            images: x.
            values: which row, from 0 to k − 1.
            dropped: whether `dropout` is done, as in a training step.
            generator: source of its noise.
        """
        rows = self._rows(self._features(images))
        chosen = rows[torch.arange(len(rows), device=rows.device), values]
        return self._gaussian(chosen, dropped, generator)

    def classify(self, images: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Logits of z alone."""
        logits: Tensor = self.discrete(self._features(images))
        return logits

    def forward(
        self,
        images: Float[Tensor, "b d"],
        *,
        dropped: bool = False,
        generator: torch.Generator | None = None,
    ) -> MixedPosterior:
        """Parameters of q for every image.

        Args:
            images: x.
            dropped: whether `dropout` is done, as in a training step.
            generator: source of its noise.
        """
        features = self._features(images)
        logits = self.discrete(features).unsqueeze(-2)  # (b, 1, k)
        return MixedPosterior(logits, *self._gaussian(self._rows(features), dropped, generator))

    def _features(self, images: Float[Tensor, "b d"]) -> Float[Tensor, "b f"]:
        check_pixels(images, self.num_pixels, self)
        features: Tensor = self.base(images)
        return features

    def _rows(self, features: Float[Tensor, "b f"]) -> Float[Tensor, "b k r"]:
        rows: Tensor = self.rows(features)
        return rows.unflatten(-1, (self.num_values, ROW_FEATURES))

    def _gaussian(
        self, rows: Float[Tensor, "*s r"], dropped: bool, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        units = self.shared[1](self.shared[0](rows))
        if dropped and self.dropout > 0:
            noise = draw(torch.rand, units.shape, generator, device=units.device)
            units = units * ((noise >= self.dropout) / (1 - self.dropout)).to(units.dtype)
        mean, log_variance = widened(self.shared[2](units)).chunk(2, -1)  # (*s, c)
        return mean, log_variance
