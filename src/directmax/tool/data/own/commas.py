"""Numbers with commas, in quotes, in a table with commas: "1,250" and "12,5"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from directmax.tool.data.own.coded import is_missing, is_number

QUOTED = re.compile(r'"\s*[-+]?\d[\d,]*,\d[\d,.]*\s*"')
"""What may be one."""
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_DECIMAL = re.compile(r"[-+]?\d*,\d+")


def without_commas(rows: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[str]]:
    """Rows whose numbers have no commas, and notes of what these were.

    A column of them is one of numbers but for perhaps its first row, which may hold names. Commas
    stand between thousands where three digits follow each, unless another column has decimal
    commas: then all are. Columns that are neither stay as they are.

    Args:
        rows: fields of every row, as many in each.

    Example:
        >>> without_commas([["city", "people"], ["Bern", "1,250"], ["Thun", "999"]])
        ([['city', 'people'], ['Bern', '1250'], ['Thun', '999']], ['commas in quotes left out'])
        >>> without_commas([["a", "b"], ["12,5", "1,250"]])
        ([['a', 'b'], ['12.5', '1.250']], ['commas in quotes read as decimal points'])
    """
    columns = [_with_commas(column) for column in zip(*rows[1:], strict=True)]
    decimal = any(
        _all(_DECIMAL, words) and not _all(_THOUSANDS, words) for words in columns if words
    )
    pattern, point = (_DECIMAL, ".") if decimal else (_THOUSANDS, "")
    numbers = [bool(words) and _all(pattern, words) for words in columns]
    if not any(numbers):
        return [list(row) for row in rows], []
    read = [
        [
            word.replace(",", point) if number and pattern.fullmatch(word) else word
            for word, number in zip(row, numbers, strict=True)
        ]
        for row in rows
    ]
    return read, [f"commas in quotes {'read as decimal points' if decimal else 'left out'}"]


def _with_commas(column: Sequence[str]) -> list[str]:
    """The words with commas of a column, if the others are numbers or missing."""
    if not all("," in word or is_number(word) or is_missing(word) for word in column):
        return []
    return [word for word in column if "," in word]


def _all(pattern: re.Pattern[str], words: Sequence[str]) -> bool:
    return all(pattern.fullmatch(word) for word in words)
