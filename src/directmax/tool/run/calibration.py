"""Log-odds of attributes corrected on labelled images so that probabilities are right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

RIDGE = 1.0
"""Precision of the prior around what changes nothing: what few images say counts for little."""


def calibrated_cross_entropy(odds: Float[Tensor, "m n"], labels: Int[Tensor, "m n"]) -> float:
    """Of the labels, in nats per image, once the log-odds are calibrated with them.

    Each attribute's is a mean over the images of which it is known; they are summed.

    Args:
        odds: log of q(on)/q(off), before calibration.
        labels: 1 or 0, −1 where it is not known.

    Example:
        >>> odds = torch.tensor([-4.0, 4.0] * 1000).unsqueeze(1)  # sure, and no use
        >>> round(calibrated_cross_entropy(odds, torch.tensor([0, 0, 1, 1] * 500).unsqueeze(1)), 2)
        0.69
    """
    logits = _calibrated(fitted_calibration(odds, labels).double(), _inputs(odds.double()))
    known = (labels >= 0).double()
    on = (labels > 0).double()
    each = F.binary_cross_entropy_with_logits(logits, on, reduction="none") * known
    return float((each.sum(0) / known.sum(0).clamp_min(1)).sum())


def _inputs(odds: Float[Tensor, "m n"]) -> Float[Tensor, "3 m n"]:
    return torch.stack([-F.softplus(-odds), F.softplus(odds), torch.ones_like(odds)])


def _calibrated(
    parts: Float[Tensor, "3 n"], inputs: Float[Tensor, "3 m n"]
) -> Float[Tensor, "m n"]:
    return torch.einsum("in,imn->mn", parts, inputs)


def fitted_calibration(
    odds: Float[Tensor, "m n"],
    labels: Int[Tensor, "m n"],
    reduce: Callable[[Tensor], Tensor] = lambda total: total,
) -> Float[Tensor, "3 n"]:
    r"""Slopes a, b ≥ 0 and shift c of every attribute, with which its log-odds x are calibrated.

    σ(b·softplus(x) − a·softplus(−x) + c) has the largest likelihood of the labels under a normal
    prior around a = b = 1, c = 0, where it is σ(x).

    Args:
        odds: x, log of q(on)/q(off).
        labels: 1 or 0, −1 where it is not known.
        reduce: sums over processes, where each holds a share of the images.

    Example:
        >>> odds = torch.tensor([4.0, 4.0, 4.0, 4.0, -4.0, -4.0, -4.0, -4.0] * 500).unsqueeze(1)
        >>> labels = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0] * 500).unsqueeze(1)
        >>> off, on, shift = fitted_calibration(odds, labels)
        >>> bool((on * F.softplus(odds[0]) + shift).sigmoid().sub(0.75).abs() < 0.01)
        True

    Reference: Kull, Silva Filho and Flach 2017 (beta calibration).
    """
    from scipy.optimize import minimize  # slow to import

    odds, known = odds.double(), (labels >= 0).double()
    on = (labels > 0).double()
    inputs = _inputs(odds)
    start = np.repeat([[1.0], [1.0], [0.0]], odds.shape[1], axis=1)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parts = flat.reshape(start.shape)
        logits = _calibrated(torch.from_numpy(parts), inputs)
        each = F.binary_cross_entropy_with_logits(logits, on, reduction="none")
        slopes = torch.einsum("mn,imn->in", (logits.sigmoid() - on) * known, inputs)
        total = reduce(torch.cat([(each * known).sum().view(1), slopes.flatten()])).numpy()
        away = (parts - start).ravel()
        return total[0] + RIDGE / 2 * float(away @ away), total[1:] + RIDGE * away

    bounds = [(0.0, None)] * (2 * odds.shape[1]) + [(None, None)] * odds.shape[1]
    settings = {"ftol": 1e-12, "gtol": 1e-6, "maxiter": 1000}
    found = minimize(
        loss, start.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=settings
    )
    return torch.from_numpy(found.x.reshape(start.shape)).to(torch.get_default_dtype())
