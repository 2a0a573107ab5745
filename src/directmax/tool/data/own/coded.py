"""Tables whose columns are of several kinds, as rows of 0/1: words, and numbers of any range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.axes import pictures
from directmax.tool.data.own.columns import left_out
from directmax.tool.data.own.files import check_fits
from directmax.tool.data.own.found import Found
from directmax.tool.data.own.numbers import has_range

LEVELS = 5
"""Into so many equally frequent ones a column of numbers is divided: fifths."""
WORD = 64
"""Bytes of a field as a word, about."""
MOST_WORDS = 64
"""Different words of a column; one with more, or with hardly ever the same, has names or text."""
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "inf", "infinity"))
"""Words in place of a number, in small letters, without signs."""


def is_number(word: str) -> bool:
    """Whether a field holds a finite number, and no word.

    Example:
        >>> is_number("1e3"), is_number("nan"), is_number(""), is_number("1_2")
        (True, False, False, False)
    """
    try:
        return math.isfinite(float(word)) and "_" not in word
    except ValueError:
        return False


def come_again(kinds: int, rows: int) -> bool:
    """Whether so many different words of a column are kinds of rows, not names or text.

    Example:
        >>> come_again(3, 100), come_again(1, 100), come_again(80, 100), come_again(2, 3)
        (True, False, False, True)
    """
    return 1 < kinds <= max(2, min(MOST_WORDS, rows // 2))


def is_missing(word: str) -> bool:
    """Whether a field says that a number is not known, or not finite.

    Example:
        >>> is_missing(""), is_missing("-"), is_missing("NA"), is_missing("+inf"), is_missing("x")
        (True, True, True, True, False)
    """
    return word.lower().lstrip("+-") in MISSING


@dataclass(frozen=True)
class Code:
    """How a column becomes numbers of 0/1; by default it is left out.

    Attributes:
        words: a number each, of two words the second alone.
        cuts: of a column of numbers, each 1 from the cut on.
        unknown: whether one more says where the number is not known.
    """

    words: tuple[str, ...] = ()
    cuts: tuple[float, ...] = ()
    unknown: bool = False

    @property
    def shown_words(self) -> tuple[str, ...]:
        """Those that have a number."""
        return self.words[len(self.words) == 2 :]

    @property
    def kept(self) -> bool:
        """Whether it is any number."""
        return self.count > 0

    @property
    def count(self) -> int:
        """How many numbers."""
        words = len(self.words) if len(self.words) != 2 else 1
        return words + len(self.cuts) + self.unknown


@dataclass(eq=False)
class Coded:
    """Rows of 0/1.

    Attributes:
        rows: by part, `(N, d)`, uint8.
        codes: of the columns.
        names: of the columns, or their numbers.
    """

    rows: dict[str, NDArray[np.uint8]]
    codes: list[Code]
    names: list[str]

    @property
    def text(self) -> str:
        """What they are of, for people."""
        counts = {
            "words": sum(bool(code.words) for code in self.codes),
            "two numbers": sum(len(code.cuts) == 1 for code in self.codes),
            "numbers cut at their fifths": sum(len(code.cuts) > 1 for code in self.codes),
        }
        kinds = [f"{count:,} of {kind}" for kind, count in counts.items() if count]
        gaps = sum(code.unknown for code in self.codes)
        more = f" ({gaps:,} with gaps)" if gaps else ""
        return f"0/1 for columns: {', '.join(kinds)}{more}"

    @property
    def number_names(self) -> tuple[str, ...]:
        """What each number says."""
        found: list[str] = []
        for name, code in zip(self.names, self.codes, strict=True):
            name = f"column {name}" if name.isdecimal() else name
            found += [f"{name} = {word or 'nothing'}" for word in code.shown_words]
            found += [f"{name} ≥ {cut:g}" for cut in code.cuts]
            found += [f"{name} unknown"] * code.unknown
        return tuple(found)

    @property
    def notes(self) -> list[str]:
        """Columns that are left out."""
        left = [i for i, code in enumerate(self.codes) if not code.kept]
        return left_out(self.names, left)


def as_bits(path: Path, found: Found, codes: Sequence[Code] | None = None) -> Coded | None:
    """Rows of 0/1 for a table; None where its numbers have a usual range, and for pictures.

    Args:
        path: where they are from, for messages.
        found: the parts.
        codes: of other rows that these are to be read like.

    Raises:
        DataError: as of `coded`.
    """
    parts = {part: each.images for part, each in found.parts.items()}
    if any(array.ndim != 2 or 0 in array.shape for array in parts.values()):
        return None
    width = parts["train"].shape[1]
    for part, array in parts.items():
        if array.shape[1] != width:
            raise DataError(
                f"{path} has {array.shape[1]} columns of {part} rows, and {width} of training "
                "rows; expected as many"
            )
    kinds = {array.dtype.kind for array in parts.values()}
    if kinds <= set("biuf"):
        rows = pictures(path, parts["train"]).shape[2] == 1
        if codes is None and has_range(path, list(parts.values()), rows=rows):
            return None
    elif kinds != {"O"}:
        return None
    return coded(path, found, codes)


def coded(path: Path, found: Found, codes: Sequence[Code] | None = None) -> Coded:
    """Rows of columns of any kind as rows of 0/1.

    A column of words has a number for each word, one where there are two. A column of numbers is
    divided at the fifths of the training rows, or between its values where these are at most five:
    there is one for each cut, 1 from it on, so that rows that are near differ in few, and one that
    says where the number is not known. Columns of one value are left out, and those of more than 64
    words or hardly ever the same twice.

    Args:
        path: where they are from, for messages.
        found: parts of images `(N, columns)`, finite numbers, or words as objects.
        codes: of other rows that these are to be read like.

    Raises:
        DataError: a word in a column of numbers, a number that is not known in a table of
            pictures, no column that is left, or what other rows lack.

    Example:
        >>> from directmax.tool.data.own.found import Part
        >>> table = np.array([["red", "1.5"], ["blue", "20"], ["red", "900"]], dtype=object)
        >>> coded(Path("a.csv"), Found({"train": Part(table)})).rows["train"].tolist()
        [[1, 0, 0], [0, 1, 0], [1, 1, 1]]
    """
    where = _Where(path, found)
    lengths = [len(each.images) for each in found.parts.values()]
    training = np.repeat([part == "train" for part in found.parts], lengths)
    rows = np.concatenate([each.images for each in found.parts.values()])
    columns: list[NDArray[Any] | _Words] = []
    for number, column in enumerate(rows.T):
        code = None if codes is None else codes[number]
        if code is not None and not code.kept:
            column = np.zeros(len(rows))  # whatever it holds
        columns.append(_column(where, column, number, words=code is not None and bool(code.words)))
    if codes is None:
        _check_known(where, columns)
        codes = [_code(each, training) for each in columns]
    count = sum(code.count for code in codes)
    if not count:
        raise DataError(
            f"{path} has no column of several numbers, or of 2 to {MOST_WORDS} words; expected some"
        )
    check_fits(path, len(rows) * count, 1)
    bits = np.empty((len(rows), count), np.uint8)
    first = 0
    for number, (code, each) in enumerate(zip(codes, columns, strict=True)):
        if code.kept:
            _check_like(where, code, each, number)
            for place, column in enumerate(_bits(code, each), first):
                bits[:, place] = column
            first += code.count
    split = np.split(bits, np.cumsum(lengths)[:-1])
    names = [where.name(number) for number in range(len(codes))]
    return Coded(dict(zip(found.parts, split, strict=True)), list(codes), names)


def check_numbers(path: Path, found: Found) -> None:
    """Refuse fields that hold no number, in a table that is to have no others.

    Raises:
        DataError: one does, or is empty.
    """
    before = 0
    for part in found.parts.values():
        if part.images.dtype == object:
            for row, column in np.ndindex(part.images.shape):
                if not is_number(word := str(part.images[row, column])):
                    raise DataError(
                        f"{_Where(path, found)(before + row, column)} holds {word[:40]!r}; "
                        "expected a number, as in the training rows"
                    )
        before += len(part.images)


@dataclass(eq=False)
class _Words:
    """A column of words: those that there are, and the number of each row's."""

    kinds: list[str]
    numbers: NDArray[np.int64]


def _column(
    where: _Where, column: NDArray[Any], number: int, *, words: bool = False
) -> NDArray[np.float64] | _Words:
    """Numbers, NaN where they are not known, or words.

    A word that comes once among numbers is a fault, as are words among many numbers.
    """
    if column.dtype != object and not words:
        finite = np.isfinite(column)
        return column if finite.all() else np.where(finite, column, np.nan)
    if column.dtype != object:  # as one would write them
        column = np.array([str(each).removesuffix(".0") for each in column.tolist()], dtype=object)
    places: dict[str, int] = {}
    rows = np.array([places.setdefault(each, len(places)) for each in column.tolist()])
    kinds = list(places)
    if words:
        return _Words(kinds, rows)
    numbers = np.array([float(kind) if is_number(kind) else np.nan for kind in kinds])
    others = [i for i, kind in enumerate(kinds) if np.isnan(numbers[i]) and not is_missing(kind)]
    if not others:
        return numbers[rows]
    times = np.bincount(rows)
    if not np.isnan(numbers).all() and (len(kinds) > MOST_WORDS or times[others].min() == 1):
        rare = min(others, key=lambda i: times[i])
        row = int(np.flatnonzero(rows == rare)[0])
        raise DataError(
            f"{where(row, number)} holds {kinds[rare][:40]!r}; expected a number there, or words "
            "in the whole column"
        )
    return _Words(kinds, rows)


@dataclass(eq=False)
class _Where:
    """Of fields, for people.

    Attributes:
        path: of the file or folder.
        found: what it holds.
    """

    path: Path
    found: Found

    def name(self, column: int) -> str:
        """Of a column, or its number in the file."""
        names, places = self.found.columns, self.found.places
        name = names[column].strip() if names else ""
        return name or str((places[column] if places else column) + 1)

    def __call__(self, row: int, column: int) -> str:
        """A field, from 0, by the row of its file, or of its part."""
        parts = iter(self.found.parts.items())
        part, each = next(parts)
        while row >= len(each.images):
            row -= len(each.images)
            part, each = next(parts)
        of = f"{part} " if len(self.found.parts) > 1 and each.rows is None else ""
        row = row if each.rows is None else int(each.rows[row])
        places = self.found.places
        number = str((places[column] if places else column) + 1)
        name = self.name(column)
        shown = "" if name == number else f" ({name[:40]})"
        return f"{self.path}: {of}row {row + 1}, column {number}{shown}"


def _check_known(where: _Where, columns: Sequence[NDArray[Any] | _Words]) -> None:
    """A number that is not known is a fault in a table of pictures."""
    if any(isinstance(each, _Words) for each in columns):
        return
    numbers = np.stack([np.asarray(each) for each in columns], 1)
    unknown = np.argwhere(np.isnan(numbers))
    if len(unknown) and pictures(where.path, numbers).shape[2] > 1:
        place = where(*unknown[0].tolist())
        raise DataError(f"{place} holds no number; expected one in every row")


def _check_like(where: _Where, code: Code, column: NDArray[Any] | _Words, number: int) -> None:
    """What the rows of a code did not have cannot be said by it."""
    if isinstance(column, _Words) and not code.words:
        unknown = [not is_number(kind) and not is_missing(kind) for kind in column.kinds]
        strange, what = int(np.flatnonzero(np.array(unknown)[column.numbers])[0]), "a number"
    elif isinstance(column, _Words):
        unknown = [kind not in code.words for kind in column.kinds]
        if not any(unknown):
            return
        strange = int(np.flatnonzero(np.array(unknown)[column.numbers])[0])
        what = f"one of {', '.join(map(repr, code.words[:12]))}"
    else:
        if code.unknown or not np.isnan(column).any():
            return
        strange, what = int(np.flatnonzero(np.isnan(column))[0]), "a number"
    raise DataError(
        f"{where(strange, number)} holds what the training rows have not; expected {what} there"
    )


def _code(column: NDArray[Any] | _Words, training: NDArray[np.bool_]) -> Code:
    if isinstance(column, _Words):
        few = come_again(len(column.kinds), len(column.numbers))
        return Code(words=tuple(sorted(column.kinds))) if few else Code()
    unknown = np.isnan(column)
    known = column[training & ~unknown]
    kinds = np.unique(known)
    if len(kinds) > LEVELS:
        cuts = np.quantile(known, np.arange(1, LEVELS) / LEVELS, method="higher")
        # Where most are the least number, such as 0, the others stay apart from it.
        kinds = np.unique([kinds[0], *np.maximum(cuts, kinds[1])])
    # As one would write them: of float32 0.2, not 0.20000000298, which 0.2 of float64 is below.
    cuts = tuple(float(str(kind)) for kind in kinds[1:])
    return Code(cuts=cuts, unknown=bool(cuts and unknown.any()))


def _bits(code: Code, column: NDArray[Any] | _Words) -> list[NDArray[np.bool_]]:
    if isinstance(column, _Words):
        places = {kind: place for place, kind in enumerate(column.kinds)}
        return [column.numbers == places.get(word, -1) for word in code.shown_words]
    with np.errstate(over="ignore"):  # a cut that the column's type has not is infinite
        found = [column >= cut for cut in code.cuts]  # False where it is not known
    return [*found, np.isnan(column)] if code.unknown else found
