"""Tables as text: what stands between columns, names of columns, rows of as many fields."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.coded import is_missing, is_number
from directmax.tool.data.own.commas import QUOTED, without_commas
from directmax.tool.data.own.files import encoding_of
from directmax.tool.data.own.found import Layout

SEEN = 2000
"""Rows that are looked at: in them a word of the first row comes again, if that is no header."""
COMPARED = 20
"""Lines that are looked at for what stands between columns."""
FEWEST_NUMBERED = 8
"""Columns from which on 0, 1, 2, … are their names, not a row."""


@dataclass(eq=False)
class Table:
    """A table as it is written.

    Attributes:
        header: names of the columns; none where the first row holds numbers.
        lines: the rows, without the header.
        delimiter: between columns; None for white space.
        columns: how many.
        notes: what was taken otherwise than it is written, for people.
    """

    header: list[str]
    lines: list[str]
    delimiter: str | None
    columns: int
    notes: list[str]


def written_table(path: Path, data: bytes, like: Layout | None = None) -> Table:
    """The rows of a text.

    Args:
        path: of the file, for messages.
        data: its content.
        like: how another is written, of whose kind this one is.

    Raises:
        DataError: no text, no rows, a quote that is not closed, or not as many names as columns.
    """
    lines = _lines(path, data)
    if not lines:
        raise DataError(f"{path} is empty; expected a row of numbers for each image")
    delimiter = _delimiter(lines)
    physical, lines = len(lines), _joined(lines, delimiter)
    joined = ["line ends in quotes read as blanks"] if len(lines) < physical else []
    if like is None or len(fields(lines[-1], delimiter)) != like.columns:
        lines = _without_ends(lines, delimiter)
    commas, (lines, notes) = lines, _decimal_points(lines, delimiter)
    _check_quotes(path, lines, delimiter)
    if notes:
        _check_points(path, commas, delimiter)
    if delimiter == "," and any(QUOTED.search(line) for line in lines):
        lines, notes = _without_commas(lines)
    first = fields(lines[0], delimiter)
    if like is not None:
        header = like.header
    else:
        # pandas writes 0, 1, 2, … where columns have no names
        numbered = len(first) >= FEWEST_NUMBERED and first == [str(i) for i in range(len(first))]
        header = numbered or not _is_row(first, lines[1:SEEN], delimiter)
    rows = lines[1:] if header else lines
    if not rows:
        raise DataError(f"{path} has a header and no rows; expected a row for each image")
    columns = len(fields(rows[0], delimiter))
    names = first if header else []
    if names and len(names) == columns - 1 and _numbered(rows, delimiter):
        names = ["", *names]
    if names and len(names) != columns:
        raise DataError(
            f"{path} has {len(names)} names of columns and {columns} columns; expected as many"
        )
    return Table(names, rows, delimiter, columns, [*joined, *notes, *_odd_names(names)])


def fields(line: str, delimiter: str | None) -> list[str]:
    """A row's, without the blanks around them.

    Example:
        >>> fields('1, "Bern, old" ,x', ","), fields('1  2 "New York"', None)
        (['1', 'Bern, old', 'x'], ['1', '2', 'New York'])
    """
    if delimiter is None and '"' not in line:
        return line.split()
    return [field.strip() for field in next(_reader(line, delimiter))]


def column_of(table: Table, column: int) -> list[str]:
    """A column's fields, of rows that are all as long: from the nearer end, for the sake of time.

    Example:
        >>> column_of(Table([], ["a, 1, x", '"b, c",2,y'], ",", 3, []), 2)
        ['x', 'y']
    """
    found = []
    behind = table.columns - column
    for line in table.lines:
        if table.delimiter is None or '"' in line:
            found.append(fields(line, table.delimiter)[column])
        elif column < behind:
            found.append(line.split(table.delimiter, column + 1)[column].strip())
        else:
            found.append(line.rsplit(table.delimiter, behind)[-behind].strip())
    return found


def _reader(line: str, delimiter: str | None, *, strict: bool = False) -> Iterator[list[str]]:
    line = line.strip() if delimiter is None else line
    return csv.reader([line], delimiter=delimiter or " ", skipinitialspace=True, strict=strict)


def check_lengths(path: Path, table: Table) -> None:
    """Refuse rows of another number of fields than the first.

    Raises:
        DataError: one is longer or shorter.
    """
    for number, line in enumerate(table.lines, 1):
        if table.delimiter is None or '"' in line:
            count = len(fields(line, table.delimiter))
        else:
            count = line.count(table.delimiter) + 1
        if count != table.columns:
            raise DataError(
                f"{path}: row {number} has {count} column{'s' * (count != 1)} and row 1 "
                f"{table.columns}; expected as many in every row"
            )


def _lines(path: Path, data: bytes) -> list[str]:
    """Without empty ones and comments."""
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no text in {encoding.upper()}: byte {data[error.start]:#04x} at "
            f"{error.start:,}; save it as UTF-8"
        ) from error
    if "\0" in text:
        raise DataError(f"{path} is no text; expected a table of numbers")
    lines = re.split(r"\r\n?|\n", text)  # not where a label has another of Unicode's line ends
    tabs = bool(lines) and "\t" in lines[0]  # of which a row of empty fields is made
    lines = [line for line in lines if line.strip() or (tabs and "\t" in line)]
    if lines and re.fullmatch(r"sep=.", lines[0].strip()):  # Excel's word on the delimiter
        lines = lines[1:]
    plain = [line for line in lines if not _is_marked(line)]
    if not plain or len(plain) == len(lines):
        return plain
    # Rows may begin so, too, as with colours: #ff0000. Comments stand in front, or are no rows.
    delimiter = _delimiter(plain)
    columns = len(fields(plain[-1], delimiter))
    front = next(i for i, line in enumerate(lines) if not _is_marked(line))
    marked = [_is_marked(line) and len(fields(line, delimiter)) == columns for line in lines]
    if delimiter is None or not any(marked[front:]):
        return plain
    return [line for line, row in zip(lines, marked, strict=True) if row or not _is_marked(line)]


def _is_marked(line: str) -> bool:
    return line.lstrip().startswith("#")


def _delimiter(lines: list[str]) -> str | None:
    """That by which the first lines have as many columns, else the first that there is."""
    there = [each for each in "\t;,|" if each in " ".join(lines[:2])]
    for each in there if len(there) > 1 else []:
        rows = _joined(lines[:COMPARED], each, cut=True)
        if len({len(fields(line, each)) for line in rows}) == 1:
            return each
    return next(iter(there), None)


def _joined(lines: list[str], delimiter: str | None, *, cut: bool = False) -> list[str]:
    """Rows in a line each, where fields in quotes go on in the next lines.

    What does not close stays as it is, or is left out where more lines were `cut` off.
    """
    rows: list[str] = []
    start = 0
    while start < len(lines):
        end = start + 1
        row = lines[start]
        if _is_open(row, delimiter):
            # A line with an even number of quotes opens as many as it closes.
            last = next((i for i in range(end, len(lines)) if lines[i].count('"') % 2), None)
            if last is None and cut:
                break
            if last is not None and not _fault(" ".join(lines[start : last + 1]), delimiter):
                end = last + 1
                row = " ".join(lines[start:end])
        rows.append(row)
        start = end
    return rows


def _without_ends(lines: list[str], delimiter: str | None) -> list[str]:
    """Without a delimiter at the end of every row."""
    if delimiter is None:
        return lines
    lines = [line.rstrip(" ") for line in lines]
    ends = [line.endswith(delimiter) for line in lines]
    if not all(ends[1:]):
        return lines
    if not ends[0]:
        counts = [len(fields(line, delimiter)) for line in lines[:2]]
        if len(counts) < 2 or counts[0] != counts[1] - 1:  # what ends so lacks its last number
            return lines
    return [line.removesuffix(delimiter) for line in lines]


def _decimal_points(lines: list[str], delimiter: str | None) -> tuple[list[str], list[str]]:
    """Numbers with decimal commas with points, and a note of it."""
    if delimiter not in ("\t", ";") or not any("," in line for line in lines):
        return lines, []
    edge = f'[{delimiter}"]'
    number = re.compile(rf"((?:^|{edge}) *[-+]?\d*),(\d+(?:[eE][-+]?\d+)? *(?={edge}|$))")
    pointed = [number.sub(r"\1.\2", line) for line in lines]
    return pointed, ["commas read as decimal points"] if pointed != lines else []


def _without_commas(lines: list[str]) -> tuple[list[str], list[str]]:
    """Numbers in quotes without commas, and notes of it."""
    rows = [fields(line, ",") for line in lines]
    if len({len(row) for row in rows}) > 1:  # is said later
        return lines, []
    read, notes = without_commas(rows)
    if not notes:
        return lines, []
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(read)
    return text.getvalue().removesuffix("\n").split("\n"), notes  # at no other line ends


def _check_points(path: Path, lines: list[str], delimiter: str | None) -> None:
    """Beside decimal commas a point stands between thousands: 1.250 is more than 999."""
    rows = [fields(line, delimiter) for line in lines]
    for column, words in enumerate(zip(*rows, strict=False), 1):  # lengths are checked later
        pointed = [word for word in words if "." in word and is_number(word)]
        if pointed and all(re.fullmatch(r"[-+]?[1-9]\d{0,2}\.\d{3}", word) for word in pointed):
            raise DataError(
                f"{path} has decimal commas, and {pointed[0]!r} in column {column}; expected no "
                "points between thousands: take them out"
            )


def _check_quotes(path: Path, lines: list[str], delimiter: str | None) -> None:
    """A quote that nothing closes would take the delimiters behind it into its field."""
    for line in lines:
        if _is_open(line, delimiter):
            raise DataError(
                f"{path} has a quote that is not closed in its line {line[:40]!r}; expected as "
                "many quotes that close as open: take single ones out"
            )


def _is_open(line: str, delimiter: str | None) -> bool:
    return line.count('"') % 2 == 1 and "unexpected end" in _fault(line, delimiter)


def _fault(line: str, delimiter: str | None) -> str:
    """What is wrong with the quotes of a row; empty where nothing is."""
    try:
        next(_reader(line, delimiter, strict=True))
    except csv.Error as error:
        return str(error)
    return ""


def _is_row(first: list[str], others: list[str], delimiter: str | None) -> bool:
    """Whether the first line is no header.

    That has numbers too, but there they differ, where a row of pixels that lacks one repeats
    others; and its words do not come again in their columns. One of names that are numbers may lack
    that of a column in front that numbers the rows.
    """
    numbers = [word for word in first if is_number(word)]
    if all(is_number(word) or is_missing(word) for word in first):
        unnamed = not first[0] and len(numbers) == len(first) - 1 > 0
        return not (unnamed and _numbered(others, delimiter))
    if len(set(numbers)) < len(numbers):
        return True
    words = {i: word for i, word in enumerate(first) if word and not is_number(word)}
    rows = (fields(line, delimiter) for line in others)
    known = frozenset(words.values())
    return any(
        i < len(row) and row[i] == word
        for row in rows
        if not known.isdisjoint(row)  # in one go, where columns are many
        for i, word in words.items()
    )


def _numbered(rows: list[str], delimiter: str | None) -> bool:
    """Whether rows begin with names of their own, as R writes them without one for the column."""
    names = [fields(line, delimiter)[0] for line in rows]
    return len(set(names)) == len(names)


def _odd_names(names: list[str]) -> list[str]:
    """A note where names are numbers but do not count the columns: it may be a row."""
    numbers = [name for name in names if is_number(name)]
    if not numbers:
        return []
    if any(numbers == [str(start + i) for i in range(len(numbers))] for start in (0, 1)):
        return []
    return [f"the first line ({', '.join(names)[:60]}) taken for names of columns"]
