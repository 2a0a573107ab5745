r"""Gumbel noise and the Gumbel-Max trick.

If γ(z) are independent standard Gumbel variables, then argmax_z h(z) + γ(z) is a sample of
q(z) ∝ exp h(z) (eq. 3 of the paper; Gumbel 1954, Luce 1959). Adding one constant to every γ
does not move the argmax; the paper's choice, kept here, is mean zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax._randomness import draw
from directmax._transforms import wrapped
from directmax._validation import check_count, check_float_tensor, check_place, check_tensor, shown

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
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be floating point, got {dtype}")
    if not torch.compiler.is_compiling():
        _check_shape(shape)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    uniform = draw(torch.rand, shape, generator, dtype=wide, device=device)
    exponential = uniform.clamp_min_(torch.finfo(wide).tiny).log_().neg_()
    return exponential.log_().neg_().sub_(EULER_GAMMA).to(dtype)


def _check_shape(shape: object) -> None:
    if not isinstance(shape, Sequence) or isinstance(shape, (str, bytes)):
        raise TypeError(f"shape must be a sequence of sizes, got {shown(shape)}")
    for size in shape:
        check_count("every size of shape", size, minimum=0)


def conditional_gumbel(
    logits: Float[Tensor, "b n k"],
    value: Float[Tensor, "*s b n k"],
    *,
    noise: Float[Tensor, "*s b n k"] | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*s b n k"]:
    r"""h + γ given its argmax z, reparameterised: a differentiable function of h and fresh noise.

    Per variable, with E_j independent standard exponential variables and Z = Σ_j e^{h_j}: the
    maximum is independent of where it is attained, and the others are Gumbels cut off at it,

        at j = z: log Z − log E_z − c,    elsewhere: −log(E_j e^{−h_j} + E_z / Z) − c.

    c is Euler's constant, so that γ has mean zero. Averaged over z ∼ q it has the distribution of
    h + γ.

    Args:
        logits: h `(b, n, k)`.
        value: z, one-hot.
        noise: independent Gumbel variables of mean zero, −log E_j − c; drawn when None.
        generator: source of randomness for them.

    Returns:
        Perturbed potentials, whose argmax is z.

    Raises:
        TypeError, ValueError: no tensors, or shapes that do not fit.

    Example:
        >>> z = torch.tensor([[[0.0, 1.0, 0.0]]])
        >>> perturbed = conditional_gumbel(torch.zeros(1, 1, 3), z.expand(5, -1, -1, -1))
        >>> perturbed.argmax(-1).flatten()
        tensor([1, 1, 1, 1, 1])

    Reference: Maddison and Tarlow 2017; Tucker et al. 2017, appendix C; Paulus et al. 2021.
    """
    check_float_tensor("logits", logits, ("batch", "variables", "values"), finite=False)
    check_tensor("value", value, tuple(logits.shape), "batch, variables, values")
    check_place("value", value, logits.device, "logits")
    if noise is not None:
        check_tensor("noise", noise, tuple(value.shape), "samples, batch, variables, values")
        check_place("noise", noise, logits.device, "logits")
    else:
        noise = sample_gumbel(
            value.shape, generator=generator, dtype=logits.dtype, device=logits.device
        )
    log_exponential = -(noise + EULER_GAMMA)  # log E_j
    top = torch.where(value > 0, log_exponential, 0).sum(-1, keepdim=True)  # log E_z
    top = top - logits.logsumexp(-1, keepdim=True)  # log(E_z / Z)
    below = torch.logaddexp(log_exponential - logits, top)  # ∞ where h is −∞
    return -torch.where(value > 0, top, below) - EULER_GAMMA


def one_hot_argmax(scores: Float[Tensor, "... k"]) -> Float[Tensor, "... k"]:
    """The argmax over the last axis as a one-hot tensor of the same type, without gradient.

    Ties go to the lowest index.

    Example:
        >>> one_hot_argmax(torch.tensor([0.1, 2.0, 2.0]))
        tensor([0., 1., 0.])
    """
    index = _argmax(scores.detach())
    return torch.zeros_like(scores, requires_grad=False).scatter_(-1, index, 1.0)


def _argmax(scores: Tensor) -> Int64[Tensor, "... 1"]:
    """Where the largest one is, the first of several; numpy finds it up to ten times as quickly."""
    plain = type(scores) is Tensor and scores.dtype in (torch.float32, torch.float64)
    if not plain or scores.device.type != "cpu" or not scores.numel() or wrapped(scores):
        return scores.argmax(-1, keepdim=True)
    if torch.compiler.is_compiling():
        return scores.argmax(-1, keepdim=True)
    return torch.from_numpy(scores.numpy().argmax(-1, keepdims=True))
