"""The lists of CelebA: attributes and parts, as text or as the tables that Kaggle makes of it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError, reason
from directmax.tool.data.own.files import content, encoding_of
from directmax.tool.data.own.words import SPLITS as WORDS
from directmax.tool.files import RunError

PARTS = {**{"0": 0, "1": 1, "2": 2}, **{"train": 0, "validation": 1, "test": 2}}
"""How lists write training, validation and test."""
ON, ZERO, MINUS, MISSING, OTHER = range(5)
_WORDS = {**dict.fromkeys(("1", "1.0", "true", "yes"), ON), "-1": MINUS, "-1.0": MINUS}
_WORDS |= {
    **dict.fromkeys(("0", "0.0", "false", "no"), ZERO),
    **dict.fromkeys(("", "nan", "na", "null", "?"), MISSING),
}
TABLES = (".csv", ".tsv")
"""What tables are called, as against lists in CelebA's form."""
UNKNOWN = -1
"""Where it is not known whether an image has an attribute."""
ADDRESS = "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
REPLACE = f"correct or replace it (CelebA's own is at {ADDRESS})"
CORRECT = (
    "correct it, with an empty field for what is not known, or take one of its words or ranges"
)


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """The content of a list of attributes.

    Attributes:
        names: the attributes' names.
        files: the images' file names.
        words: `(N, len(names))`, what the file says of each: see `column`.
        lines: `(N,)`, numbers of the rows' lines.
        path: the file.
        whole: whether nothing may be missing, as in the list of CelebA's website.
    """

    names: tuple[str, ...]
    files: tuple[str, ...]
    words: NDArray[np.uint8]
    lines: NDArray[np.int64]
    path: Path
    whole: bool

    def column(self, name: str) -> NDArray[np.int8]:
        """An attribute of every image: 1, 0, or −1 where it is not known.

        A column of 1 and −1 has −1 for "no"; one that has zeros, for "not known".

        Raises:
            DataError: another value.
        """
        index = self.names.index(name)
        words = self.words[:, index]
        zeros = bool((words == ZERO).any())
        wrong = words == OTHER
        if self.whole:
            signs = (self.words == MINUS).any() and not (self.words[0] == ZERO).any()
            off = MINUS if signs else ZERO
            wrong = (words != ON) & (words != off)
        if wrong.any():
            row = int(wrong.argmax())
            found = _field(self.path, int(self.lines[row]), index)
            usual = "1 or -1" if (words == MINUS).any() else "1 or 0"
            todo = REPLACE if self.whole else f"{CORRECT} (--attributes {name}={found[:40]})"
            raise DataError(
                f"{self.path}, line {self.lines[row]}: {name} of {self.files[row]} is "
                f"{_short(found)}, expected {usual}; {todo}"
            )
        meanings = np.array([1, 0, UNKNOWN if zeros else 0, UNKNOWN, UNKNOWN], dtype=np.int8)
        found_values: NDArray[np.int8] = meanings[words]
        return found_values

    def fields(self, name: str) -> list[str]:
        """A column of every image as it is written."""
        index, rows = 1 + self.names.index(name), set(self.lines.tolist())
        fields = {number: fields[index] for number, fields in _lines(self.path) if number in rows}
        return [fields[line] for line in self.lines.tolist()]


def read_attributes(path: Path) -> AttributeTable:
    """Read `list_attr_celeba.txt`, or a table with a header: name of the file, attributes.

    Raises:
        DataError: unreadable, another number of rows than its first line says, a row with another
            number of values than there are names, a file twice.
    """
    lines = _lines(path)
    number, fields = next(lines, (1, [""]))
    count = None
    if len(fields) > 1 and not _is_number(fields[1]):  # a header, no count before it
        names = tuple(fields[1:])
    else:
        if not _is_number(fields[0]) or len(fields) > 1:
            raise DataError(
                f"{path}, line {number}: {_short(' '.join(fields))}, expected the number of images "
                f"or a header with the names of the attributes; {REPLACE}"
            )
        count = int(fields[0])
        names = tuple(next(lines, (2, []))[1])
    if len(set(names)) != len(names) or not names:
        raise DataError(f"{path}, line 2: expected the names of the attributes; {REPLACE}")
    files, words, numbers = _rows(path, lines, names)
    if count is not None and len(files) != count:
        raise DataError(
            f"{path} has {len(files)} rows, expected {count} as its first line says; {REPLACE}"
        )
    if len(set(files)) != len(files):
        duplicate = Counter(files).most_common(1)[0][0]
        raise DataError(f"{path} has two rows of {duplicate}, expected one; {REPLACE}")
    table = AttributeTable(names, tuple(files), words, numbers, path, whole=count is not None)
    if table.whole:  # nothing else is in such a list
        for name in names:
            table.column(name)
    return table


def _rows(
    path: Path, lines: Iterator[tuple[int, list[str]]], names: tuple[str, ...]
) -> tuple[list[str], NDArray[np.uint8], NDArray[np.int64]]:
    files: list[str] = []
    words = bytearray()  # a row after another; the count may be wrong
    numbers: list[int] = []
    for number, (file, *fields) in lines:
        if len(fields) != len(names):
            raise DataError(
                f"{path}, line {number}: {file} has {len(fields)} values, expected "
                f"{len(names)}, one for each attribute; {REPLACE}"
            )
        words.extend([_WORDS.get(word.lower(), OTHER) for word in fields])
        files.append(file)
        numbers.append(number)
    table = np.frombuffer(words, dtype=np.uint8).reshape(len(files), len(names))
    return files, table, np.array(numbers, dtype=np.int64)


def _field(path: Path, line: int, index: int) -> str:
    """What a row has for an attribute."""
    return next(fields for number, fields in _lines(path) if number == line)[1 + index]


def read_partition(path: Path, attributes: Path, files: Sequence[str]) -> NDArray[np.int8]:
    """Read `list_eval_partition.txt`, or a table of it: 0, 1 or 2 for every file.

    Args:
        path: the file.
        attributes: the file that `files` are from, for messages.
        files: names of the images, in the same order.

    Raises:
        DataError: unreadable, other images, or a part that is not 0, 1 or 2.
    """
    parts: list[int] = []
    for number, (name, *fields) in _partition_lines(path):
        part = WORDS.get(fields[0].lower(), fields[0]) if len(fields) == 1 else ""
        if part not in PARTS:
            raise DataError(
                f"{path}, line {number}: the part of {name} is {_short(' '.join(fields))}, "
                f"expected 0 (training), 1 (validation) or 2 (test); {REPLACE}"
            )
        if len(parts) < len(files) and name != files[len(parts)]:
            raise DataError(
                f"{path}, line {number}: {name}, but {attributes} has {files[len(parts)]} in this "
                f"place, expected the same images in both; {REPLACE}"
            )
        parts.append(PARTS[part])
    if len(parts) != len(files):
        raise DataError(
            f"{path} has {len(parts)} rows and {attributes} has {len(files)}, expected as many in "
            f"both; {REPLACE}"
        )
    return np.array(parts, dtype=np.int8)


def count_of_training(path: Path) -> int:
    """Number of training images in a list of parts."""
    return sum(fields[1:] in (["0"], ["train"]) for _, fields in _partition_lines(path))


def _partition_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Without the header that a table has."""
    for number, fields in _lines(path):
        if number > 1 or not _is_table(path) or fields[-1].lower() in (*PARTS, *WORDS):
            yield number, fields


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of the lines that are not empty, with their numbers from 1."""
    try:
        data = content(path)
        text = data.decode(encoding_of(data))
    except (OSError, UnicodeDecodeError, RunError, EOFError) as error:
        raise DataError(f"cannot read {path}: {reason(error)}; {REPLACE}") from error
    lines = text.splitlines()
    first = 0
    rows: Iterator[list[str]] = (line.split() for line in lines)
    try:
        if _is_table(path):
            head = next(filter(str.strip, lines), "")
            between = next((mark for mark in ",;\t" if mark in head), ",")
            style: dict[str, Any] = {"delimiter": between, "skipinitialspace": True}
            rows = csv.reader(lines, **style)
            if next(csv.reader([head], **style), [""])[0].strip() in ("", "Unnamed: 0"):
                first = int(_is_numbered([row for row in csv.reader(lines, **style) if any(row)]))
        for number, words in enumerate(rows, 1):
            if any(words):
                yield number, [word.strip() for word in words[first:]]
    except csv.Error as error:
        raise DataError(f"cannot read {path}: {reason(error)}; {REPLACE}") from error


def _is_numbered(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first column is the index that pandas writes: 0, 1, … before the images' names.

    Not where what follows it may be attributes: then the images are called so.
    """
    numbers = all(row[0].strip() == str(index) for index, row in enumerate(rows[1:]))
    names = (row[1].strip().lower() for row in rows[1:] if len(row) > 2)
    return numbers and any(name not in _WORDS for name in names)


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in TABLES


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def _short(text: str, limit: int = 40) -> str:
    """Return what a file holds, quoted, and cut where it is long."""
    return repr(text if len(text) <= limit else f"{text[:limit]}…")
