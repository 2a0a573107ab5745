"""Bernoulli negative log-likelihoods from logits: one image a row, or all pairs at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from directmax._precision import no_autocast, widened
from directmax._validation import check_place, check_real


def bernoulli_loss(
    logits: Float[Tensor, "*s b d"], images: Float[Tensor, "b d"]
) -> Float[Tensor, "*s b"]:
    r"""−log p(x|L) = Σ_d softplus(L_d) − x_d L_d, in nats per image.

    Args:
        logits: L `(*s, b, d)`.
        images: x `(b, d)` in [0, 1].

    Returns:
        `(*s, b)`.

    Example:
        >>> import torch
        >>> bernoulli_loss(torch.zeros(1, 2), torch.ones(1, 2))  # 2 log 2
        tensor([1.3863])
    """
    logits, images = _checked(logits, images)
    if images.ndim != 2 or logits.ndim < 2:
        raise ValueError(
            "logits and images must have shapes (…, batch, pixels) and (batch, pixels), got "
            f"{tuple(logits.shape)} and {tuple(images.shape)}"
        )
    codes, count = logits.shape[-2], images.shape[0]
    if codes != count and 1 not in (codes, count):
        raise ValueError(f"logits must be for the {count} images, got shape {tuple(logits.shape)}")
    if logits.shape[-1] != images.shape[-1]:
        raise ValueError(
            f"the decoder must return a logit for each of the {images.shape[-1]} pixels of the "
            f"images, got shape {tuple(logits.shape)}"
        )
    with no_autocast(logits.device):
        return softplus(logits).sum(-1) - (logits * images).sum(-1)


def bernoulli_table(
    logits: Float[Tensor, "c d"], images: Float[Tensor, "b d"]
) -> Float[Tensor, "b c"]:
    r"""−log p(x_b|L_c) for every pair of an image and a decoded code, in nats.

    One matrix product for all pairs: Σ_d softplus(L_cd) − (X Lᵀ)_bc. A code is decoded once,
    not once an image.

    Args:
        logits: L `(c, d)`, one row a code.
        images: x `(b, d)` in [0, 1]; receives no gradient.

    Returns:
        `(b, c)`.

    Example:
        >>> import torch
        >>> codes, images = torch.randn(3, 8), torch.rand(5, 8).round()
        >>> table = bernoulli_table(codes, images)
        >>> torch.allclose(table[:, 2], bernoulli_loss(codes[2].expand(5, 8), images))
        True
    """
    logits, images = _checked(logits, images)
    if logits.ndim != 2 or images.ndim != 2 or logits.shape[1] != images.shape[1]:
        raise ValueError(
            "logits and images must have shapes (codes, pixels) and (batch, pixels), got "
            f"{tuple(logits.shape)} and {tuple(images.shape)}"
        )
    images = images.to(logits.dtype)
    with no_autocast(logits.device):
        if torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling():
            return _table(logits, images)
        table: Tensor = _BernoulliTable.apply(logits, images)
    return table


def _checked(logits: object, images: object) -> tuple[Tensor, Tensor]:
    logits, images = check_real("logits", logits), check_real("images", images)
    return widened(logits), widened(check_place("images", images, logits.device, "logits"))


def _table(logits: Tensor, images: Tensor) -> Tensor:
    return torch.addmm(softplus(logits).sum(-1), images, logits.T, alpha=-1)


class _BernoulliTable(torch.autograd.Function):
    """`_table` with a backward pass of two operations: σ(L)·Σ_b g_b − gᵀ X.

    In the older form, whose `forward` takes the context: the newer one, which torch.func needs,
    costs some 0.1 ms a call.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, images: Tensor) -> Tensor:
        ctx.save_for_backward(logits, images)
        return _table(logits, images)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        logits, images = ctx.saved_tensors  # type: ignore[attr-defined]
        scaled = torch.sigmoid(logits) * grad.sum(0).unsqueeze(-1)
        return torch.addmm(scaled, grad.T, images, alpha=-1), None


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x), to the precision of its type."""
    # torch replaces softplus(x) by x above a threshold; 20 costs 2e-9, too much in float64.
    return F.softplus(x, threshold=40.0 if x.dtype == torch.float64 else 20.0)
