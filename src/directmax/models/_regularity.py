"""What unlabelled images say about a classifier: smooth around images, and sure of all classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from directmax._precision import widened
from directmax._randomness import draw

PROBE = 1.0
"""Length of the random step at which the steepest direction is looked for. A shorter one would be
lost where bfloat16 rounds an image of several hundred pixels."""

BALANCE = 2.0
"""Weight of H(E_x q) beside E_x H(q). With 1 a class can be given up before its labels count."""


def adversarial(
    logits_of: Callable[[Tensor], Tensor],
    images: Float[Tensor, "b d"],
    target: Float[Tensor, "b k"],
    radius: float,
    *,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "b d"]:
    r"""x + r with the step r, ‖r‖ = radius, that moves q(·|x + r) furthest from a target.

    r is one step of power iteration from a random direction; far is what has a large
    KL(target ‖ q(·|x + r)).

    Args:
        logits_of: images `(b, d)` to logits `(b, k)`.
        images: x.
        target: logits to move away from.
        radius: Euclidean length of r, in units of a pixel.
        generator: source of the random direction.

    Returns:
        `(b, d)`, without gradient.

    Example:
        >>> images = torch.rand(5, 4)
        >>> layer = torch.nn.Linear(4, 3)
        >>> moved = adversarial(layer, images, layer(images), 0.5)
        >>> torch.allclose((moved - images).norm(dim=-1), torch.tensor(0.5))
        True

    Reference: Miyato et al. 2018, Virtual Adversarial Training.
    """
    with torch.enable_grad():
        settings = {"dtype": images.dtype, "device": images.device}
        random = draw(torch.randn, images.shape, generator, **settings)
        probe = _of_length(random, PROBE).requires_grad_()
        perturbed_divergence = divergence(target.detach(), logits_of(images + probe)).sum()
        (slope,) = torch.autograd.grad(perturbed_divergence, probe)
    return images + _of_length(slope, radius)


def divergence(target: Float[Tensor, "b k"], logits: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    r"""KL(softmax(target) ‖ softmax(logits)), in nats; the target carries no gradient.

    Example:
        >>> logits = torch.randn(5, 3)
        >>> bool((divergence(logits, logits).abs() < 1e-6).all())
        True
    """
    fixed = widened(target.detach()).log_softmax(-1)
    return (fixed.exp() * (fixed - widened(logits).log_softmax(-1))).sum(-1)


def shifted(
    images: Float[Tensor, "b d"],
    shape: tuple[int, int],
    pixels: int,
    *,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "b d"]:
    """Each image moved by −pixels … pixels down and right, at random; what enters is 0.

    Args:
        images: row-major, colours one after the other.
        shape: (height, width).
        pixels: the largest shift; 0 returns the images.
        generator: source of the shifts.

    Example:
        >>> images = torch.zeros(2, 9)
        >>> images[:, 4] = 1
        >>> shifted(images, (3, 3), 1).sum(-1)
        tensor([1., 1.])
    """
    if pixels == 0:
        return images
    count, (height, width) = len(images), shape
    device, most = images.device, 2 * pixels + 1
    padded = F.pad(images.view(count, -1, height, width), (pixels,) * 4)  # (b, channels, …)
    down, right = torch.randint(most, (2, count, 1, 1), generator=generator, device=device)
    rows = torch.arange(height, device=device).view(1, height, 1) + down
    columns = torch.arange(width, device=device).view(1, 1, width) + right
    number = torch.arange(count, device=device).view(-1, 1, 1)
    moved = padded[number, :, rows, columns]  # (b, height, width, channels)
    return moved.movedim(-1, 1).flatten(1)


def indecision(
    logits: Float[Tensor, "b k"], shares: Float[Tensor, " k"] | None = None
) -> Float[Tensor, ""]:
    r"""mean_b H(q_b) + 2 KL(mean_b q_b ‖ s) − 2 log k of a mini-batch, in nats, at least −2 log k.

    Small where every image has one sure value and values are used as often as `shares` s says;
    equal ones when None, for which this is mean_b H(q_b) − 2 H(mean_b q_b).

    Example:
        >>> round(float(indecision(50 * torch.eye(4))), 4)  # −2 log 4
        -2.7726
        >>> logits = 50 * torch.eye(2)[[0, 0, 0, 1]]
        >>> round(float(indecision(logits, torch.tensor([0.75, 0.25]))), 4)  # −2 log 2
        -1.3863

    Reference: Krause et al. 2010, Regularized Information Maximization; Hu et al. 2017, who also
    give the entropy of the mean more weight.
    """
    log_probs = widened(logits).log_softmax(-1)
    probs = log_probs.exp()
    mean = probs.mean(0)
    used = -(mean * mean.clamp_min(1e-12).log()).sum()
    if shares is not None:
        used = used + (mean * (len(mean) * shares.to(mean.dtype)).log()).sum()
    return -(probs * log_probs).sum(-1).mean() - BALANCE * used


def _of_length(step: Float[Tensor, "b d"], length: float) -> Float[Tensor, "b d"]:
    """The steps with this length; a step of zeros stays one.

    Where q is sure of an image its slope is of e⁻⁵⁰, whose square is 0 in float32. So the largest
    entry is made 1 first.
    """
    wide = widened(step)
    tiny = torch.finfo(wide.dtype).tiny
    unit = wide / wide.abs().amax(-1, keepdim=True).clamp_min(tiny)
    norm = torch.linalg.vector_norm(unit, dim=-1, keepdim=True)
    return (length * unit / norm.clamp_min(tiny)).to(step.dtype)
