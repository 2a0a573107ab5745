"""Folders of image files: flat, a folder a class, below train/, valid/ and test/, or nested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from directmax.tool.data.errors import DataError
from directmax.tool.data.image_files import opened, read_deep, read_square, to_rgb, upright
from directmax.tool.data.own.files import check_fits
from directmax.tool.data.own.found import PARTS, Found, Part
from directmax.tool.data.own.words import SPLITS

SUFFIXES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".gif"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
    )
)


@dataclass(frozen=True)
class Placed:
    """An image file, the part that a folder says, and its other folders."""

    path: Path
    part: str | None
    folders: tuple[str, ...]


def read_images(root: Path, files: Sequence[Path], size: int | None) -> Found:
    """The images of a folder.

    Args:
        root: the folder.
        files: the image files in it, sorted.
        size: height and width to which the middle square of each is resized; None: as they are.

    Raises:
        DataError: a file is damaged, or the images are of different sizes and no size is given.
    """
    placed, notes = _of_parts([_place(root, file) for file in files])
    common = _common([each.folders for each in placed])
    classes = [(*each.folders[common:], "")[0] for each in placed]
    names = _numeric_order(set(classes) - {""})
    parts: dict[str, Part] = {}
    pixels = _pixels(root, [each.path for each in placed], size)
    for part in PARTS:
        rows = [i for i, each in enumerate(placed) if each.part == part]
        if not rows:
            continue
        labels = None
        if len(names) > 1 and all(classes[row] for row in rows):
            labels = np.array([names.index(classes[row]) for row in rows])
        name = part if len({each.part for each in placed}) > 1 else ""
        files_of_part = tuple(placed[row].path.relative_to(root).as_posix() for row in rows)
        parts[part] = Part(pixels[_span(rows)], labels, name, files=files_of_part)
    return Found(parts, notes, tuple(names) if len(names) > 1 else ())


def _of_parts(placed: list[Placed]) -> tuple[list[Placed], list[str]]:
    """Those in folders of parts where there are such, all others for training."""
    inside = [each for each in placed if each.part]
    if "train" not in {each.part for each in inside}:  # such as only a folder "test"
        return [Placed(each.path, "train", each.folders) for each in inside or placed], []
    outside = len(placed) - len(inside)
    return inside, [f"{outside:,} images outside of train left out"] if outside else []


def _span(rows: Sequence[int]) -> slice | list[int]:
    """Rows that follow each other, without a copy."""
    whole = rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if whole else list(rows)


def _place(root: Path, file: Path) -> Placed:
    """A folder whose name is a word such as `train` is a part; its other folders may be classes."""
    folders = file.relative_to(root).parts[:-1]
    for index, name in enumerate(folders):
        if part := SPLITS.get(name.lower().removesuffix("_set").removesuffix("_images")):
            return Placed(file, part, folders[:index] + folders[index + 1 :])
    return Placed(file, None, folders)


def _common(folders: Sequence[tuple[str, ...]]) -> int:
    """How many folders all have in front."""
    least, most = min(folders), max(folders)
    count = 0
    while count < min(len(least), len(most)) and least[count] == most[count]:
        count += 1
    return count


def _numeric_order(names: set[str]) -> list[str]:
    """Numbers by size, words by their letters."""
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _pixels(root: Path, files: Sequence[Path], size: int | None) -> NDArray[Any]:
    """`(N, height, width, 3)`, or without channels where all are grey: 8 bits, or 16 of greys."""
    with opened(files[0]) as first:
        width, height = (size, size) if size else upright(first).size
    check_fits(root, len(files) * height * width * 3, 1)
    deep = _deep(root, files, size, (height, width))
    if deep is not None:
        return deep
    pixels: NDArray[np.uint8] | None = None
    grey = np.empty((len(files), height, width), np.uint8)
    for row, file in enumerate(files):
        with opened(file) as stored:
            image = _upright(root, files[0], file, stored, None if size else (width, height))
            values = read_square(image, size) if size else _decoded(image)
        if values.ndim == 3 and (values == values[..., :1]).all():
            values = values[..., 0]
        if values.ndim == 3 and pixels is None:
            pixels = np.empty((len(files), height, width, 3), np.uint8)
            pixels[:row] = grey[:row, ..., None]
        if pixels is None:
            grey[row] = values
        else:
            pixels[row] = values if values.ndim == 3 else values[..., None]
    return grey if pixels is None else pixels


def _deep(
    root: Path, files: Sequence[Path], size: int | None, shape: tuple[int, int]
) -> NDArray[np.uint16] | None:
    """All of them, if all are greys of 16 bits: of 12 that are used, 8 would leave 4."""
    greys: NDArray[np.uint16] | None = None
    for row, file in enumerate(files):
        with opened(file) as stored:
            image = _upright(root, files[0], file, stored, None if size else shape[::-1])
            values = read_deep(image, size)
        if values is None:
            return None
        if greys is None:
            greys = np.empty((len(files), *shape), np.uint16)
        greys[row] = values
    return greys


def _upright(
    root: Path, first: Path, file: Path, stored: Image.Image, expected: tuple[int, int] | None
) -> Image.Image:
    """An image as it is to be seen, of the width and height that are expected, if any."""
    image = upright(stored)
    if expected is not None and image.size != expected:
        width, height = expected
        raise DataError(
            f"{root} holds images of different sizes: {width}×{height} ({first.name}) and "
            f"{image.width}×{image.height} ({file.name}); add --image-size "
            f"{min(width, height, *image.size)}, which resizes the middle square of each"
        )
    return image


def _decoded(image: Image.Image) -> NDArray[Any]:
    if image.mode in ("1", "L") and not image.has_transparency_data:
        return np.array(image.convert("L"))
    return np.array(to_rgb(image))
