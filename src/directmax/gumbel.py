r"""Gumbel noise and the Gumbel-Max trick.

If γ(z) are independent standard Gumbel variables, then argmax_z h(z) + γ(z) is a sample of
q(z) ∝ exp h(z) (eq. 3 of the paper; Gumbel 1954, Luce 1959). Adding one constant to every γ
does not move the argmax; the paper's choice, kept here, is mean zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

EULER_GAMMA = 0.5772156649015329
"""Mean of the standard Gumbel distribution."""


def sample_gumbel(
    shape: Sequence[int],
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Independent Gumbel variables of mean zero, γ = −log(−log U) − c with U ∼ Uniform(0, 1).

    c ≈ 0.5772 is Euler's constant; the density is exp(−(γ + c) − exp(−(γ + c))), the variance
    π²/6. U is kept off 0, and torch never draws 1, so that every value is finite. Half-precision
    types are drawn in float32 and rounded, because their few uniform numbers would cut the tail
    (float32 ends at 16.6 − c, which a larger draw would pass with probability 6e-8).

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
    uniform = torch.rand(tuple(shape), generator=generator, dtype=wide, device=device)
    exponential = uniform.clamp_min_(torch.finfo(wide).tiny).log_().neg_()
    return exponential.log_().neg_().sub_(EULER_GAMMA).to(dtype)


def one_hot_argmax(scores: Float[Tensor, "... k"]) -> Float[Tensor, "... k"]:
    """The argmax over the last axis as a one-hot tensor of the same type, without gradient.

    Ties go to the lowest index.

    Example:
        >>> one_hot_argmax(torch.tensor([0.1, 2.0, 2.0]))
        tensor([0., 1., 0.])
    """
    index = scores.detach().argmax(-1, keepdim=True)
    return torch.zeros_like(scores, requires_grad=False).scatter_(-1, index, 1.0)
