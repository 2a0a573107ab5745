"""What a report consists of, apart from how it is written: tables, charts, pictures, sections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from directmax.tool.paper.report.results import Spread

Tone = Literal["", "good", "bad"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        main: the number that counts.
        below: smaller, under it; such as the published value.
        difference: to what is below, with its sign.
        tone: whether the difference is one to be glad of; the sign says it too.
        faint: there is no result.
    """

    main: str
    below: str = ""
    difference: str = ""
    tone: Tone = ""
    faint: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its head.

    Attributes:
        title: over it.
        columns: their heads, the first above the heads of the rows.
        rows: as many cells as columns each.
        note: how to read it.
        words: columns that hold words beside the first, which are set to the left.
        folded: it is long, and shown on demand.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    words: tuple[int, ...] = ()
    folded: bool = False


def with_notes(tables: Sequence[Table]) -> list[tuple[Table, str]]:
    """Tables and what is written under each: a note that several in a row share, at their end.

    Example:
        >>> one, two = (Table(name, (), (), "the same") for name in ("one", "two"))
        >>> [note for _, note in with_notes([one, two])]
        ['', 'the same']
    """
    following = [*(table.note for table in tables[1:]), ""]
    return [
        (table, "" if table.note == note else table.note)
        for table, note in zip(tables, following, strict=False)
    ]


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        label: in the legend; of lines with one label one is named.
        x: positions.
        y: heights; None where there is none.
        low: lower end of a band, or nothing.
        high: upper end.
        color: a name of `palette`.
        dash: solid, dashed or dotted.
        marker: a shape of matplotlib's, or nothing.
        line: whether the points are joined.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    color: str = "ink"
    dash: Literal["solid", "dashed", "dotted"] = "solid"
    marker: str = ""
    line: bool = True


@dataclass(frozen=True)
class Chart:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    y_limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Figure:
    """Charts that share a legend.

    Attributes:
        name: of its file.
        title: over it.
        charts: from left to right, row by row.
        columns: charts in a row where there is room.
        note: under it.
    """

    name: str
    title: str
    charts: tuple[Chart, ...]
    columns: int = 2
    note: str = ""

    def legend(self) -> list[Series]:
        """One series for each label, in the order of appearance."""
        found: dict[str, Series] = {}
        for chart in self.charts:
            for series in chart.series:
                found.setdefault(series.label, series)
        return [series for label, series in found.items() if label]


@dataclass(frozen=True)
class Picture:
    """Images drawn by a model, as a PNG file of the report's folder `figures`.

    Attributes:
        name: of its file, without the ending.
        title: over it.
        note: under it.
        missing: why there is no file, a sentence in place of the picture; nothing if there is one.
    """

    name: str
    title: str
    note: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Section:
    """An item of the paper.

    Attributes:
        findings: sentences that the numbers say; the most important ones for the top of the page.
        source: what was published and how.
        notes: of the item, such as that it has not been run.
    """

    name: str
    title: str
    caption: str
    source: str = ""
    claims: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tables: Sequence[Table] = field(default_factory=tuple)
    figures: Sequence[Figure] = field(default_factory=tuple)
    pictures: Sequence[Picture] = field(default_factory=tuple)


NOTHING = "–"


def compared(
    value: float | None,
    text: str,
    reference: float | None,
    name: str,
    *,
    lower_is_better: bool = True,
    digits: int = 2,
) -> Cell:
    """A cell with a published number and the difference to it.

    Args:
        value: ours; None while there is none.
        text: ours as it is shown.
        reference: the published number; None if there is none.
        name: what it is called.
        lower_is_better: decides the tone.
        digits: after the point.
    """
    below = "" if reference is None else f"{name} {reference:.{digits}f}"
    if value is None:
        return Cell(NOTHING, below, faint=True)
    if reference is None:
        return Cell(text)
    difference = round(value - reference, digits)
    good = difference <= 0 if lower_is_better else difference >= 0
    return Cell(text, below, signed(difference, digits), "good" if good else "bad")


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


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a true minus, and no sign at zero."""
    text = f"{value:+.{digits}f}"
    if float(text) == 0:
        return text[1:]
    return text.replace("-", "−")
