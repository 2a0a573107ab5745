"""How the numbers of a file became [0, 1], where another file would not say it by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.coded import Code
from directmax.tool.data.own.numbers import ROUNDING, Range, is_unit


@dataclass(frozen=True)
class Reading:
    """What was chosen by the numbers of one file, so that others are read like it.

    Attributes:
        high: the number that became 1; None where files of this range are read alike.
        codes: of the columns of a table; none where its numbers stayed numbers.
        names: of these columns, where they have any.

    Example:
        >>> reading = Reading(codes=(Code(words=("no", "yes")), Code(cuts=(2.5, 4.0))))
        >>> Reading.from_dict(reading.to_dict()) == reading
        True
    """

    high: float | None = None
    codes: tuple[Code, ...] = ()
    names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return {
            "high": self.high,
            "codes": [asdict(code) for code in self.codes],
            "names": list(self.names),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Reading:
        """What `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: it is damaged.
        """
        codes = tuple(
            Code(
                tuple(map(str, each["words"])),
                tuple(map(float, each["cuts"])),
                bool(each["unknown"]),
            )
            for each in found["codes"]
        )
        high = found["high"]
        return cls(None if high is None else float(high), codes, tuple(map(str, found["names"])))

    def check_columns(self, path: Path, count: int, names: Sequence[str]) -> None:
        """Refuse a table of other columns.

        Raises:
            DataError: there are more or fewer, or they have other names.
        """
        if count != len(self.codes):
            raise DataError(
                f"{path} has {count} columns, and the training rows {len(self.codes)}; expected "
                "the same"
            )
        for number, (own, other) in enumerate(zip(self.names, names, strict=False), 1):
            if own.strip() != other.strip():
                raise DataError(
                    f"{path} has {other[:40]!r} as column {number}, and the training rows "
                    f"{own[:40]!r}; expected the same columns in the same order"
                )

    def range_of(self, path: Path, arrays: Sequence[NDArray[Any]]) -> Range | None:
        """Of other numbers; None where they say it themselves.

        Raises:
            DataError: numbers that the file has not.
        """
        if self.high is None or is_unit(path, arrays):
            return None
        low, high = (float(end([end(each) for each in arrays])) for end in (np.min, np.max))
        if low < -ROUNDING * self.high or high > self.high * (1 + ROUNDING):
            raise DataError(
                f"{path} holds numbers from {low:g} to {high:g}; the training rows have 0 … "
                f"{self.high:g}"
            )
        return Range(0, self.high, f"{low:.3g} … {high:.3g}, {self.high:g} being 1")
