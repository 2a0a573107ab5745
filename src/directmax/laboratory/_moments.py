"""Means and variances of vectors as they come, in groups, and the jackknife over the groups."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

SIGNS = 9_999
"""Random sign changes of the test of a bias."""


@dataclass(frozen=True)
class Pooled:
    """What several groups say together.

    Attributes:
        count: N, draws.
        mean: `(b, m)`.
        variance: mean over problems of the trace of the covariance matrix, divided by N − 1.
        extras: the means of the scalars.
    """

    count: int
    mean: Float[Tensor, "b m"]
    variance: float
    extras: Float[Tensor, " e"]


class GroupMoments:
    r"""Streamed moments of draws `(b, m)` and of scalars that belong to them, in G groups.

    Nothing is kept but, for each group, the number of draws, their mean, the sum of squares around
    it and the means of the scalars, all float64, updated by the rule of Chan, Golub and LeVeque:
    with δ = mean_c − mean_g of c new and n old draws,
    mean_g += δ c/(n + c), squares_g += squares_c + ‖δ‖² n c/(n + c). Draws are taken relative to
    the first one, so that equal draws have variance 0 exactly.

    Args:
        groups: G.
        shape: (b, m).
        extras: number of scalars.

    Example:
        >>> moments = GroupMoments(2, (1, 1))
        >>> for group, draws in enumerate(([1.0, 2.0], [3.0, 6.0])):
        ...     moments.add(group, torch.tensor(draws, dtype=torch.float64).view(-1, 1, 1))
        >>> pooled = moments.pooled()
        >>> pooled.mean.item(), round(pooled.variance, 4)
        (3.0, 4.6667)

    Reference: Chan, Golub and LeVeque 1983.
    """

    def __init__(self, groups: int, shape: tuple[int, int], extras: int = 0) -> None:
        self.problems = shape[0]
        self.counts = torch.zeros(groups, dtype=torch.float64, device="cpu")
        self.means = torch.zeros(groups, *shape, dtype=torch.float64, device="cpu")
        self.squares = torch.zeros(groups, dtype=torch.float64, device="cpu")
        self.extras = torch.zeros(groups, extras, dtype=torch.float64, device="cpu")
        self.seen = torch.zeros(shape[0], dtype=torch.int64, device="cpu")
        """Draws of each problem that are not 0, for who counts them."""
        self.moved = torch.zeros(shape[0], dtype=torch.int64, device="cpu")
        """Draws of each problem that differ from its first."""
        self._first: Tensor | None = None

    def add(
        self,
        group: int,
        draws: Float[Tensor, "c b m"],
        extras: Float[Tensor, "c e"] | None = None,
    ) -> None:
        """Take in draws of a group."""
        if self._first is None:
            self._first = draws[0].clone()
        relative = draws - self._first
        self.moved += (relative != 0).any(-1).sum(0).to(self.moved)
        old, new = float(self.counts[group]), len(draws)
        fraction = new / (old + new)
        mean = relative.mean(0)
        squares = (relative - mean).square().sum()
        shift = mean - self.means[group]
        self.squares[group] += squares + shift.square().sum() * old * fraction
        self.means[group] += shift * fraction
        if extras is not None:
            self.extras[group] += (extras.mean(0) - self.extras[group]) * fraction
        self.counts[group] += new

    def pooled(self, without: int | None = None) -> Pooled:
        """All groups together, or all but one."""
        counts = self.counts.clone()
        if without is not None:
            counts[without] = 0
        total = counts.sum()
        weights = counts / total
        mean = torch.tensordot(weights, self.means, 1)
        between = (self.means - mean).square().sum((1, 2))  # (G,)
        squares = self.squares[counts > 0].sum() + counts @ between
        return Pooled(
            count=int(total),
            mean=mean if self._first is None else mean + self._first,
            variance=float(squares) / (float(total) - 1) / self.problems,
            extras=weights @ self.extras,
        )

    def sign_test(self, expected: Float[Tensor, "b m"], rounding: float = 0.0) -> float:
        r"""How probable a mean as far from `expected` is where the groups scatter around it.

        Under the hypothesis that the groups' deviations d_g are symmetric around 0, their signs
        may be changed at random: the answer is the share of ‖Σ_g ± d_g‖² that are at least
        ‖Σ_g d_g‖². The signs are always the same.

        Args:
            expected: the mean of the hypothesis.
            rounding: a mean that is off by at most this much (root mean square over problems) is
                called equal.

        Returns:
            A p-value, at least 1/10,000.
        """
        deviations = self.means - expected
        if self._first is not None:
            deviations = deviations + self._first
        deviations = (deviations * (self.counts / self.counts.sum())[:, None, None]).flatten(1)
        if float(deviations.sum(0).norm()) <= rounding * math.sqrt(self.problems):
            return 1.0
        products = deviations @ deviations.T  # (G, G)
        signs = _signs(len(products))
        lengths = ((signs @ products) * signs).sum(1)
        as_long = int((lengths >= products.sum() * (1 - 1e-9)).sum())
        return (1 + as_long) / (1 + SIGNS)


@functools.cache
def _signs(groups: int) -> Float[Tensor, "draws groups"]:
    """Always the same random signs."""
    draws = np.random.default_rng(0).integers(0, 2, (SIGNS, groups))
    return torch.from_numpy(2.0 * draws - 1)


@dataclass(frozen=True)
class Jackknifed:
    """Values and their standard errors."""

    values: dict[str, float]
    errors: dict[str, float]


def jackknife(moments: GroupMoments, metrics: Callable[[Pooled], dict[str, float]]) -> Jackknifed:
    r"""Standard errors of functions of the moments, by leaving out one group at a time.

    error² = (G − 1)/G Σ_g (θ_{−g} − mean_h θ_{−h})².

    Reference: Quenouille 1956; Tukey 1958; Efron and Stein 1981.
    """
    values = metrics(moments.pooled())
    groups = len(moments.counts)
    rest = [metrics(moments.pooled(without=group)) for group in range(groups)]
    errors = {}
    for name in values:
        each = np.array([one[name] for one in rest])
        finite = bool(np.isfinite(each).all())
        errors[name] = math.sqrt((groups - 1) * each.var()) if finite else math.nan
    return Jackknifed(values, errors)
