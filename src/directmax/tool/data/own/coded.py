"""Tables whose columns are of several kinds, as rows of 0/1: words, and numbers of any range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.axes import pictures
from directmax.tool.data.own.columns import left_out
from directmax.tool.data.own.found import Found
from directmax.tool.data.own.numbers import has_range

LEVELS = 5
"""Into so many equally frequent ones a column of numbers is divided: fifths."""
MOST_WORDS = 64
"""Different words of a column; one with more, or with hardly ever the same, has names or text."""
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-", "inf", "-inf", "infinity"))
"""Words in place of a number, in small letters."""


def is_number(word: str) -> bool:
    """Whether a field holds a finite number, and no word.

    Example:
        >>> is_number("1e3"), is_number("nan"), is_number("")
        (True, False, False)
    """
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


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
        return bool(self.words or self.cuts)


@dataclass(eq=False)
class Coded:
    """Rows of 0/1.

    Attributes:
        rows: by part, `(N, d)`, uint8.
        codes: of the columns.
        names: of the columns; none where they have none.
    """

    rows: dict[str, NDArray[np.uint8]]
    codes: list[Code]
    names: Sequence[str]

    @property
    def text(self) -> str:
        """What they are of, for people."""
        words = sum(bool(code.words) for code in self.codes)
        numbers = sum(bool(code.cuts) for code in self.codes)
        kinds = [f"{words:,} of words"] * bool(words)
        kinds += [f"{numbers:,} of numbers cut at their fifths"] * bool(numbers)
        return f"0/1 for columns: {' and '.join(kinds)}"

    @property
    def number_names(self) -> tuple[str, ...]:
        """What each number says."""
        found: list[str] = []
        for number, code in enumerate(self.codes, 1):
            name = self.names[number - 1].strip() if self.names else ""
            name = name or f"column {number}"
            found += [f"{name} = {word or 'nothing'}" for word in code.shown_words]
            found += [f"{name} ≥ {cut:g}" for cut in code.cuts]
            found += [f"{name} unknown"] * code.unknown
        return tuple(found)

    @property
    def notes(self) -> list[str]:
        """Columns that are left out."""
        left = [i for i, code in enumerate(self.codes) if not code.kept]
        return left_out(self.names or [""] * len(self.codes), left)


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
        if has_range(path, list(parts.values()), rows=rows) and codes is None:
            return None
    elif kinds != {"O"}:
        return None
    return coded(path, parts, found.columns, codes)


def coded(
    path: Path,
    parts: Mapping[str, NDArray[Any]],
    names: Sequence[str],
    codes: Sequence[Code] | None = None,
) -> Coded:
    """Rows of columns of any kind as rows of 0/1.

    A column of words has a number for each word, one where there are two. A column of numbers is
    divided at the fifths of the training rows, or between its values where these are at most five:
    there is one for each cut, 1 from it on, so that rows that are near differ in few, and one that
    says where the number is not known. Columns of one value are left out, and those of more than 64
    words or hardly ever the same twice.

    Args:
        path: where they are from, for messages.
        parts: `(N, columns)`, finite numbers, or words as objects; "train" among them.
        names: of the columns; none where they have none.
        codes: of other rows that these are to be read like.

    Raises:
        DataError: a word in a column of numbers, a number that is not known in a table of 0/1 or
            of pictures, no column that is left, or what other rows lack.

    Example:
        >>> table = np.array([["red", "1.5"], ["blue", "20"], ["red", "900"]], dtype=object)
        >>> coded(Path("a.csv"), {"train": table}, []).rows["train"].tolist()
        [[1, 0, 0], [0, 1, 0], [1, 1, 1]]
    """
    where = _Where(path, {part: len(array) for part, array in parts.items()}, names)
    ends = np.cumsum(list(where.lengths.values()))[:-1]
    training = np.repeat([part == "train" for part in parts], list(where.lengths.values()))
    rows = np.concatenate(list(parts.values()))
    columns: list[NDArray[Any] | _Words] = []
    for number, column in enumerate(rows.T):
        words = codes is not None and codes[number].words
        kind = column.dtype == object or words
        columns.append(_column(where, column, number, words=bool(words)) if kind else column)
    if codes is None:
        _check_known(where, columns)
        codes = [_code(each, training) for each in columns]
    if not any(code.kept for code in codes):
        raise DataError(
            f"{path} has no column of several numbers, or of 2 to {MOST_WORDS} words; expected some"
        )
    bits = []
    for number, (code, each) in enumerate(zip(codes, columns, strict=True)):
        if code.kept:
            _check_like(where, code, each, number)
            bits += _bits(code, each)
    split = np.split(np.stack(bits, 1).astype(np.uint8), ends)
    return Coded(dict(zip(parts, split, strict=True)), list(codes), names)


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
    if column.dtype != object:
        column = np.array([f"{each:g}" for each in column.tolist()], dtype=object)
    places: dict[str, int] = {}
    rows = np.array([places.setdefault(each, len(places)) for each in column.tolist()])
    kinds = list(places)
    if words:
        return _Words(kinds, rows)
    numbers = np.array([float(kind) if is_number(kind) else np.nan for kind in kinds])
    others = [
        i for i, kind in enumerate(kinds) if np.isnan(numbers[i]) and kind.lower() not in MISSING
    ]
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
        lengths: rows of every part.
        names: of the columns; none where they have none.
    """

    path: Path
    lengths: Mapping[str, int]
    names: Sequence[str]

    def __call__(self, row: int, column: int) -> str:
        """A field, from 0, by the row of its part."""
        parts = iter(self.lengths.items())
        part, length = next(parts)
        while row >= length:
            row -= length
            part, length = next(parts)
        name = f" ({self.names[column][:40]})" if self.names and self.names[column].strip() else ""
        of = f"{part} " if len(self.lengths) > 1 else ""
        return f"{self.path}: {of}row {row + 1}, column {column + 1}{name}"


def _check_known(where: _Where, columns: Sequence[NDArray[Any] | _Words]) -> None:
    """A number that is not known in a table of 0/1 or of pictures is a fault."""
    if any(isinstance(each, _Words) for each in columns):
        return
    numbers = np.stack([np.asarray(each) for each in columns], 1)
    unknown = np.argwhere(np.isnan(numbers))
    known = numbers[~np.isnan(numbers)]
    two = np.isin(known, (0, 1)).all()
    if len(unknown) and (two or pictures(where.path, numbers).shape[2] > 1):
        place = where(*unknown[0].tolist())
        raise DataError(f"{place} holds no number; expected one in every row")


def _check_like(where: _Where, code: Code, column: NDArray[Any] | _Words, number: int) -> None:
    """What the rows of a code did not have cannot be said by it."""
    if isinstance(column, _Words) and not code.words:
        strange, what = 0, "numbers"
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
        few = 1 < len(column.kinds) <= max(2, min(MOST_WORDS, len(column.numbers) // 2))
        return Code(words=tuple(sorted(column.kinds))) if few else Code()
    unknown = np.isnan(column)
    known = column[training & ~unknown]
    kinds = np.unique(known)
    if len(kinds) > LEVELS:
        cuts = np.quantile(known, np.arange(1, LEVELS) / LEVELS, method="higher")
        # Where most are the least number, such as 0, the others stay apart from it.
        kinds = np.unique([kinds[0], *np.maximum(cuts, kinds[1])])
    cuts = tuple(kinds[1:].tolist())
    return Code(cuts=cuts, unknown=bool(cuts and unknown.any()))


def _bits(code: Code, column: NDArray[Any] | _Words) -> list[NDArray[np.bool_]]:
    if isinstance(column, _Words):
        words = np.array(column.kinds)[column.numbers]
        return [words == word for word in code.shown_words]
    found = [column >= cut for cut in code.cuts]  # False where it is not known
    return [*found, np.isnan(column)] if code.unknown else found
