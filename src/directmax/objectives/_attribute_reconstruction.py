"""f(z) of binary attributes and one Gaussian code, whose distribution depends on the attributes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from directmax._precision import widened
from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states
from directmax.objectives._evaluate import align_changes

CHUNK_IMAGES_CPU = 256
CHUNK_IMAGES_CUDA = 4096
"""Images decoded at a time where there is no gradient: what fits a cache, what fills a GPU."""

Gaussians = Callable[[Tensor], tuple[Tensor, Tensor]]
DecodeMean = Callable[[Tensor, Tensor], Tensor]
ImageLoss = Callable[[Tensor, Tensor], Tensor]


class AttributeReconstruction:
    r"""f(z) = −log P(x | z, ε_z) + KL(N(μ_z, σ_z²) ‖ N(0, I)), ε_z = μ_z + σ_z · noise.

    z are n binary variables, the attributes. Every one of the 2^n assignments has a Gaussian code
    of its own; all use one noise vector an image, so that f is a deterministic function of z.
    Between the vertices, for a relaxed z, the networks see the shares of the value 1.

    Args:
        decoder: code `(*s, b, c)` and attributes `(*s, b, n)` to mean images `(*s, b, …)`.
        gaussians: attributes `(*s, b, n)` to mean and log-variance `(*s, b, c)` for these images.
        loss: mean images and images to −log P `(*s, b)`; see `gaussian_loss` and `logistic_loss`.
        images: x `(b, channels, height, width)`, 0 … 255.
        noise: standard normal, `(b, c)`.
        kl_weight: of the Gaussian KL.

    Example:
        >>> from directmax.objectives import gaussian_loss
        >>> images = torch.randint(256, (5, 1, 2, 2), dtype=torch.uint8)
        >>> objective = AttributeReconstruction(
        ...     decoder=lambda code, bits: (code.sum(-1) + bits.sum(-1))[..., None, None, None],
        ...     gaussians=lambda bits: (bits, torch.zeros_like(bits)),
        ...     loss=lambda mean, images: gaussian_loss(mean, torch.tensor(0.0), images),
        ...     images=images,
        ...     noise=torch.randn(5, 3),
        ... )
        >>> objective.state_losses(3, 2).shape
        torch.Size([5, 8])

    Reference: Lorberbom et al. 2019, section 5 ("the last two layers of the continuous latent model
    ... are linear layers that share parameters over the 2^n possible representations").
    """

    def __init__(
        self,
        decoder: DecodeMean,
        gaussians: Gaussians,
        loss: ImageLoss,
        images: UInt8[Tensor, "b ch h w"],
        noise: Float[Tensor, "b c"],
        *,
        kl_weight: float = 1.0,
    ) -> None:
        self.decoder, self.gaussians, self.loss = decoder, gaussians, loss
        self.images, self.noise, self.kl_weight = images, noise, kl_weight

    def __call__(self, z: Float[Tensor, "*s b n 2"]) -> Float[Tensor, "*s b"]:
        """f(z) in nats, differentiable."""
        losses, kl = self.parts(z)
        return losses + self.kl_weight * kl

    def parts(
        self, z: Float[Tensor, "*s b n 2"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "*s b"]]:
        """−log P(x | z, ε_z) and the Gaussian KL, unweighted."""
        self._check(z)
        bits = z[..., 1]
        mean, log_variance = map(widened, self.gaussians(bits))
        code = mean + (0.5 * log_variance).exp() * self.noise
        losses = self.loss(self.decoder(code, bits), self.images)
        return losses, gaussian_kl(mean, log_variance)

    def losses_and_changes(
        self, z: Float[Tensor, "*s b n 2"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "*s b n 2"]]:
        """f(z), differentiable, and f after every change of a single variable, without gradient."""
        losses = self(z)
        return losses, align_changes(losses.detach(), self._flipped(z), z)

    @torch.no_grad()
    def single_change_losses(self, z: Float[Tensor, "*s b n 2"]) -> Float[Tensor, "*s b n 2"]:
        """f̃_i(j), without gradient: n + 1 decodings."""
        return align_changes(self(z), self._flipped(z), z)

    @torch.no_grad()
    def losses_of(self, z: Float[Tensor, "c *s b n 2"]) -> Float[Tensor, "c *s b"]:
        """f of many assignments for these images, in chunks, without gradient."""
        budget = CHUNK_IMAGES_CUDA if self.images.is_cuda else CHUNK_IMAGES_CPU
        chunk = max(1, budget // max(1, z[0, ..., 0, 0].numel()))
        return torch.cat([self(part) for part in z.split(chunk)])

    def losses_and_others(
        self, z: Float[Tensor, "*s b n 2"], others: Float[Tensor, "c *s b n 2"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "c *s b"]]:
        """f(z), differentiable, and f of other assignments, without gradient."""
        return self(z), self.losses_of(others)

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b K"]:
        """f of all 2^n assignments, differentiable: 2^n decodings an image.

        Raises:
            ValueError: 2^n > `max_states`.
        """
        states = enumerate_states(
            num_variables,
            num_values,
            max_states=max_states,
            dtype=self.noise.dtype,
            device=self.noise.device,
        )
        z = states.unsqueeze(1).expand(-1, len(self.images), -1, -1)  # (K, b, n, 2), no copy
        return (self(z) if torch.is_grad_enabled() else self.losses_of(z)).T

    @torch.no_grad()
    def _flipped(self, z: Tensor) -> Float[Tensor, "*s b n 1"]:
        """f after the flip of each variable."""
        n = z.shape[-2]
        others = z.expand(n, *z.shape).clone()
        for i in range(n):
            others[i, ..., i, :] = z[..., i, :].flip(-1)
        return self.losses_of(others).movedim(0, -1).unsqueeze(-1)

    def _check(self, z: Tensor) -> None:
        if z.ndim < 3 or z.shape[-1] != 2 or z.shape[-3] != len(self.images):
            raise ValueError(
                f"z must be one-hot of binary variables for the {len(self.images)} images of the "
                f"objective, (…, {len(self.images)}, n, 2), got shape {tuple(z.shape)}"
            )


def gaussian_kl(
    mean: Float[Tensor, "*s c"], log_variance: Float[Tensor, "*s c"]
) -> Float[Tensor, "*s"]:
    r"""KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ_c (μ² + σ² − log σ² − 1), in nats.

    Example:
        >>> gaussian_kl(torch.tensor([1.0, 2.0]), torch.zeros(2))
        tensor(2.5000)
    """
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(-1)
