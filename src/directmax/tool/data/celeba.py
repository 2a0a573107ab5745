"""CelebA: aligned photographs of faces with 40 binary attributes, in torchvision's layout."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from directmax._choices import check_choice
from directmax.tool.data.attributes import AttributeData, AttributeSplit
from directmax.tool.data.errors import DataError, reason
from directmax.tool.data.image_files import opened, read_square
from directmax.tool.data.locate import Places

FOLDER = "celeba"
IMAGES = "img_align_celeba"
ATTRIBUTES = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
ADDRESS = "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"

WIDTH, HEIGHT = 178, 218
"""Pixels of an aligned image."""

SPLITS = ("0", "1", "2")
"""How the partition file writes training, validation and test."""

VALUES = {"1": 1, "-1": 0}


class CelebAImages(Dataset[Tensor]):
    """Image files, read when asked for.

    The middle 178×178 pixels of an image, resized by a triangle filter as wide as a new pixel
    (antialiased). The JPEG decoder halves or quarters the image where that is still above the
    wanted size, which is where most of the time goes otherwise.

    Args:
        folder: where the files are.
        names: their names.
        size: height and width of the images that come out.
    """

    def __init__(self, folder: Path, names: Sequence[str], size: int) -> None:
        self.folder = folder
        self.names = np.array(names)  # one block of memory: workers share it after a fork
        self.size = size

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 size size"]:
        """Read an image.

        Raises:
            DataError: the file is missing, damaged, or no 178×218 JPEG.
        """
        path = self.folder / str(self.names[index])
        try:
            with opened(path, ("JPEG",)) as image:
                if image.size != (WIDTH, HEIGHT):
                    raise DataError(
                        f"{path} has {image.width}×{image.height} pixels, expected the aligned "
                        f"images of {WIDTH}×{HEIGHT}"
                    )
                pixels = read_square(image, self.size)
        except DataError as error:
            raise DataError(f"{error}; {_REPLACE}") from error
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def load(places: Places, attributes: tuple[str, ...], size: int) -> AttributeData:
    """Load CelebA: 202,599 images, 40 attributes, the official split.

    Below a data folder, as torchvision has it:

        celeba/img_align_celeba/000001.jpg    and so on, 178×218 pixels
        celeba/list_attr_celeba.txt           count, names, then "000001.jpg -1 1 …"
        celeba/list_eval_partition.txt        "000001.jpg 0": 0 training, 1 validation, 2 test

    Any data set in these files serves. The two lists and the images' names are checked here, an
    image when it is read.

    Args:
        places: where to look.
        attributes: which, in the order of the columns.
        size: height and width of the images.

    Raises:
        ValueError: an unknown attribute.
        DataError: a file is missing, damaged, or does not fit the others.

    Reference:
        Liu, Luo, Wang and Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015. For
        non-commercial research only.
    """
    folder = find_folder(places)
    table = read_attributes(folder / ATTRIBUTES)
    partition = read_partition(folder / PARTITION, folder / ATTRIBUTES, table.files)
    _check_images(folder, table.files)
    columns = []
    for attribute in attributes:
        check_choice("attribute", attribute, table.names)
        columns.append(table.names.index(attribute))
    values = torch.from_numpy(table.values[:, columns]).long()  # (N, n)
    splits = []
    for number, name in enumerate(("training", "validation", "test")):
        rows = np.flatnonzero(partition == number)
        if not len(rows):
            raise DataError(
                f"{folder / PARTITION} has no {name} image (partition {number}), expected images "
                f"in all three parts; {_REPLACE}"
            )
        names = [table.files[row] for row in rows]
        images = CelebAImages(folder / IMAGES, names, size)
        splits.append(AttributeSplit(images, values[torch.from_numpy(rows)]))
    return AttributeData(
        name="celeba",
        attribute_names=attributes,
        shape=(3, size, size),
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        source=str(folder),
    )


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """The content of `list_attr_celeba.txt`.

    Attributes:
        names: the attributes' names.
        files: the images' file names.
        values: `(N, len(names))`, int8, 0 or 1.
    """

    names: tuple[str, ...]
    files: tuple[str, ...]
    values: NDArray[np.int8]


def read_attributes(path: Path) -> AttributeTable:
    """Read `list_attr_celeba.txt`.

    Raises:
        DataError: unreadable, another number of rows than its first line says, a row with another
            number of values than there are names, a value that is not 1 or −1, a file twice.
    """
    lines = _lines(path)
    number, line = next(lines, (1, ""))
    try:
        count = int(line)
    except ValueError:
        raise DataError(
            f"{path}, line {number}: {_short(line)}, expected the number of images; {_REPLACE}"
        ) from None
    names = tuple(next(lines, (2, ""))[1].split())
    if len(set(names)) != len(names) or not names:
        raise DataError(f"{path}, line 2: expected the names of the attributes; {_REPLACE}")
    files: list[str] = []
    values = bytearray()  # a row after another; the count may be wrong
    for number, line in lines:
        file, *fields = line.split()
        if len(fields) != len(names):
            raise DataError(
                f"{path}, line {number}: {file} has {len(fields)} values, expected "
                f"{len(names)}, one for each attribute; {_REPLACE}"
            )
        try:
            values.extend([VALUES[word] for word in fields])
        except KeyError as error:
            column = fields.index(error.args[0])
            raise DataError(
                f"{path}, line {number}: {names[column]} of {file} is {_short(fields[column])}, "
                f"expected 1 or -1; {_REPLACE}"
            ) from None
        files.append(file)
    if len(files) != count:
        raise DataError(
            f"{path} has {len(files)} rows, expected {count} as its first line says; {_REPLACE}"
        )
    if len(set(files)) != count:
        duplicate = Counter(files).most_common(1)[0][0]
        raise DataError(f"{path} has two rows of {duplicate}, expected one; {_REPLACE}")
    table = np.frombuffer(values, dtype=np.int8).reshape(count, len(names))
    return AttributeTable(names, tuple(files), table)


def read_partition(path: Path, attributes: Path, files: Sequence[str]) -> NDArray[np.int8]:
    """Read `list_eval_partition.txt`: 0, 1 or 2 for every file.

    Args:
        path: the file.
        attributes: the file that `files` are from, for messages.
        files: names of the images, in the same order.

    Raises:
        DataError: unreadable, other images, or a part that is not 0, 1 or 2.
    """
    parts: list[int] = []
    for number, line in _lines(path):
        name, *fields = line.split()
        if len(fields) != 1 or fields[0] not in SPLITS:
            raise DataError(
                f"{path}, line {number}: the part of {name} is {_short(' '.join(fields))}, "
                f"expected 0 (training), 1 (validation) or 2 (test); {_REPLACE}"
            )
        if len(parts) < len(files) and name != files[len(parts)]:
            raise DataError(
                f"{path}, line {number}: {name}, but {attributes} has {files[len(parts)]} in this "
                f"place, expected the same images in both; {_REPLACE}"
            )
        parts.append(int(fields[0]))
    if len(parts) != len(files):
        raise DataError(
            f"{path} has {len(parts)} rows and {attributes} has {len(files)}, expected as many in "
            f"both; {_REPLACE}"
        )
    return np.array(parts, dtype=np.int8)


_REPLACE = f"replace it with the one from {ADDRESS}"


def find_folder(places: Places) -> Path:
    """Return the first folder that has all there is to CelebA.

    Raises:
        DataError: there is none, or the first one lacks something.
    """
    for folder in places.candidates(folders=(FOLDER,)):
        missing = [name for name in (ATTRIBUTES, PARTITION) if not (folder / name).is_file()]
        if not (folder / IMAGES).is_dir():
            missing.append(f"{IMAGES}/")
        if not missing:
            return folder
        packed = (folder / f"{IMAGES}.zip").is_file() and missing == [f"{IMAGES}/"]
        raise DataError(
            f"{folder} has no {', '.join(missing)}, expected {ATTRIBUTES}, {PARTITION} and "
            f"{IMAGES}/; "
            + (f"unpack {IMAGES}.zip there" if packed else f"put it there, from {ADDRESS}")
        )
    searched = ", ".join(str(place / FOLDER) for place in places.folders())
    raise DataError(
        f"CelebA is in none of {searched}, expected {IMAGES}/, {ATTRIBUTES} and {PARTITION} "
        f'(aligned and cropped images; torchvision\'s "celeba" folder); get it from {ADDRESS}, it '
        "is for non-commercial research only and never downloaded for you"
    )


def count_training(places: Places) -> int:
    """Return how many training images there are, without reading what else is in the folder.

    Raises:
        DataError: there is no such folder, or its partition cannot be read.
    """
    folder = find_folder(places)
    return sum(line.split()[1:] == [SPLITS[0]] for _, line in _lines(folder / PARTITION))


def _check_images(folder: Path, files: Sequence[str]) -> None:
    """Make sure that every row's image is there, by one look into the folder."""
    try:
        with os.scandir(folder / IMAGES) as entries:
            present = {entry.name for entry in entries}
    except OSError as error:
        raise DataError(
            f"cannot read {folder / IMAGES}: {reason(error)}; correct its permissions"
        ) from error
    missing = [file for file in files if file not in present]
    if missing:
        others = f" nor {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{folder / IMAGES} has no {missing[0]}{others}, expected an image for each of the "
            f"{len(files)} rows of {ATTRIBUTES}; unpack {IMAGES}.zip again"
        )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers from 1."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {reason(error)}; {_REPLACE}") from error


def _short(text: str, limit: int = 40) -> str:
    """Return what a file holds, quoted, and cut where it is long."""
    return repr(text if len(text) <= limit else f"{text[:limit]}…")
