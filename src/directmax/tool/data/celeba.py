"""CelebA: aligned photographs of faces with 40 binary attributes, as it lies on people's disks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from directmax.tool.data.attribute_columns import attribute_of
from directmax.tool.data.attributes import AttributeData, AttributeSplit
from directmax.tool.data.celeba_lists import (
    ADDRESS,
    REPLACE,
    count_of_training,
    read_attributes,
    read_partition,
)
from directmax.tool.data.errors import DataError, reason
from directmax.tool.data.image_files import opened, read_square, upright
from directmax.tool.data.locate import Places
from directmax.tool.data.own.image_folder import SUFFIXES

FOLDERS = ("celeba", "CelebA", "celebA", "celeba-dataset")
"""Below a data folder; or it is the folder itself."""
IMAGES = "img_align_celeba"
ATTRIBUTES = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
_AMONG = (".", "Anno", "Eval", "Img", "archive")
"""Folders in it where lists and images may be: torchvision's, the website's, Kaggle's."""
_LISTS = (ATTRIBUTES, "list_attr_celeba.csv", "attributes.csv", "attributes.txt")
_PARTITIONS = (PARTITION, "list_eval_partition.csv", "partition.csv", "partition.txt")
_IMAGES = (f"{IMAGES}/{IMAGES}", IMAGES, f"{IMAGES}_png", "images", "img", "faces")


class CelebAImages(Dataset[Tensor]):
    """Image files, read when asked for.

    The middle square of an image, of the aligned ones 178×178 pixels, resized by a triangle filter
    as wide as a new pixel (antialiased). The JPEG decoder halves or quarters the image where that
    is still above the wanted size, which is where most of the time goes otherwise.

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
            DataError: the file is missing, damaged, or no image.
        """
        path = self.folder / str(self.names[index])
        try:
            with opened(path) as image:
                pixels = read_square(upright(image), self.size)
        except DataError as error:
            raise DataError(f"{error}; {REPLACE}") from error
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class Layout:
    """Where the parts of a copy of CelebA are.

    Attributes:
        folder: that holds all.
        attributes: the list of attributes.
        partition: the list of parts; None where there is none.
        images: the folder of images.
    """

    folder: Path
    attributes: Path
    partition: Path | None
    images: Path


def load(places: Places, attributes: tuple[str, ...], size: int) -> AttributeData:
    """Load CelebA: 202,599 images, 40 attributes, the official split.

    Below a data folder, or in it, as torchvision, the website or Kaggle have it:

        celeba/img_align_celeba/000001.jpg    and so on, 178×218 pixels; or .png, or another size
        celeba/list_attr_celeba.txt           count, names, then "000001.jpg -1 1 …"; or .csv
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
    return load_layout(find_layout(places), attributes, size, "celeba")


def load_path(folder: Path, attributes: tuple[str, ...], size: int) -> AttributeData:
    """Load images with attributes of one's own, in these files, from a folder.

    Without a list of parts a tenth each of the images, at least one, is for validation and test.

    Raises:
        ValueError: an unknown attribute.
        DataError: a file is missing, damaged, or does not fit the others.
    """
    layout, missing = _layout(folder)
    layout = layout or _any_table(folder)
    if layout is None:
        raise DataError(
            f"{folder} has no {', '.join(missing)}; expected images and a list of their attributes "
            "as in CelebA, or one table .csv or .tsv (docs/data.md)"
        )
    data = load_layout(layout, attributes, size, folder.absolute().name)
    return replace(data, path=str(folder.absolute()))


def load_layout(layout: Layout, attributes: tuple[str, ...], size: int, name: str) -> AttributeData:
    """Load a copy of CelebA."""
    table = read_attributes(layout.attributes)
    files = _present(layout, table.files)
    if layout.partition is None:
        partition = _drawn(len(files))
    else:
        partition = read_partition(layout.partition, layout.attributes, table.files)
    columns = [attribute_of(table, attribute) for attribute in attributes]
    values = torch.from_numpy(np.stack(columns, 1)).long()  # (N, n)
    splits = []
    for number, part in enumerate(("training", "validation", "test")):
        rows = np.flatnonzero(partition == number)
        if not len(rows):
            raise DataError(
                f"{layout.partition} has no {part} image (partition {number}), expected images "
                f"in all three parts; {REPLACE}"
            )
        images = CelebAImages(layout.images, [files[row] for row in rows], size)
        splits.append(AttributeSplit(images, values[torch.from_numpy(rows)]))
    counts = ", ".join(f"{len(split):,}" for split in splits)
    return AttributeData(
        name=name,
        attribute_names=attributes,
        shape=(3, size, size),
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        source=str(layout.folder),
        understood=(
            f"{len(files):,} images, the middle square as {size}×{size}; {len(table.names)} "
            f"attributes, of which {', '.join(attributes)}; {counts} for training, validation and "
            f"test{' (drawn)' if layout.partition is None else ''}{_unknown(attributes, values)}"
        ),
    )


def _unknown(attributes: tuple[str, ...], values: Tensor) -> str:
    """Of how many images an attribute is not known, in words; nothing where all are."""
    counts = zip(attributes, (values < 0).sum(0).tolist(), strict=True)
    lacking = [f"{attribute} of {count:,}" for attribute, count in counts if count]
    return f"; not known: {', '.join(lacking)} images" if lacking else ""


def find_layout(places: Places) -> Layout:
    """Return the first folder that has all there is to CelebA.

    Raises:
        DataError: there is none, or the first one lacks something.
    """
    for place in places.folders():
        layout, _ = _layout(place)
        if layout is not None and layout.partition is not None:
            return layout
    lacking = [place for place in places.folders() if len(_layout(place)[1]) < 3]
    for folder in (*places.candidates(folders=FOLDERS), *lacking):
        layout, missing = _layout(folder)
        if layout is not None and layout.partition is not None:
            return layout
        packed = (folder / f"{IMAGES}.zip").is_file() and missing == [f"{IMAGES}/"]
        raise DataError(
            f"{folder} has no {', '.join(missing)}, expected {ATTRIBUTES}, {PARTITION} (or both as "
            f".csv) and {IMAGES}/; "
            + (f"unpack {IMAGES}.zip there" if packed else f"put it there, from {ADDRESS}")
        )
    searched = ", ".join(str(place / FOLDERS[0]) for place in places.folders())
    raise DataError(
        f"CelebA is in none of {searched}, expected {IMAGES}/, {ATTRIBUTES} and {PARTITION} "
        f'(aligned and cropped images; torchvision\'s "celeba" folder); get it from {ADDRESS}, it '
        "is for non-commercial research only and never downloaded for you"
    )


def _layout(folder: Path) -> tuple[Layout | None, list[str]]:
    """What is there, if lists and images are, and what is missing."""

    def find(names: Sequence[str], kind: str) -> Path | None:
        paths = [folder / among / name for among in _AMONG for name in names]
        try:
            return next((each for each in paths if getattr(each, kind)()), None)
        except OSError as error:
            raise DataError(f"cannot look at {folder}: {reason(error)}; correct it") from error

    found = {
        ATTRIBUTES: find(_LISTS, "is_file"),
        PARTITION: find(_PARTITIONS, "is_file"),
        f"{IMAGES}/": find(_IMAGES, "is_dir"),
    }
    missing = [name for name, path in found.items() if path is None]
    attributes, partition, images = found.values()
    if attributes is None or images is None:
        return None, missing
    return Layout(folder, attributes, partition, images), missing


def _any_table(folder: Path) -> Layout | None:
    """Images in or below a folder that has one table beside them, whatever it is called."""
    try:
        files = (path for path in folder.glob("*.[cCtT][sS][vV]") if path.is_file())
        tables = sorted(files)
    except OSError as error:
        raise DataError(f"cannot look at {folder}: {reason(error)}; correct it") from error
    parts = [path for path in tables if path.name in _PARTITIONS]
    tables = [path for path in tables if path not in parts]
    if len(tables) > 1:
        raise DataError(
            f"{folder} has {len(tables)} tables, {tables[0].name} and {tables[1].name}; expected "
            f"one: call it {ATTRIBUTES.replace('.txt', '.csv')}, or move the others away"
        )
    if not tables:
        return None
    inside = [folder / name for name in _IMAGES if (folder / name).is_dir()]
    return Layout(folder, tables[0], parts[0] if parts else None, inside[0] if inside else folder)


def _present(layout: Layout, files: Sequence[str]) -> list[str]:
    """The files of the rows, by a look into the folder; another ending, such as .png, will do.

    Where they are not all there, folders below it are looked into, too.
    """
    inside = f"{layout.images.relative_to(layout.folder).as_posix()}/"
    missing: list[str] = []
    for deep in (False, True):
        present, twice = _names(layout.images, deep=deep)
        keys = [_key(file, present, inside) for file in files]
        missing = [file for file, key in zip(files, keys, strict=True) if key is None]
        if not missing:
            found = [present[key] for key in keys if key is not None]
            _check_one(layout, files, found, [twice.get(key or "") for key in keys])
            return found
    others = f" nor {len(missing) - 1} more" if len(missing) > 1 else ""
    official = layout.attributes.name == ATTRIBUTES
    raise DataError(
        f"{layout.images} has no {missing[0]}{others}, expected an image for each of the "
        f"{len(files)} rows of {layout.attributes.name}; "
        + (f"unpack {IMAGES}.zip again" if official else "add them, or take out their rows")
    )


def _key(file: str, present: Mapping[str, str], inside: str) -> str | None:
    """By what a row's image is among those present, if it is."""
    names = (file, _stem(file))
    if not any(name in present for name in names):  # from the table on, or as Windows has it
        names = (file := file.replace("\\", "/").removeprefix(inside), _stem(file))
    return next((name for name in names if name in present), None)


def _check_one(
    layout: Layout, files: Sequence[str], found: Sequence[str], others: Sequence[str | None]
) -> None:
    """Refuse a row of two images, and an image of two rows."""
    table, rows = layout.attributes.name, dict[str, str]()
    for file, path, other in zip(files, found, others, strict=True):
        if other is not None:
            raise DataError(
                f"{layout.images} has {path} and {other}, and {table} has {file}, expected one "
                f"image; write the folder into the table, as in {path}, or move the other away"
            )
        if path in rows:
            raise DataError(
                f"{table} has {rows[path]} and {file}, which are both {path}, expected one row of "
                "an image; take one out"
            )
        rows[path] = file


def _names(folder: Path, *, deep: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Files in a folder, or also below it, by their name, by path, and images without ending.

    The second has another file for each name that is in two of the folders below.
    """

    def stop(error: OSError) -> None:
        raise DataError(f"cannot read {folder}: {reason(error)}; correct its permissions")

    found: dict[str, str] = {}
    twice: dict[str, str] = {}
    for place, below, names in os.walk(folder, onerror=stop):
        hidden = (".", "__MACOSX")
        below[:] = sorted(each for each in below if deep and not each.startswith(hidden))
        inner = Path(place).relative_to(folder)
        for name in sorted(names):
            path = (inner / name).as_posix()
            keys = [name, path]
            if Path(name).suffix.lower() in SUFFIXES:  # not what lies beside them, such as .json
                keys += _stem(name), _stem(path)
            for key in keys:
                other = found.setdefault(key, path)
                if "/" not in key and "/" in other and not other.startswith(f"{inner.as_posix()}/"):
                    twice[key] = path
    return found, twice


def _stem(file: str) -> str:
    """A path without its ending."""
    return str(Path(file).with_suffix("")) if Path(file).name else file


def _drawn(count: int) -> NDArray[np.int8]:
    """Parts of images without a list of parts, always the same."""
    each = max(1, count // 10)
    if count <= 2 * each:
        raise DataError(f"there are {count} images; expected more, as some are for validation")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).numpy()
    parts = np.zeros(count, dtype=np.int8)
    parts[order[:each]], parts[order[each : 2 * each]] = 1, 2
    return parts


def count_training(places: Places) -> int:
    """Return how many training images there are, without reading what else is in the folder.

    Raises:
        DataError: there is no such folder, or its partition cannot be read.
    """
    partition = find_layout(places).partition
    assert partition is not None
    return count_of_training(partition)
