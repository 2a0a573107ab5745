"""Log-odds of attributes scaled and shifted so that probabilities are right."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

STEPS = 30
RIDGE = 1.0
"""Precision of the prior around scale 1 and shift 0: what few images say counts for little."""


def fitted_scale_and_shift(
    odds: Float[Tensor, "m n"],
    labels: Int[Tensor, "m n"],
    reduce: Callable[[Tensor], Tensor] = lambda total: total,
) -> Float[Tensor, "2 n"]:
    r"""The scale a ≥ 0 and the shift b of every attribute, so that σ(a · odds + b) is calibrated.

    They maximise the labels' likelihood under a normal prior around 1 and 0, by Newton's steps,
    each halved until the loss does not rise.

    Args:
        odds: log of q(on)/q(off).
        labels: 1 or 0, −1 where it is not known.
        reduce: sums over processes, where each holds a share of the images.

    Example:
        >>> odds = torch.tensor([4.0, 4.0, 4.0, 4.0, -4.0, -4.0, -4.0, -4.0] * 50).unsqueeze(1)
        >>> labels = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1] * 50).unsqueeze(1)
        >>> scale, shift = fitted_scale_and_shift(odds, labels)
        >>> bool((4 * scale).sigmoid().sub(0.75).abs() < 0.01)
        True

    Reference: Platt 1999; Guo et al. 2017.
    """
    odds, known = odds.double(), (labels >= 0).double()
    on = (labels > 0).double()
    start = odds.new_tensor([[1.0], [0.0]]).expand(2, odds.shape[1])
    inputs = torch.stack([odds, torch.ones_like(odds)], -1)  # (m, n, 2)

    def loss_of(parts: Tensor) -> Tensor:
        logits = parts[0] * odds + parts[1]
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, on, reduction="none")
        return reduce((each * known).sum(0)) + RIDGE / 2 * (parts - start).square().sum(0)

    found = start.clone()
    loss = loss_of(found)
    for _ in range(STEPS):
        p = (found[0] * odds + found[1]).sigmoid()
        gradient = reduce(torch.einsum("mn,mni->ni", (p - on) * known, inputs))
        curvature = torch.einsum("mn,mni,mnj->nij", p * (1 - p) * known, inputs, inputs)
        curvature = reduce(curvature) + RIDGE * torch.eye(2, dtype=odds.dtype, device=odds.device)
        step = torch.linalg.solve(curvature, gradient + RIDGE * (found - start).T).T
        for _ in range(STEPS):
            tried = loss_of(found - step)
            worse = tried > loss
            step = torch.where(worse, step / 2, step)
            if not bool(worse.any()):
                break
        found, loss = torch.where(worse, found, found - step), torch.where(worse, loss, tried)
    return torch.stack([found[0].clamp_min(0.0), found[1]])
