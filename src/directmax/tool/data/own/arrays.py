"""Arrays with names, as in .npz and .mat files: which are images, which labels, of which part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.axes import number_first
from directmax.tool.data.own.found import PARTS, Found, Part
from directmax.tool.data.own.words import is_names, role_of, split_of, tokens

WOULD_BE_READ = (
    "expected images named x_train, train_data, images, x … and labels, if any, named y_train, "
    "labels, target …"
)
MOST_NAMED = 12
"""Arrays that a message lists."""


@dataclass(eq=False)
class _Named:
    key: str
    array: NDArray[Any]
    split: str | None
    role: str | None


def understand(
    path: Path, arrays: Mapping[str, NDArray[Any]], *, by_columns: bool = False
) -> Found:
    """Images and labels among arrays, by their names, else by their shapes.

    Args:
        path: where they are from, for messages.
        arrays: by name.
        by_columns: whether they are MATLAB's, where the last axis often counts the images, and
            pixels go down the columns first.

    Raises:
        DataError: none are images, or it is not clear which.
    """
    class_names: tuple[str, ...] = ()
    named: list[_Named] = []
    for key, array in arrays.items():
        if role_of(key) == "labels" and {"name", "names"} & set(tokens(key)):
            class_names = tuple(map(str, array.ravel().tolist()))
        elif array.dtype.kind in "biufSU" and array.size > 1:
            named.append(_Named(key, array, split_of(key), _role(key, array)))
    _one_hot_of_others(named)
    images = _by_split(path, [each for each in named if each.role == "images"], arrays)
    if len(images) == 1:
        images = {"train": next(iter(images.values()))}
    if "train" not in images:
        what = "no training images" if images else "none of which are images"
        if not images and any(each.array.ndim > 1 and len(each.array) == 1 for each in named):
            what = "a single row where each image is one"
        raise DataError(f"{path} holds {listing(arrays)}, {what}; {WOULD_BE_READ}")
    labels = _labels_by_split(path, images, [each for each in named if each.role == "labels"])
    found = Found(*_upright(path, images, labels, by_columns), class_names)
    used = {*(each.key for each in images.values()), *(key for key, _ in labels.values())}
    left = [
        key
        for key, array in arrays.items()
        if key not in used
        and not is_names(key)
        and not any(_same_images(arrays[other], array) for other in used)
    ]
    if left:
        found.notes.append(f"left out: {', '.join(left[:MOST_NAMED])}")
    return found


def _upright(
    path: Path,
    images: Mapping[str, _Named],
    labels: Mapping[str, tuple[str, NDArray[Any]]],
    by_columns: bool,
) -> tuple[dict[str, Part], list[str]]:
    """Every part with the axis in front that counts the images, and notes of what was turned."""
    parts: dict[str, Part] = {}
    notes = []
    shapes = [each.array.shape for each in images.values()]
    for part, named in images.items():
        key, values = labels.get(part, ("", None))
        count = None if values is None else len(values)
        upright = number_first(named.array, count, shapes, by_columns)
        if upright.note:
            notes.append(upright.note)
        if values is not None:
            _check_counts(path, named.key, len(upright.images), key, len(values))
        parts[part] = Part(upright.images, values, named.key)
    return parts, list(dict.fromkeys(notes))


def _role(key: str, array: NDArray[Any]) -> str | None:
    """By the name; else by the shape: rows of numbers are images, a single row labels."""
    named = role_of(key)
    words = array.dtype.kind in "SU"
    if named == "images" and not words and _axes(array) > 1:
        return "images"
    if named == "labels":
        return "labels"
    if words or _axes(array) <= 1:
        return "labels" if _axes(array) <= 1 else None
    return "images"


def _axes(array: NDArray[Any]) -> int:
    """Axes that are longer than 1."""
    return sum(length > 1 for length in array.shape)


def _one_hot_of_others(named: list[_Named]) -> None:
    """What no name tells, and is one-hot beside wider rows of the same number, are labels."""
    for each in named:
        if each.role == "images" and role_of(each.key) is None and each.array.ndim == 2:
            for other in named:
                wider = other.array.size > each.array.size and other.role == "images"
                if wider and len(other.array) == len(each.array) and _one_hot(each.array, 1):
                    each.role = "labels"


def _one_hot(array: NDArray[Any], axis: int) -> bool:
    if array.dtype.kind not in "biuf" or array.shape[axis] < 2:
        return False
    zero_or_one = ((array == 0) | (array == 1)).all()
    return bool(zero_or_one and (array.sum(axis) == 1).all())


def _by_split(
    path: Path, candidates: list[_Named], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, _Named]:
    """One of the arrays for each part."""
    unnamed = [each for each in candidates if each.split is None]
    told = [each for each in unnamed if role_of(each.key) == "images"]
    if told and len(told) < len(unnamed):  # names go before shapes
        candidates = [each for each in candidates if each.split is not None or each in told]
        unnamed = told
    positional = [each for each in unnamed if role_of(each.key) is None]
    if 1 < len(positional) <= 3 and len(positional) == len(candidates) and _in_order(positional):
        parts = ("train", "test") if len(positional) == 2 else PARTS
        return dict(zip(parts, positional, strict=True))
    chosen: dict[str, _Named] = {}
    for each in candidates:
        part = each.split or "train"
        other = chosen.get(part)
        if other is None or _same_images(other.array, each.array):
            if other is None or each.array.ndim > other.array.ndim:
                chosen[part] = each
            continue
        raise DataError(
            f"{path} holds {listing(arrays)}: both {other.key} and {each.key} may be the images; "
            f"keep one of them; {WOULD_BE_READ}"
        )
    return chosen


def _in_order(unnamed: list[_Named]) -> bool:
    """Whether they are arr_0, arr_1, …, which `numpy.savez` calls arrays without names."""
    return all(tokens(each.key)[-2:-1] == ["arr"] for each in unnamed)


def _same_images(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether they are the same images, perhaps as rows and as pictures."""
    if first.size != second.size or first.shape[:1] != second.shape[:1] or not first.ndim:
        return False
    return bool(np.array_equal(first.reshape(len(first), -1), second.reshape(len(second), -1)))


def _labels_by_split(
    path: Path, images: Mapping[str, _Named], candidates: list[_Named]
) -> dict[str, tuple[str, NDArray[Any]]]:
    """Names and values of the labels of each part, `(N,)`."""
    found: dict[str, tuple[str, NDArray[Any]]] = {}
    for each in candidates:
        values = one_row(each.array)
        if values is None:
            continue
        fitting = [
            part
            for part, of_part in images.items()
            if part not in found and len(values) in of_part.array.shape
        ]
        if each.split is not None:
            part = each.split if each.split in images else "train"
            if part in found:
                continue
            if part in fitting or role_of(each.key) == "labels":
                found[part] = (each.key, values)
        elif fitting:
            found[fitting[0]] = (each.key, values)
        elif role_of(each.key) == "labels" and len(images) == 1 and not found:
            (part,) = images
            _check_counts(path, images[part].key, len(images[part].array), each.key, len(values))
    return found


def _check_counts(path: Path, images: str, count: int, labels: str, others: int) -> None:
    if count != others:
        raise DataError(
            f"{path} has {count:,} images in {images} and {others:,} labels in {labels}; expected "
            "as many: correct the file"
        )


def one_row(array: NDArray[Any]) -> NDArray[Any] | None:
    """Labels as one row of values, also where they are one-hot; None where they are neither.

    Example:
        >>> one_row(np.array([[0, 1], [1, 0], [0, 1]])).tolist()
        [1, 0, 1]
    """
    if _axes(array) <= 1:
        return array.reshape(-1)
    if array.ndim != 2:
        return None
    for axis in (1, 0):
        if _one_hot(array, axis):
            return array.argmax(axis)
    return None


def listing(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Arrays for people: names, shapes and types.

    Example:
        >>> listing({"x": np.zeros((2, 3), np.uint8)})
        'x (2, 3) uint8'
    """
    items = [f"{key} {array.shape} {array.dtype}" for key, array in arrays.items()]
    more = f" and {len(items) - MOST_NAMED} more" if len(items) > MOST_NAMED else ""
    return ", ".join(items[:MOST_NAMED]) + more if items else "no arrays of numbers"
