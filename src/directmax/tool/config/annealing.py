"""Where to start the weight of the KL term when it is annealed down to 1."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from directmax.objectives import BERNOULLI

NUM_IMAGES = 10_000
"""Images that the estimate looks at; more change its first digits little."""

FEW = 64
"""Images or pixels of which all singular values are computed."""
MOST_ALL = 1024
"""Pixels of whose correlations all eigenvalues are computed; of 5,000 that takes 13 seconds."""

START = 0.9
"""Start at this share of the critical weight."""


def critical_weight_of_levels(images: Float[Tensor, "N d"]) -> float:
    r"""The same for 256 levels around a mean with one learned scale: d λ_max(Cov)/tr(Cov).

    As for binary pixels, with means shifted by δ_z: f changes by −δ_z·(x − m)/σ², and the best
    mean image of the code by Cov(x) δ_z/(T σ²), which grows where an eigenvalue of Cov(x) is above
    T σ². Before the codes part, the best scale is that of all images, σ² = tr(Cov)/d. Exact for
    `gaussian_loss`; the logistic is nearly as narrow (its Fisher information times its variance is
    π²/9, and 1 of a Gaussian).

    Args:
        images: x `(N, d)`; the first 10,000 are used.

    Returns:
        From 1 to d.

    Example:
        >>> grey = torch.tensor([[0.2, 0.2, 0.3, 0.3], [0.8, 0.8, 0.7, 0.7]])  # one pattern
        >>> round(critical_weight_of_levels(grey), 4)
        4.0
    """
    sample = images[:NUM_IMAGES].cpu().double()
    centred = sample - sample.mean(0)
    total = float(centred.square().sum())
    if not total:  # all are equal
        return 1.0
    return max(1.0, _largest(centred) ** 2 / total * centred.shape[1])


def _largest(matrix: Float[Tensor, "N d"]) -> float:
    """The first singular value."""
    if min(matrix.shape) <= FEW:
        return float(torch.linalg.matrix_norm(matrix, 2))
    from scipy.sparse import linalg  # slow to import

    # The start is drawn, but always the same.
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    return float(linalg.svds(matrix.numpy(), 1, v0=start, return_singular_vectors=False)[0])


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
    if centred.shape[1] > MOST_ALL:
        return max(1.0, _largest(centred) ** 2 / len(centred))
    matrix = centred.T @ centred / len(centred)
    return max(1.0, float(torch.linalg.eigvalsh(matrix)[-1]))


def auto_kl_start(images: Float[Tensor, "N d"], likelihood: str = BERNOULLI) -> float:
    """0.9 of the critical weight, at least 1.

    Above the critical weight nothing is learned, and what distinguishes the codes decays, so that
    they may never part. Just below it the strongest patterns separate at once, the others as
    the weight falls.

    Example:
        >>> round(auto_kl_start(torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])), 4)
        3.6
    """
    critical = critical_kl_weight if likelihood == BERNOULLI else critical_weight_of_levels
    return max(1.0, START * critical(images))
