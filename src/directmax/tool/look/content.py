"""What a page consists of, apart from how it is written: tables, charts, figures, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table as RichTable

Tone = Literal["", "good", "bad"]
Dash = Literal["solid", "dashed", "dotted"]
NOTHING = "–"
"""In place of a number that is not there."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        main: the number that counts.
        below: smaller, under it; such as a published value.
        difference: to what is below, with its sign.
        tone: whether the difference is one to be glad of; the sign says it too.
    """

    main: str
    below: str = ""
    difference: str = ""
    tone: Tone = ""

    @property
    def faint(self) -> bool:
        """Whether there is no result."""
        return self.main == NOTHING

    def __str__(self) -> str:
        below = ", ".join(part.rstrip(",") for part in (self.below, self.difference) if part)
        return f"{self.main} ({below})" if below else self.main


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its head.

    Printed with rich it is a table of the terminal.

    Attributes:
        title: over it.
        columns: their heads, the first above the heads of the rows.
        rows: as many values as columns each: a `Cell`, anything with a text, or None for nothing.
        note: how to read it.
        words: columns that hold words beside the first, which are set to the left.
        folded: it is long, and shown on demand.

    Example:
        >>> [str(cell) for cell in Table("", ("k", "bound"), [(10, None)]).cells[0]]
        ['10', '–']
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    words: Sequence[int] = ()
    folded: bool = False

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows as cells."""
        return [[_cell(value) for value in row] for row in self.rows]

    def __rich__(self) -> RichTable:
        title, note = (escape(text) or None for text in (self.title, self.note))
        table = RichTable(title=title, title_justify="left", caption=note, caption_justify="left")
        for number, name in enumerate(self.columns):
            is_text = number in (0, *self.words)
            table.add_column(escape(name), justify="left" if is_text else "right")
        for row in self.cells:
            table.add_row(*(escape(str(cell)) for cell in row))
        return table


def _cell(value: Any) -> Cell:
    if isinstance(value, Cell):
        return value
    return Cell(NOTHING if value is None else str(value))


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
        label: in the legend; of lines with one label one is named, of those without none.
        x: positions.
        y: heights; None where there is none.
        low: lower end of a band, or nothing.
        high: upper end.
        color: a name of the palette.
        dash: solid, dashed or dotted.
        marker: a shape of matplotlib's, or nothing.
        line: whether the points are joined.
        faint: thinner and paler than the others.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    color: str = "ink"
    dash: Dash = "solid"
    marker: str = ""
    line: bool = True
    faint: bool = False


@dataclass(frozen=True)
class Chart:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
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
    charts: Sequence[Chart]
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
    """An image, such as one drawn by a model.

    Attributes:
        name: of its file, without the ending.
        title: over it, and its text where it is not seen.
        note: under it.
        png: the file's content; None where there is none.
        missing: why there is none, a sentence in place of the picture.
    """

    name: str
    title: str
    note: str = ""
    png: bytes | None = None
    missing: str = ""
