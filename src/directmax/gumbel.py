r"""Gumbel noise and the Gumbel-Max trick.

If γ(z) are independent standard Gumbel variables, then argmax_z h(z) + γ(z) is a sample of
q(z) ∝ exp h(z) (eq. 3 of the paper; Gumbel 1954, Luce 1959). Adding one constant to every γ
does not move the argmax; the paper's choice, kept here, is mean zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

EULER_GAMMA = 0.5772156649015329
"""Mean of the standard Gumbel distribution."""

_RATE = math.exp(-EULER_GAMMA)


def sample_gumbel(
    shape: Sequence[int],
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Independent Gumbel variables of mean zero, γ = −log E − c with E ∼ Exponential(1).

    c ≈ 0.5772 is Euler's constant; the density is exp(−(γ + c) − exp(−(γ + c))), the variance
    π²/6. Sampling through the exponential distribution costs one logarithm, not two, and
    cannot meet log 0: E is clamped to the smallest normal number. Half-precision types are drawn
    in float32 and rounded, because their smallest numbers would cut the tail.

    Args:
        shape: the shape of the result.
        generator: source of randomness; torch's default one when None.
        dtype: floating-point type of the result; torch's default when None.
        device: where to draw; the generator must live there.

    Returns:
        A finite tensor of that shape.

    Raises:
        TypeError: `dtype` is no floating-point type.

    Example:
        >>> import torch
        >>> g = torch.Generator().manual_seed(0)
        >>> noise = sample_gumbel((100_000,), generator=g)
        >>> bool(noise.mean().abs() < 0.02)
        True

    Reference: Lorberbom et al. 2019, section 3.1.
    """
    dtype = dtype or torch.get_default_dtype()
    if not dtype.is_floating_point:
        raise TypeError(f"dtype must be floating point, got {dtype}")
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    noise = torch.empty(tuple(shape), dtype=wide, device=device)
    noise.exponential_(_RATE, generator=generator)  # E·exp(c), so that −log of it is −log E − c
    return noise.clamp_min_(torch.finfo(wide).tiny).log_().neg_().to(dtype)


def one_hot_argmax(scores: Float[Tensor, "... k"]) -> Float[Tensor, "... k"]:
    """The argmax over the last axis as a one-hot tensor of the same type, without gradient.

    Ties go to the lowest index.

    Example:
        >>> one_hot_argmax(torch.tensor([0.1, 2.0, 2.0]))
        tensor([0., 1., 0.])
    """
    index = scores.detach().argmax(-1, keepdim=True)
    return torch.zeros_like(scores, requires_grad=False).scatter_(-1, index, 1.0)
