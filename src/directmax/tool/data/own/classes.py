"""Labels of any kind as classes from 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.own.found import Found
from directmax.tool.files import printable


@dataclass(eq=False)
class Classes:
    """Classes of every part's images.

    Attributes:
        labels: by part, `(N,)`, int64; None where there are none.
        names: of the classes.
        text: for people.
    """

    labels: Mapping[str, NDArray[np.int64]] | None
    names: tuple[str, ...]
    text: str


def classes_of(found: Found) -> Classes:
    """The labels of all parts as numbers from 0, in the order of their values.

    Labels that are not for all images, no whole numbers or words, or hardly ever the same twice,
    are no classes.
    """
    given = {part: each.labels for part, each in found.parts.items()}
    lacking = [part for part, values in given.items() if values is None]
    left = f"labels{f' (column {found.labelled})' * bool(found.labelled)} left out"
    if len(lacking) == len(given):
        return Classes(None, (), "no labels")
    if lacking:
        return Classes(None, (), f"{left}, as {' and '.join(lacking)} images have none")
    without = sum(_missing(each) for each in given.values() if each is not None)
    if without:
        have = "image has" if without == 1 else "images have"
        return Classes(None, (), f"{left}, as {without:,} {have} none")
    values = np.concatenate([_plain(each) for each in given.values() if each is not None])
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and (values == np.round(values)).all()):
            return Classes(None, (), f"{left}, as they are no whole numbers")
        if abs(values).max() < 2**63:  # others keep their values as names
            values = values.astype(np.int64)
    kinds, numbers = np.unique(values, return_inverse=True)
    if len(kinds) > max(2, len(values) // 2):
        return Classes(None, (), f"{left}, as {len(kinds):,} of them differ")
    names = tuple(str(kind) for kind in kinds.tolist())
    if kinds.dtype.kind in "iu" and kinds.min() >= 0 and kinds.max() < len(found.class_names):
        names, numbers = found.class_names, values  # the file names its classes from 0
    ends = np.cumsum([len(each) for each in given.values() if each is not None])[:-1]
    parts = np.split(numbers.reshape(-1).astype(np.int64), ends)
    names = tuple(map(printable, names))
    text = f"{len(names)} class{'' if len(names) == 1 else 'es'} ({_shown(names)})"
    return Classes(dict(zip(given, parts, strict=True)), names, text)


def _missing(values: NDArray[Any]) -> int:
    """How many are no label: empty, None or NaN."""
    if values.dtype.kind == "f":
        return int(np.isnan(values).sum())
    if values.dtype.kind in "SU":
        return int((np.char.str_len(values) == 0).sum())
    if values.dtype.kind == "O":
        return sum(each is None or each != each or each in ("", b"") for each in values.tolist())
    return 0


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "backslashreplace")  # different ones stay different
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def _shown(names: tuple[str, ...]) -> str:
    shown = [(name if len(name) <= 20 else f"{name[:20]}…") or "''" for name in names]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "…", shown[-1]])
