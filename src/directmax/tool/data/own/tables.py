"""Tables of numbers as text: .csv, .tsv, .txt, .amat and the like, plain or in gzip."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.axes import SMALLEST_SQUARE
from directmax.tool.data.own.coded import WORD, is_missing, is_number
from directmax.tool.data.own.columns import check_names, columns_of, in_parts, left_out
from directmax.tool.data.own.files import check_fits, content, reading
from directmax.tool.data.own.found import Found, Layout, Part
from directmax.tool.data.own.written import (
    SEEN,
    Table,
    check_lengths,
    column_of,
    fields,
    written_table,
)

MOST_CLASSES = 1000


def read_table(path: Path, like: Layout | None = None, *, words: bool = False) -> Found:
    """A table, a row an image.

    A column named label, class, target or y has the labels, one named split the part, more labels
    and one named id or index are left out; all others are pixels, or of any kind: then all are
    given as words. Without names a first or last column of whole numbers beside a square number of
    others is taken for labels, and one of words beside others of numbers.

    Args:
        path: of the file.
        like: how another is written, of whose kind this one is.
        words: give all as words, also where all are numbers.

    Raises:
        DataError: damaged, empty, or rows of other lengths.
    """
    return _with_classes(_read(path, like, words))


def read_tables(
    paths: Mapping[str, Path], like: Layout | None = None, *, words: bool = False
) -> Found:
    """A table for each part.

    Args:
        paths: by part, "train" among them.
        like: as of `read_table`.
        words: as of `read_table`.

    Raises:
        DataError: as of `read_table`, or other columns in one than in that of training rows.
    """
    whole = _read(paths["train"], like, words)
    found = {"train": whole}
    for part, path in paths.items():
        if part != "train":
            found[part] = _read(path, like or whole.layout, words)
            check_names(path, found[part].columns, found[part].places, whole.columns)
    parts = {part: each.parts["train"] for part, each in found.items()}
    if len({each.images.dtype == object for each in parts.values()}) > 1:
        return read_tables(paths, like, words=True)  # a column of words has numbers alone in one
    notes = list(dict.fromkeys(note for each in found.values() for note in each.notes))
    return _with_classes(replace(whole, parts=parts, notes=notes))


def _read(path: Path, like: Layout | None, words: bool) -> Found:
    """A table whose labels are words."""
    with reading(path, "a table"):
        table = written_table(path, content(path), like)
        check_fits(path, len(table.lines) * table.columns, 8)
        if table.columns == 1 and (bits := _digits(table.lines)) is not None:
            return Found({"train": Part(bits)})
        columns = columns_of(table.header or ["pixel"] * table.columns)
        if not columns.pixels:
            raise DataError(
                f"{path} has no columns of pixels, only {', '.join(table.header)}; expected some"
            )
        if words or len(columns.pixels) < table.columns:
            check_lengths(path, table)
        values = None if words else _numbers(path, table, columns.pixels)
        if values is None:
            values = _of_any_kind(path, table, columns.pixels)
        found = Found(
            {"train": Part(values)},
            notes=[*table.notes, *left_out(table.header, columns.left)],
            columns=tuple(table.header[column] for column in columns.pixels if table.header),
            places=tuple(columns.pixels),
            layout=Layout(bool(table.header), table.columns),
        )
        if columns.labels is not None:
            found.parts["train"].labels = _words(path, table, columns.labels)
            found.labelled = table.header[columns.labels]
        if not table.header:
            found = _with_unnamed_labels(found, like, words)
        return (
            found
            if columns.split is None
            else in_parts(path, found, _words(path, table, columns.split))
        )


def _digits(lines: list[str]) -> NDArray[np.uint8] | None:
    """Rows of zeros and ones without anything between; None where they are something else."""
    lines = [line.strip() for line in lines]
    width = len(lines[0])
    if width < 2 or any(len(line) != width for line in lines):
        return None
    bits = np.frombuffer("".join(lines).encode("utf-8", "replace"), np.uint8) - ord("0")
    return bits.reshape(len(lines), width) if bits.max() <= 1 else None


def _numbers(path: Path, table: Table, columns: list[int]) -> NDArray[Any] | None:
    """As float32 where it has them all; None where a field is no finite number."""
    every = len(columns) == table.columns
    try:
        values = np.loadtxt(
            table.lines,
            dtype=np.float64,
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
    if not np.isfinite(values).all():
        return None  # as other words for what is not known
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return narrow if np.array_equal(narrow, values) else values


def _of_any_kind(path: Path, table: Table, columns: list[int]) -> NDArray[Any]:
    """All fields as words, `(N, columns)`."""
    check_fits(path, len(table.lines) * len(columns), WORD)
    check_lengths(path, table)
    found = np.empty((len(table.lines), len(columns)), dtype=object)
    for number, line in enumerate(table.lines):
        row = fields(line, table.delimiter)
        found[number] = [row[column] for column in columns]
    return found


def _words(path: Path, table: Table, column: int) -> NDArray[Any]:
    words = column_of(table, column)
    check_fits(path, len(words), 4 * max(map(len, words)))  # all as wide as the longest
    return np.array(words)


def _with_classes(found: Found) -> Found:
    """Labels as whole numbers where those of all parts are, else as words."""
    parts = [each for each in found.parts.values() if each.labels is not None]
    if any(each.labels.dtype.kind != "U" for each in parts if each.labels is not None):
        return found
    kinds = {word for each in parts if each.labels is not None for word in each.labels.tolist()}
    known = [word for word in kinds if not is_missing(word)]
    if known and all(map(is_number, known)):
        numbers = {word: float(word) if is_number(word) else np.nan for word in kinds}
        for each in parts:
            if each.labels is not None:
                each.labels = np.array([numbers[word] for word in each.labels.tolist()])
    return found


def _with_unnamed_labels(found: Found, like: Layout | None, words: bool) -> Found:
    """The first or last column as labels, where it looks so or another table has them there."""
    values = found.parts["train"].images
    width = values.shape[1]
    if like is not None and width == like.columns:
        column = like.labels
    elif like is not None and like.labels is not None and width == like.columns - 1:
        column = None
    else:
        column = _unnamed_words(values) if values.dtype == object else _unnamed_numbers(values)
    if column is None:
        return found
    labels = values[:, column]
    rest = np.delete(values, column, axis=1)
    if not words and rest.dtype == object and all(map(is_number, rest.ravel().tolist())):
        rest = rest.astype(np.float64)
    note = f"the {'first' if column == 0 else 'last'} column taken for labels"
    return replace(
        found,
        parts={"train": Part(rest, labels.astype(str) if labels.dtype == object else labels)},
        notes=[*found.notes, note],
        places=tuple(np.delete(np.arange(width), column).tolist()),
        layout=Layout(False, width, column),
    )


def _unnamed_numbers(values: NDArray[Any]) -> int | None:
    """The first or last column, where the others are as many as the pixels of a square."""
    count = values.shape[1] - 1
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
    # Classes are about as frequent, a corner is mostly of one shade.
    return min(found)[1] if found else None


def _unnamed_words(values: NDArray[Any]) -> int | None:
    """The first or last column, where it alone has words."""
    last = values.shape[1] - 1
    words = [i for i in range(last + 1) if not any(map(is_number, values[:SEEN, i].tolist()))]
    if not last or len(words) != 1 or words[0] not in (0, last):
        return None
    labels = values[:, words[0]].astype(str)
    few = 1 < len(np.unique(labels)) <= min(MOST_CLASSES, len(labels) // 2)
    return words[0] if few else None
