"""f(z) of binary attributes and one Gaussian code, whose distribution depends on the attributes."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float, UInt8
from torch import Tensor

from directmax._precision import widened
from directmax._validation import (
    check_callable,
    check_float_tensor,
    check_number,
    check_real,
    check_tensor,
)
from directmax.objectives._gaussian import gaussian_kl

CHUNK_IMAGES_CPU = 256
CHUNK_IMAGES_CUDA = 4096

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
        >>> import torch
        >>> from directmax.objectives import gaussian_loss, state_losses
        >>> images = torch.randint(256, (5, 1, 2, 2), dtype=torch.uint8)
        >>> objective = AttributeReconstruction(
        ...     decoder=lambda code, bits: (code.sum(-1) + bits.sum(-1))[..., None, None, None],
        ...     gaussians=lambda bits: (bits, torch.zeros_like(bits)),
        ...     loss=lambda mean, images: gaussian_loss(mean, torch.tensor(0.0), images),
        ...     images=images,
        ...     noise=torch.randn(5, 3),
        ... )
        >>> state_losses(objective, (5, 3, 2)).shape
        torch.Size([5, 8])

    Reference: Lorberbom et al. 2019, section 5 ("the last two layers of the continuous latent model
    which are linear layers that share parameters over the … possible representations").
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
        for name, part in (("decoder", decoder), ("gaussians", gaussians), ("loss", loss)):
            check_callable(name, part)
        if check_tensor("images", images, (), "").ndim != 4:
            raise ValueError(
                f"images must be (batch, channels, height, width), got {tuple(images.shape)}"
            )
        check_float_tensor("noise", noise, ("batch", "dimensions"), finite=False)
        if len(noise) != len(images):
            raise ValueError(f"noise must be of the {len(images)} images, got {len(noise)} rows")
        kl_weight = check_number("kl_weight", kl_weight)
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
        mean, log_variance = self._code(bits)
        code = mean + (0.5 * log_variance).exp() * self.noise
        losses = check_real("what loss returns", self.loss(self.decoder(code, bits), self.images))
        return losses, gaussian_kl(mean, log_variance)

    def code(self, bits: Float[Tensor, "*s b n"]) -> Float[Tensor, "*s b c"]:
        """ε_z of attributes from 0 to 1."""
        mean, log_variance = self._code(bits)
        return mean + (0.5 * log_variance).exp() * self.noise

    def _code(self, bits: Float[Tensor, "*s b n"]) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the Gaussian code."""
        found = self.gaussians(bits)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise TypeError(
                f"gaussians must return mean and log-variance, got {type(found).__name__}"
            )
        first, second = (check_real("what gaussians returns", each) for each in found)
        for each in (first, second):
            check_tensor("what gaussians returns", each, tuple(self.noise.shape), "batch, c")
        return widened(first), widened(second)

    @property
    def chunk_assignments(self) -> int:
        """Images decoded at a time: what fits a cache, what fills a GPU."""
        return CHUNK_IMAGES_CUDA if self.images.is_cuda else CHUNK_IMAGES_CPU

    def _check(self, z: Tensor) -> None:
        if z.ndim < 3 or z.shape[-1] != 2 or z.shape[-3] != len(self.images):
            raise ValueError(
                f"z must be one-hot of binary variables for the {len(self.images)} images of the "
                f"objective, (…, {len(self.images)}, n, 2), got shape {tuple(z.shape)}"
            )
