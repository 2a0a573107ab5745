"""How the numbers of a file became [0, 1], where another file would not say it by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.coded import Code, check_numbers
from directmax.tool.data.own.columns import check_names
from directmax.tool.data.own.found import Found, Layout
from directmax.tool.data.own.numbers import DEEP, ROUNDING, Range, ends, is_two, is_unit


@dataclass(frozen=True)
class Reading:
    """What was chosen by the numbers of one file, so that others are read like it.

    Attributes:
        low: the number that became 0.
        high: the number that became 1.
        binary: whether there were only these two.
        codes: of the columns of a table; none where its numbers stayed numbers.
        names: of these columns, where they have any.
        layout: of a table that is a text.

    Example:
        >>> reading = Reading(codes=(Code(words=("no", "yes")), Code(cuts=(2.5, 4.0))))
        >>> Reading.from_dict(reading.to_dict()) == reading
        True
    """

    low: float = 0.0
    high: float = 1.0
    binary: bool = False
    codes: tuple[Code, ...] = ()
    names: tuple[str, ...] = ()
    layout: Layout | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return asdict(self)

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
        layout = found.get("layout")
        if layout is not None:
            labels = layout["labels"]
            layout = Layout(
                bool(layout["header"]),
                int(layout["columns"]),
                None if labels is None else int(labels),
            )
        names = tuple(map(str, found["names"]))
        high = found["high"]  # None, and no `low`, where they were written with codes alone
        high = 1.0 if high is None else float(high)
        low, binary = float(found.get("low", 0)), bool(found.get("binary"))
        return cls(low, high, binary, codes, names, layout)

    def check_columns(self, path: Path, found: Found) -> None:
        """Refuse a table of other columns.

        Raises:
            DataError: there are more or fewer, they have other names, or words in place of numbers.
        """
        images = found.parts["train"].images
        if not self.codes:
            check_numbers(path, found)
        if not self.codes or images.ndim != 2:
            return
        if images.shape[1] != len(self.codes):
            one = sorted({*found.columns} ^ {*self.names}) if found.columns and self.names else []
            which = f" ({', '.join(one)[:60]} in one alone)" if one else ""
            raise DataError(
                f"{path} has {images.shape[1]} columns, and the training rows {len(self.codes)}"
                f"{which}; expected the same"
            )
        check_names(path, found.columns, found.places, self.names)

    def range_of(self, path: Path, arrays: Sequence[NDArray[Any]], *, rows: bool) -> Range | None:
        """Of other numbers; None where they say it themselves.

        That is if they are fractions where the training rows have whole numbers, or lie beyond
        bytes or −1 … 1, or are 0/1 and pictures; few rows of numbers may be 0/1 by chance.

        Args:
            path: where they are from, for messages.
            arrays: the first axis counts images, or rows.
            rows: whether these are rows of numbers, not pictures.

        Raises:
            DataError: numbers beyond shades of which the largest is white.
        """
        low, high = ends(path, arrays)
        two = is_two(path, arrays)
        if (self.low, self.high) == (0, 1) or (two and (self.binary or not rows)):
            return None
        if self.low < 0:
            if low < -1 - ROUNDING or high > 1 + ROUNDING:
                return None
            return Range(self.low, self.high, f"{low:.3g} … {high:.3g} as 0 … 1, −1 being 0")
        if not two and is_unit(path, arrays):
            return None
        # Files of 8 bits have a white of their own, beside training images of more.
        if self.high in DEEP and all(array.dtype.itemsize == 1 for array in arrays):
            return None
        within = low >= -ROUNDING * self.high and high <= self.high * (1 + ROUNDING)
        if self.high in (255, 65535) and (not within or (self.high == 65535 and high <= 255)):
            return None
        if not within:
            raise DataError(
                f"{path} holds numbers from {low:g} to {high:g}; the training rows have 0 … "
                f"{self.high:g}"
            )
        return Range(0, self.high, f"{low:.3g} … {high:.3g}, {self.high:g} being 1")
