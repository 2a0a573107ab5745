"""A path, or arrays of any kind, to rows of numbers in [0, 1], and what was understood of them."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from directmax.tool.data.errors import DataError, reason
from directmax.tool.data.own.axes import pictures
from directmax.tool.data.own.classes import classes_of
from directmax.tool.data.own.coded import Coded, as_bits
from directmax.tool.data.own.files import check_fits
from directmax.tool.data.own.folder import read_file, read_folder
from directmax.tool.data.own.found import PARTS, Found, Part
from directmax.tool.data.own.numbers import Range, range_of
from directmax.tool.data.own.reading import Reading
from directmax.tool.files import printable

BLOCK = 1000
"""Images that are converted together."""


@dataclass(eq=False)
class Understood:
    """What a path holds.

    Attributes:
        images: by part, "train" among them: `(N, channels·H·W)`, float32 in [0, 1].
        labels: by part, `(N,)`, int64; None where there are none.
        class_names: a name per class.
        shape: (H, W).
        text: what images these are, their numbers and labels, for people.
        given: what the file calls each part.
        notes: what was left out or taken otherwise.
        reading: how numbers became [0, 1], by which other files are read.
        number_names: of the numbers of a row, where they have any.
        rows: numbers of the images of each part in the file, from 0, where it has them mixed.
        files: of the images of each part, of a folder of image files.
    """

    images: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, NDArray[np.int64]] | None
    class_names: tuple[str, ...]
    shape: tuple[int, int]
    text: str
    given: Mapping[str, str]
    notes: tuple[str, ...]
    reading: Reading
    number_names: tuple[str, ...] = ()
    rows: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_path(path: Path, size: int | None = None, like: Reading | None = None) -> Understood:
    """What a file or a folder holds.

    Args:
        path: of it.
        size: height and width to which the middle square of every image is resized.
        like: how another file was read, of whose kind this one is.

    Raises:
        DataError: it is missing, unreadable, damaged, too large for the memory, or of no known
            form; one line that says what was seen and what would be read.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; correct the path") from None
    except OSError as error:  # of a loop of links, too
        raise DataError(f"cannot look at {path}: {reason(error)}; correct the path") from error
    if stat.S_ISDIR(mode):
        return understood(path, read_folder(path, size, like), size, like)
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is neither a file nor a folder; expected one of them")
    return understood(path, read_file(path, size, like), size, like)


def understood(
    path: Path, found: Found, size: int | None = None, like: Reading | None = None
) -> Understood:
    """Arrays of any shape and range as rows of numbers in [0, 1].

    Args:
        path: where they are from, for messages.
        found: the arrays.
        size: as of `read_path`.
        like: as of `read_path`.

    Raises:
        DataError: shapes or numbers that are none of images.
    """
    found.parts = {part: found.parts[part] for part in PARTS if part in found.parts}
    table = _table(path, found, like)
    views = {part: pictures(path, each.images) for part, each in found.parts.items()}
    if table is not None:
        views = {part: each[:, None, None] for part, each in table.rows.items()}
        found.notes += table.notes
    _check_shapes(path, views)
    rows = all(view.shape[2] == 1 for view in views.values())
    arrays = list(views.values())
    numbers = None
    if like is not None and table is None:
        numbers = like.range_of(path, arrays, rows=rows)
    numbers = numbers or range_of(path, arrays, rows=rows)
    if all(_is_grey(view) for view in views.values()):
        views = {part: view[:, :1] for part, view in views.items()}
    images = {part: _unit(view, numbers, size) for part, view in views.items()}
    classes = classes_of(found)
    channels, height, width = next(iter(images.values())).shape[1:]
    what = (
        f"rows of {width:,} numbers"
        if height == 1
        else f"{'colour' if channels > 1 else 'grey'} images of {height}×{width}"
    )
    if numbers.binary and height > 1:
        what = what.replace("grey", "binary")
    count = sum(len(each) for each in images.values())
    return Understood(
        {part: each.reshape(len(each), -1) for part, each in images.items()},
        classes.labels,
        classes.names,
        (height, width),
        f"{count:,} {what}, {numbers.text if table is None else table.text}; {classes.text}",
        {part: each.name for part, each in found.parts.items()},
        tuple(found.notes),
        _reading(found, table, numbers),
        _number_names(table, found.columns, width if height == 1 else 0),
        *_places(found.parts),
    )


def _check_shapes(path: Path, views: Mapping[str, NDArray[Any]]) -> None:
    """Refuse parts that are empty, of different shapes, or too large for the memory."""
    for part, view in views.items():
        if 0 in view.shape:
            raise DataError(f"{path} has no {part} images: shape {view.shape}; expected some")
        if view.shape[1:] != views["train"].shape[1:]:
            raise DataError(
                f"{path} has {part} images of {_described(view.shape)}, and training images of "
                f"{_described(views['train'].shape)}; expected one shape"
            )
    check_fits(path, sum(view.size for view in views.values()), 0)


def check_differ(path: Path, images: Mapping[str, NDArray[np.float32]]) -> None:
    """Refuse to learn images of one grey, as which transparent ones end.

    Raises:
        DataError: all numbers are the same.
    """
    first = next(iter(images.values())).flat[0]
    if all((each == first).all() for each in images.values()):
        raise DataError(
            f"{path} holds nothing but {first:g}, on a scale from 0 to 1; expected images that "
            "differ (what is transparent is laid on white)"
        )


def _places(
    parts: Mapping[str, Part],
) -> tuple[dict[str, NDArray[np.int64]], dict[str, tuple[str, ...]]]:
    """Rows in the file, and names of files, by part."""
    rows = {part: each.rows for part, each in parts.items() if each.rows is not None}
    return rows, {part: tuple(map(printable, each.files)) for part, each in parts.items()}


def _table(path: Path, found: Found, like: Reading | None) -> Coded | None:
    """Rows of 0/1, where the columns are of several kinds."""
    if like is None:
        return as_bits(path, found)
    like.check_columns(path, found)
    return as_bits(path, found, like.codes) if like.codes else None


def _number_names(table: Coded | None, columns: Sequence[str], width: int) -> tuple[str, ...]:
    if table is not None:
        return tuple(map(printable, table.number_names))
    return tuple(map(printable, columns)) if len(columns) == width else ()


def _reading(found: Found, table: Coded | None, numbers: Range) -> Reading:
    if table is None:
        return Reading(numbers.low, numbers.high, numbers.binary, layout=found.layout)
    return Reading(codes=tuple(table.codes), names=tuple(found.columns), layout=found.layout)


def described(found: Understood, sizes: Mapping[str, int]) -> str:
    """One line for people: what the images are, their parts, and where these come from.

    Args:
        found: the images.
        sizes: number of images of every part, also of those that were drawn.
    """
    drawn = [part for part in sizes if part not in found.given]
    words = {"train": "training", "validation": "validation", "test": "test"}
    given = [
        f"{sizes[part]:,} {words[part]}{f' ({name})' if name else ''}"
        for part, name in found.given.items()
    ]
    rest = [f"{sizes[part]:,} {words[part]}" for part in drawn]
    if not rest:
        splits = f"{', '.join(given[:-1])} and {given[-1]} images"
    else:
        splits = (
            f"{', '.join([*given, *rest[:-1]])} and {rest[-1]} "
            f"images ({'drawn' if len(rest) == 1 else 'both drawn'} from the training ones)"
        )
    text = "; ".join([found.text, splits, *found.notes]).replace("-1 …", "−1 …")
    return printable(text)


def _described(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape[2:] if shape[1] == 1 else shape[1:]))


def _is_grey(view: NDArray[Any]) -> bool:
    """Whether all channels are the same, or there is one."""
    if view.shape[1] == 1:
        return True
    if view.shape[1] != 3:
        return False
    starts = range(0, len(view), BLOCK)
    return all((view[s : s + BLOCK] == view[s : s + BLOCK, :1]).all() for s in starts)


def _unit(view: NDArray[Any], numbers: Range, size: int | None) -> NDArray[np.float32]:
    """`(N, channels, H, W)` in [0, 1]: what is transparent on white, and resized if wanted."""
    blocks = []
    for start in range(0, len(view), BLOCK):
        unit = numbers.apply(view[start : start + BLOCK])
        if unit.shape[1] == 4:
            unit = unit[:, :3] * unit[:, 3:] + (1 - unit[:, 3:])
        if size is not None and unit.shape[2:] != (size, size):
            unit = _resized(unit, size)
        blocks.append(unit)
    return np.concatenate(blocks) if len(blocks) > 1 else np.ascontiguousarray(blocks[0])


def _resized(unit: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    height, width = unit.shape[2:]
    if height == 1:
        raise DataError(
            f"--image-size {size} is for pictures, and these are rows of {width} numbers; leave it "
            "out"
        )
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = torch.from_numpy(
        np.ascontiguousarray(unit[:, :, top : top + side, left : left + side])
    )
    resized = F.interpolate(square, size=(size, size), mode="bilinear", antialias=True)
    return resized.clamp(0, 1).numpy()
