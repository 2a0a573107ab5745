"""Tables of numbers as text: .csv, .tsv, .txt, .amat and the like, plain or in gzip."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.axes import SMALLEST_SQUARE
from directmax.tool.data.own.coded import MISSING, is_number
from directmax.tool.data.own.columns import columns_of, in_parts, left_out
from directmax.tool.data.own.files import check_fits, content, encoding_of, reading
from directmax.tool.data.own.found import Found, Part

MOST_CLASSES = 1000
WORD = 64
"""Bytes of a field as a word, about."""
SEEN = 2000
"""Rows that are looked at: in them a word of the first row comes again, if that is no header."""
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
    """

    header: list[str]
    lines: list[str]
    delimiter: str | None
    columns: int


def read_table(path: Path, *, words: bool = False) -> Found:
    """A table, a row an image.

    A column named label, class, target or y has the labels, one named split the part, more labels
    and one named id or index are left out; all others are pixels, or of any kind: then all are
    given as words. Without names a first or last column of whole numbers beside a square number of
    others is taken for labels, and one of words beside others of numbers.

    Args:
        path: of the file.
        words: give all as words, also where all are numbers.

    Raises:
        DataError: damaged, empty, or rows of other lengths.
    """
    with reading(path, "a table"):
        table = _table(path, content(path))
        check_fits(path, len(table.lines) * table.columns)
        if table.columns == 1 and (bits := _digits(table.lines)) is not None:
            return Found({"train": Part(bits)})
        columns = columns_of(table.header or ["pixel"] * table.columns)
        if not columns.pixels:
            raise DataError(
                f"{path} has no columns of pixels, only {', '.join(table.header)}; expected some"
            )
        values = None if words else _numbers(path, table, columns.pixels)
        if values is None:
            values = _of_any_kind(path, table, columns.pixels)
        notes = left_out(table.header, columns.left)
        names = tuple(table.header[column] for column in columns.pixels if table.header)
        labels = None if columns.labels is None else _words(table, columns.labels)
        if not table.header and (taken := _unnamed_labels(values)) is not None:
            column, labels = taken
            values = np.delete(values, column, axis=1)
            notes.append(f"the {'first' if column == 0 else 'last'} column taken for labels")
        whole = Part(values, labels)
        if columns.split is None:
            return Found({"train": whole}, notes=notes, columns=names)
        return in_parts(path, whole, _words(table, columns.split), notes, names)


def _table(path: Path, data: bytes) -> Table:
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
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if lines and re.fullmatch(r"sep=.", lines[0].strip()):  # Excel's word on the delimiter
        lines = lines[1:]
    if not lines:
        raise DataError(f"{path} is empty; expected a row of numbers for each image")
    sample = " ".join(lines[:2])
    delimiter = next((each for each in "\t;,|" if each in sample), None)
    if delimiter and all(line.rstrip().endswith(delimiter) for line in lines[:2]):
        lines = [line.rstrip().removesuffix(delimiter) for line in lines]
    if delimiter in ("\t", ";") and "," in sample:  # decimal commas
        lines = [line.replace(",", ".") for line in lines]
    first = _fields(lines[0], delimiter)
    header = [] if _is_row(first, lines[1:SEEN], delimiter) else first
    if len(first) >= FEWEST_NUMBERED and first == [str(i) for i in range(len(first))]:
        header = first  # pandas writes them where columns have no names
    rows = lines[1:] if header else lines
    if not rows:
        raise DataError(f"{path} has a header and no rows; expected a row for each image")
    columns = len(_fields(rows[0], delimiter))
    if header and len(header) == columns - 1:  # of R: row names without a header
        header = ["", *header]
    if header and len(header) != columns:
        raise DataError(
            f"{path} has {len(header)} names of columns and {columns} columns; expected as many"
        )
    return Table(header, rows, delimiter, columns)


def _is_row(first: list[str], others: list[str], delimiter: str | None) -> bool:
    """Whether the first line is no header.

    That has numbers too, but there they differ, where a row of pixels that lacks one repeats
    others; and its words do not come again in their columns.
    """
    if all(is_number(word) or (word and word.lower() in MISSING) for word in first):
        return True
    numbers = [word for word in first if is_number(word)]
    if len(set(numbers)) < len(numbers):
        return True
    words = {i: word for i, word in enumerate(first) if word and not is_number(word)}
    rows = (_fields(line, delimiter) for line in others)
    return any(i < len(row) and row[i] == word for row in rows for i, word in words.items())


def _fields(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.replace('"', " ").split()
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]


def _digits(lines: list[str]) -> NDArray[np.uint8] | None:
    """Rows of zeros and ones without anything between; None where they are something else."""
    lines = [line.strip() for line in lines]
    width = len(lines[0])
    if width < 2 or any(len(line) != width for line in lines):
        return None
    bits = np.frombuffer("".join(lines).encode("utf-8", "replace"), np.uint8) - ord("0")
    return bits.reshape(len(lines), width) if bits.max() <= 1 else None


def _numbers(path: Path, table: Table, columns: list[int]) -> NDArray[np.float32] | None:
    """None where a field is no number."""
    every = len(columns) == table.columns
    try:
        return np.loadtxt(
            table.lines,
            dtype=np.float32,
            delimiter=table.delimiter,
            usecols=None if every else columns,
            ndmin=2,
            quotechar='"',
            comments=None,
        )
    except ValueError as error:
        text = re.sub(r"; use `usecols`.*", "", " ".join(str(error).split()))
        if "could not convert string" in text:
            return None
        raise DataError(f"{path}: {text}; expected as many numbers in every row") from error


def _of_any_kind(path: Path, table: Table, columns: list[int]) -> NDArray[Any]:
    """All fields as words, `(N, columns)`."""
    check_fits(path, len(table.lines) * len(columns), WORD)
    rows = [_fields(line, table.delimiter) for line in table.lines]
    for number, row in enumerate(rows, 1):
        if len(row) != table.columns:
            raise DataError(
                f"{path}: row {number} has {len(row)} column{'s' * (len(row) != 1)} and row 1 "
                f"{table.columns}; expected as many in every row"
            )
    found = np.empty((len(rows), len(columns)), dtype=object)
    for number, row in enumerate(rows):
        found[number] = [row[column] for column in columns]
    return found


def _words(table: Table, column: int) -> NDArray[Any]:
    """A column as whole numbers, else as words."""
    rows = (
        csv.reader(table.lines, delimiter=table.delimiter)
        if table.delimiter
        else (_fields(line, None) for line in table.lines)
    )
    words = [row[column].strip() for row in rows]
    there = [word for word in words if word.lower() not in MISSING]
    if there and all(map(is_number, there)):
        return np.array([float(word) if is_number(word) else np.nan for word in words])
    return np.array(words)


def _unnamed_labels(values: NDArray[Any]) -> tuple[int, NDArray[Any]] | None:
    """The first or last column, where the others are as many as the pixels of a square.

    Or the one that holds words, where all others hold numbers.
    """
    count = values.shape[1] - 1
    if values.dtype == object:
        return _unnamed_words(values)
    if count < SMALLEST_SQUARE or round(count**0.5) ** 2 != count:
        return None
    found = []
    for column in (0, count):
        labels = values[:, column]
        if np.isfinite(labels).all() and (labels == np.round(labels)).all():
            kinds, counts = np.unique(labels, return_counts=True)
            every = len(kinds) == kinds[-1] - kinds[0] + 1  # 0, 1, …: none is left out
            if every and 1 < len(kinds) <= min(MOST_CLASSES, len(labels) // 2):
                found.append((counts.max(), column))
    if not found:
        return None
    _, column = min(found)  # classes are about as frequent, a corner is mostly of one shade
    return column, values[:, column].astype(np.int64)


def _unnamed_words(values: NDArray[Any]) -> tuple[int, NDArray[Any]] | None:
    last = values.shape[1] - 1
    words = [i for i in range(last + 1) if not any(map(is_number, values[:SEEN, i].tolist()))]
    if not last or len(words) != 1 or words[0] not in (0, last):
        return None
    labels = values[:, words[0]].astype(str)
    few = 1 < len(np.unique(labels)) <= min(MOST_CLASSES, len(labels) // 2)
    return (words[0], labels) if few else None
