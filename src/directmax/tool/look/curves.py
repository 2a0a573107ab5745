"""Curves of several runs as one line, and how much of them is shown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from directmax.tool.look.content import Series

SHORT = 10
"""Epochs up to which all of a curve is shown."""


def banded(line: Series, values: Sequence[Sequence[float]]) -> Series:
    """A line through the means over runs, in a band of a standard deviation on either side.

    Args:
        line: label, positions and look.
        values: at each position those of all runs; of one run there is no band.

    Example:
        >>> banded(Series("direct", [1, 2], ()), [[1.0, 3.0], [2.0, 2.0]]).y
        [2.0, 2.0]
    """
    means = [statistics.fmean(each) for each in values]
    spreads = [statistics.stdev(each) for each in values if len(each) > 1]
    low, high = ([m + sign * s for m, s in zip(means, spreads, strict=False)] for sign in (-1, 1))
    return replace(line, y=means, low=low, high=high, marker="o" if len(means) < 3 else "")


def limits(series: Sequence[Series]) -> tuple[float, float] | None:
    """Where the curves end up: the first epochs of a long run are far above the rest."""
    values = [[y for y in each.y if y is not None] for each in series]
    values = [each for each in values if each]
    if not values:
        return None
    low = min(min(each) for each in values)
    end, high = max(each[-1] for each in values), max(max(each) for each in values)
    if max(map(len, values)) > SHORT:
        high = min(high, end + 1.2 * (end - low) + 0.01 * abs(end))
    margin = max(0.05 * (high - low), 1e-3 * abs(low), 1e-3)
    return low - margin, high + margin
