"""Mean and deviation over seeds, and how they are written."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from directmax.tool.look.content import NOTHING


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds (of a sample, n − 1).

    Example:
        >>> str(Spread.of([1.0, 2.0])), str(Spread.of([1.0]))
        ('1.50 ± 0.71', '1.00')
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """Of some numbers; None of nothing."""
        finite = [value for value in values if value is not None and math.isfinite(value)]
        if not finite:
            return None
        deviation = statistics.stdev(finite) if len(finite) > 1 else None
        return cls(statistics.fmean(finite), deviation, len(finite))

    def __str__(self) -> str:
        text = f"{self.mean:.2f}"
        return text if self.deviation is None else f"{text} ± {self.deviation:.2f}"


def seconds_text(spread: Spread | None) -> str:
    """Seconds with three digits, and their deviation; a dash for none.

    Example:
        >>> seconds_text(Spread(0.02345, 0.0011, 2)), seconds_text(Spread(12.3456, None, 1))
        ('0.0234 ± 0.0011', '12.3')
    """
    if spread is None:
        return NOTHING
    digits = max(0, 2 - math.floor(math.log10(spread.mean))) if spread.mean > 0 else 2
    text = f"{spread.mean:.{digits}f}"
    return text if spread.deviation is None else f"{text} ± {spread.deviation:.{digits}f}"
