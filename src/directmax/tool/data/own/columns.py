"""Columns of tables: which are pixels, by their names, and the one that puts rows into parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.found import Found, Part
from directmax.tool.data.own.words import INDICES, LABELS, SPLITS

SPLIT_NAMES = frozenset(("split", "set", "partition", "subset", "usage", "fold"))
MOST_NAMED = 12
"""Columns that a note lists."""


@dataclass(frozen=True)
class Columns:
    """Numbers of columns, from 0.

    Attributes:
        pixels: those of the images.
        labels: the first that is named so; None where none is.
        split: the one of parts; None where there is none.
        left: those that are none of these: they number the rows, or are more labels.
    """

    pixels: list[int]
    labels: int | None
    split: int | None
    left: list[int]


def columns_of(names: Sequence[str]) -> Columns:
    """What columns are, by their names.

    Example:
        >>> columns_of(["id", "label", "p0", "p1"])
        Columns(pixels=[2, 3], labels=1, split=None, left=[0])
    """
    small = [name.strip().lower() for name in names]
    labels = [i for i, name in enumerate(small) if name in LABELS]
    splits = [i for i, name in enumerate(small) if name in SPLIT_NAMES]
    # Row numbers without a name stand in front; elsewhere a name is lacking.
    indices = [i for i, name in enumerate(small) if name in INDICES and (name or not i)]
    if len(indices) == len(small):
        indices = []
    left = sorted([*indices, *labels[1:]])
    apart = {*left, *labels[:1], *splits[:1]}
    pixels = [i for i in range(len(small)) if i not in apart]
    return Columns(pixels, next(iter(labels), None), next(iter(splits), None), left)


def left_out(names: Sequence[str], columns: Sequence[int]) -> list[str]:
    """A note of columns that are not used; none where all are.

    Example:
        >>> left_out(["", "p0", "day"], [0, 2]), left_out(["p0"], [])
        (['columns 1, day left out'], [])
    """
    if not columns:
        return []
    words = [names[i].strip() or str(i + 1) for i in columns[:MOST_NAMED]]
    more = f" and {len(columns) - MOST_NAMED} more" if len(columns) > MOST_NAMED else ""
    return [f"column{'s' if len(columns) > 1 else ''} {', '.join(words)}{more} left out"]


def check_names(
    path: Path, names: Sequence[str], places: Sequence[int], own: Sequence[str]
) -> None:
    """Refuse a table whose columns have other names than those of the training rows.

    Args:
        path: where they are from, for messages.
        names: of its columns; none where they have none.
        places: of these among all of the table, from 0; none where they are all.
        own: those of the training rows.

    Raises:
        DataError: one is another.
    """
    for number, (name, other) in enumerate(zip(names, own, strict=False)):
        if name.strip() != other.strip():
            place = places[number] if places else number
            raise DataError(
                f"{path} has {name[:40]!r} as column {place + 1}, and the training rows "
                f"{other[:40]!r}; expected the same columns in the same order"
            )


def in_parts(path: Path, found: Found, words: NDArray[Any]) -> Found:
    """The rows of a table by a column that names the part.

    Raises:
        DataError: other words, or no training rows.
    """
    whole = found.parts["train"]
    parts = np.array([SPLITS.get(str(word).strip().lower(), "") for word in words.tolist()])
    unknown = Counter(str(words[i]) for i in np.flatnonzero(parts == ""))
    if unknown:
        raise DataError(
            f"{path} has {next(iter(unknown))!r} in its column of parts; expected train, valid or "
            "test"
        )
    divided = {}
    for part in dict.fromkeys(SPLITS.values()):
        rows = np.flatnonzero(parts == part)
        if len(rows):
            labels = None if whole.labels is None else whole.labels[rows]
            divided[part] = Part(whole.images[rows], labels, part, rows)
    if "train" not in divided:
        raise DataError(
            f"{path} has no training rows, only {' and '.join(divided)}; expected train in its "
            "column of parts"
        )
    return replace(found, parts=divided)
