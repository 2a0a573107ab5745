"""Where to start the weight of the KL term when it is annealed down to 1."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

NUM_IMAGES = 10_000
"""Images that the estimate looks at; more change its first digits little."""

START = 0.9
"""Start at this share of the critical weight."""


@torch.no_grad()
def critical_kl_weight(images: Float[Tensor, "N d"]) -> float:
    r"""The KL weight above which codes that are nearly one become one: λ_max(R).

    R is the correlation matrix of the pixels. With weight T the best q is ∝ exp(−f/T). Near the
    collapsed solution all codes decode to the mean image m; let code z have logits shifted by
    δ_z. Then f changes by −δ_z·(x − m), q_z shifts by δ_z·(x − m)/T (relative to uniform), and
    the best mean image of the code by Cov(x) δ_z/T, in logits by D⁻¹ Cov(x) δ_z/T with
    D = diag(m(1 − m)). The shift grows where D^{-1/2} Cov(x) D^{-1/2} has an eigenvalue above T;
    for binary images that matrix is R. It is the phase transition of deterministic annealing
    (Rose, Gurewitz and Fox 1990), for a Bernoulli mixture. Local, for small δ: codes that are far
    apart may be the lower minimum also somewhat above.

    Args:
        images: x `(N, d)` in [0, 1]; the first 10,000 are used.

    Returns:
        The largest eigenvalue, at least 1.

    Example:
        >>> halves = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])  # 4 pixels, one pattern
        >>> round(critical_kl_weight(halves), 4)
        4.0
    """
    sample = images[:NUM_IMAGES].cpu().double()
    mean = sample.mean(0)
    variance = mean * (1 - mean)
    active = variance > 1e-4  # pixels that are always black carry nothing
    if not bool(active.any()):
        return 1.0
    centred = (sample[:, active] - mean[active]) / variance[active].sqrt()
    matrix = centred.T @ centred / len(centred)
    return max(1.0, float(torch.linalg.eigvalsh(matrix)[-1]))


def auto_kl_start(images: Float[Tensor, "N d"]) -> float:
    """0.9 of the critical weight, at least 1.

    Above the critical weight nothing is learned, and what distinguishes the codes decays, so that
    they may never part. Just below it the strongest patterns separate at once, the others as
    the weight falls.

    Example:
        >>> round(auto_kl_start(torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])), 4)
        3.6
    """
    return max(1.0, START * critical_kl_weight(images))
