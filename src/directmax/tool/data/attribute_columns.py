"""Attributes that are made of columns of words or numbers: `gender=Female`, `age=60..`."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from directmax._choices import check_choice
from directmax.tool.data.celeba_lists import UNKNOWN, AttributeTable
from directmax.tool.data.errors import DataError
from directmax.tool.data.own.coded import is_missing, is_number

MOST_SHOWN = 12
"""Words of a column that a message lists."""


def attribute_of(table: AttributeTable, name: str) -> NDArray[np.int8]:
    """An attribute of every image: 1, 0, or −1 where it is not known.

    `NAME` is a column of 1 and 0 or the like; `NAME=WORD` says whether a column has this word, and
    `NAME=LOW..HIGH` whether its number lies between these, both included; one may be left out.

    Args:
        table: the list.
        name: of the attribute.

    Raises:
        ValueError: no column of this name, or a range that makes no sense.
        DataError: the column has no such word, or something else than numbers.
    """
    if name in table.names:
        return table.column(name)
    column, _, value = name.partition("=")
    check_choice("attribute", column, table.names)
    words = table.fields(column)
    known = np.array([not is_missing(word) for word in words])
    low, dots, high = value.partition("..")
    if dots and all(not end or is_number(end) for end in (low, high)) and (low or high):
        on = _between(table, column, words, known, low, high)
    else:
        on = np.array([word == value for word in words])
        if not on.any():
            there = [word for word, _ in Counter(np.array(words)[known].tolist()).most_common()]
            more = f" and {len(there) - MOST_SHOWN} more" if len(there) > MOST_SHOWN else ""
            raise DataError(
                f"{table.path}: {column} is never {value!r}; expected one of "
                f"{', '.join(there[:MOST_SHOWN])}{more}, or a range of numbers such as "
                f"{column}=20..39"
            )
    return np.where(known, on, UNKNOWN).astype(np.int8)


def _between(
    table: AttributeTable,
    column: str,
    words: list[str],
    known: NDArray[np.bool_],
    low: str,
    high: str,
) -> NDArray[np.bool_]:
    for row in np.flatnonzero(known).tolist():
        if not is_number(words[row]):
            raise DataError(
                f"{table.path}, line {table.lines[row]}: {column} of {table.files[row]} is "
                f"{words[row][:40]!r}, expected a number, because {column}={low}..{high} is a range"
            )
    numbers = np.array(
        [float(word) if there else np.nan for word, there in zip(words, known, strict=True)]
    )
    least, most = (float(low) if low else -np.inf), (float(high) if high else np.inf)
    if least > most:
        raise ValueError(f"attribute {column}={low}..{high} has no number: its ends are turned")
    return (numbers >= least) & (numbers <= most)
