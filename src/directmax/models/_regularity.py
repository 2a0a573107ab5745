"""What unlabelled images say about a classifier: smooth around images, and sure of all classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from directmax._precision import widened

PROBE = 0.1
"""Length of the random step at which the steepest direction is looked for."""


def adversarial_divergence(
    logits_of: Callable[[Tensor], Tensor],
    images: Float[Tensor, "b d"],
    logits: Float[Tensor, "b k"],
    radius: float,
    *,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " b"]:
    r"""KL(q(·|x) ‖ q(·|x + r)) at the step r, ‖r‖ = radius, that changes q most; in nats.

    r is one step of power iteration from a random direction. The first q is a constant: the
    gradient moves q around the image towards q at the image.

    Args:
        logits_of: images `(b, d)` to logits `(b, k)`.
        images: x.
        logits: those of x.
        radius: Euclidean length of r, in units of a pixel.
        generator: source of the random direction.

    Returns:
        `(b,)`.

    Example:
        >>> images = torch.rand(5, 4)
        >>> layer = torch.nn.Linear(4, 3)
        >>> divergence = adversarial_divergence(layer, images, layer(images), 0.5)
        >>> divergence.shape, bool((divergence >= -1e-6).all())
        (torch.Size([5]), True)

    Reference: Miyato et al. 2018, Virtual Adversarial Training.
    """
    target = widened(logits.detach()).log_softmax(-1)

    def divergence(step: Tensor) -> Tensor:
        moved = widened(logits_of(images + step)).log_softmax(-1)
        return (target.exp() * (target - moved)).sum(-1)

    with torch.enable_grad():
        random = torch.randn(
            images.shape, generator=generator, dtype=images.dtype, device=images.device
        )
        probe = _of_length(random, PROBE).requires_grad_()
        (slope,) = torch.autograd.grad(divergence(probe).sum(), probe)
    return divergence(_of_length(slope, radius))


def information(logits: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    r"""I(x; z) of a mini-batch: H(mean_b q_b) − mean_b H(q_b), in nats, at most log k.

    Large where every image has one sure value and all values are used.

    Example:
        >>> round(float(information(50 * torch.eye(4))), 4)  # log 4
        1.3863

    Reference: Krause et al. 2010, Regularized Information Maximization; Hu et al. 2017.
    """
    log_probs = widened(logits).log_softmax(-1)
    probs = log_probs.exp()
    mean = probs.mean(0)
    return (probs * log_probs).sum(-1).mean() - (mean * mean.clamp_min(1e-12).log()).sum()


def _of_length(step: Float[Tensor, "b d"], length: float) -> Float[Tensor, "b d"]:
    norm = torch.linalg.vector_norm(step, dim=-1, keepdim=True)
    return length * step / norm.clamp_min(torch.finfo(step.dtype).tiny)
