"""Forbidden values: potentials of −∞."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._precision import widened
from directmax._transforms import in_transforms, readable
from directmax._validation import check_float_tensor


def check_masked(
    name: str,
    potentials: Tensor,
    axes: tuple[str, ...],
    validate: bool,
    *,
    forbids: bool | None = None,
) -> Tensor:
    """Potentials, widened, in which a forbidden value has −∞.

    The most negative number of a floating-point type, with which masks are often filled, stands
    for −∞.

    Args:
        name: the argument's name, for the message.
        potentials: what the caller passed, values along the last axis.
        axes: the expected axes.
        validate: also look at the values.
        forbids: `may_forbid(potentials)` where the caller has looked.

    Raises:
        TypeError, ValueError: no floating-point tensor with these axes; NaN, +∞, or a variable all
            of whose values are forbidden.

    Example:
        >>> lowest = torch.finfo(torch.float32).min
        >>> check_masked("logits", torch.tensor([[[0.0, lowest]]]), ("b", "n", "k"), True)
        tensor([[[0., -inf]]])
    """
    check_float_tensor(name, potentials, axes, finite=False)
    wide = widened(potentials)
    if not (may_forbid(potentials) if forbids is None else forbids):
        return wide  # all are finite
    lowest = wide.detach() <= torch.finfo(potentials.dtype).min
    # An addition: its graph keeps nothing, and serves several backward passes.
    masked = wide + torch.zeros_like(wide.detach()).masked_fill(lowest, -torch.inf)
    if not validate or not masked.numel() or not readable(masked):
        return masked
    largest = masked.amax(-1)  # NaN where one is NaN
    if not bool((largest.abs() < torch.inf).all()):
        _refuse(name, potentials.detach(), masked.detach(), largest.detach())
    return masked


def may_forbid(potentials: Tensor) -> bool:
    """Whether some value may be forbidden: looked up on a CPU, true where that would cost time.

    Also true where potentials are so far apart that a log-probability may be −∞ all the same.

    Example:
        >>> may_forbid(torch.zeros(1, 1, 2)), may_forbid(torch.tensor([[[0.0, -torch.inf]]]))
        (False, True)
    """
    if potentials.device.type != "cpu" or torch.compiler.is_compiling() or in_transforms():
        return True
    if not potentials.numel():
        return False
    far = torch.finfo(potentials.dtype).max / 4
    least, most = potentials.detach().aminmax()
    return not (float(least) > -far and float(most) < far)  # also of NaN


def _refuse(name: str, given: Tensor, masked: Tensor, largest: Tensor) -> None:
    where = tuple(int(i) for i in (~largest.isfinite()).nonzero()[0])
    if float(largest[where]) == -torch.inf:
        most = float(given[where].amax())
        lowest = "−inf" if most == -torch.inf else f"{most:g}, which stands for −inf,"
        raise ValueError(
            f"{name} must leave every variable a value, got {lowest} for all values at index "
            f"{where}"
        )
    value = int((masked[where].isnan() | masked[where].isposinf()).nonzero()[0])
    raise ValueError(
        f"{name} must be finite, or −inf for forbidden values, got "
        f"{masked[(*where, value)].item()} at index {(*where, value)}; did the training diverge?"
    )


def chosen(potentials: Float[Tensor, "b n k"], z: Float[Tensor, "*s b n k"]) -> Tensor:
    """Σ_i h_i(z_i), `(*s, b)`, differentiable; −∞ where z has a forbidden value."""
    return (torch.where(z == 0, 0.0, potentials) * z).sum((-2, -1))


def allowed(potentials: Float[Tensor, "*s n k"]) -> Bool[Tensor, "*s n k"]:
    """Which values are not forbidden."""
    return potentials > -torch.inf


def without_infinities(
    potentials: Float[Tensor, "*s n k"], reach: Float[Tensor, "*s n 1"]
) -> Float[Tensor, "*s n k"]:
    """Potentials with the same argmax: a forbidden value falls behind the best allowed one.

    Args:
        potentials: with −∞.
        reach: by how much the rest of the score may depend on a variable; a forbidden value falls
            short by more than twice that.
    """
    best = potentials.amax(-1, keepdim=True)
    finite = potentials.masked_fill(potentials == -torch.inf, 0.0)
    # Of the size of the others, so that sums with it, in which they count, lose nothing of them.
    size = torch.maximum(finite.abs().amax((-2, -1), keepdim=True), reach.amax(-2, keepdim=True))
    short = 2 * reach + torch.where(size > 0, size, 1.0)
    return torch.where(allowed(potentials), potentials, best - short)


def binary_potentials(name: str, weights: Float[Tensor, "b n"]) -> Float[Tensor, "b n 2"]:
    """h_i(0) = 0 and h_i(1) = weight.

    Raises:
        TypeError, ValueError: no floating-point tensor with two axes.
    """
    check_float_tensor(name, weights, ("batch", "variables"), finite=False)
    return torch.stack([torch.zeros_like(weights), weights], -1)
