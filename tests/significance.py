"""One level of significance for every stochastic test, and comparisons that have power.

A comparison fails on a right implementation with probability at most `ALPHA` (over seeds; the seeds
are fixed, so a suite that passes goes on passing). It also fails where it could not have told the
expected value from zero or from twice itself: a test that a zero gradient passes tests nothing.
"""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor

ALPHA = 1e-4
"""Probability that a comparison refuses a right implementation, shared by its entries."""


def quantile(comparisons: int = 1) -> float:
    """How many standard errors an entry may be off: two-sided, Bonferroni over the entries."""
    return NormalDist().inv_cdf(1 - ALPHA / (2 * comparisons))


def assert_mean(
    draws: Tensor, expected: Tensor | float, *, resolution: float | None = None
) -> None:
    """The draws (first axis) have the expected mean, and there are enough of them to tell.

    Args:
        draws: independent draws `(N, ...)`.
        expected: their mean, `(...)`.
        resolution: the smallest deviation that has to be noticed; None for the largest expected
            entry, so that neither zero nor twice the expected value would pass.
    """
    draws = draws.detach().double().reshape(draws.shape[0], -1)
    expected = torch.as_tensor(expected, dtype=torch.float64).detach().reshape(-1)
    assert draws.shape[1] == expected.numel()
    error = draws.std(0) / draws.shape[0] ** 0.5
    off = (draws.mean(0) - expected).abs()
    limit = quantile(expected.numel())
    # An entry that never varies, such as the score of a value that is never drawn, has error 0.
    assert (off <= limit * error + 1e-12).all(), (
        f"means {draws.mean(0).tolist()}, expected {expected.tolist()}, "
        f"{(off / error).max():.1f} standard errors off, allowed {limit:.1f}"
    )
    largest = expected.abs().argmax()
    smallest_shift = float(expected.abs()[largest]) if resolution is None else resolution
    noticed = 2 * limit * float(error[largest])
    assert noticed < smallest_shift, (
        f"no power: only shifts above {noticed:.2g} are noticed, wanted {smallest_shift:.2g}"
    )
