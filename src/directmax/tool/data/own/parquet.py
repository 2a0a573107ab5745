"""Parquet and Arrow files, as in folders of Hugging Face's `datasets`; read by pyarrow."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.image_files import opened_bytes, read_square, to_rgb, upright
from directmax.tool.data.own.files import available, check_fits, reading
from directmax.tool.data.own.found import PARTS, Found, Part
from directmax.tool.data.own.words import role_of, split_of
from directmax.tool.files import read_bytes

MISSING = (
    "reading {} needs pyarrow, which is not installed; pip install 'directmax[datasets]', or save "
    "the data as .npz"
)


def read_parquet(root: Path, files: Sequence[Path], size: int | None) -> Found:
    """Images and labels of `.parquet` or `.arrow` files.

    A column of images has encoded files (Hugging Face's form), bytes of them, or lists of numbers;
    where no column has, all columns of numbers are the pixels.

    Args:
        root: the folder, or the only file.
        files: sorted; the part of the data is in their names or folders.
        size: height and width to which images are resized.

    Raises:
        DataError: pyarrow is not installed, a file is damaged, or has no images.
    """
    try:
        import pyarrow
    except ImportError:
        raise DataError(MISSING.format(root)) from None
    tables: dict[str, list[Any]] = {}
    for file in files:
        with reading(file, "a Parquet or Arrow file"):
            inside = file.relative_to(root).as_posix() if file != root else file.name
            tables.setdefault(split_of(inside) or "train", []).append(_table(file))
    if "train" not in tables and len(tables) == 1:
        tables = {"train": next(iter(tables.values()))}
    parts: dict[str, Part] = {}
    names: tuple[str, ...] = ()
    for part in PARTS:
        if part in tables:
            with reading(root, "a data set of Parquet or Arrow files"):
                table = pyarrow.concat_tables(tables[part])
                parts[part] = _part(root, table, size)
                names = names or _class_names(table)
    if "train" not in parts:
        raise DataError(f"{root} has no training images, only {' and '.join(parts)}; expected some")
    return Found(parts, class_names=names)


def _table(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    data = read_bytes(path, available())
    if path.suffix.lower() == ".parquet":
        return parquet.read_table(io.BytesIO(data))
    source = pyarrow.py_buffer(data)
    opened = pyarrow.ipc.open_file if data[:6] == b"ARROW1" else pyarrow.ipc.open_stream
    table = opened(source).read_all()
    table.validate(full=True)  # offsets beyond the data would end the process
    return table


def _part(root: Path, table: Any, size: int | None) -> Part:
    import pyarrow

    columns = list(table.column_names)
    labels = [name for name in columns if role_of(name) == "labels"]
    others = [name for name in columns if name not in labels[:1]]
    images = [name for name in others if _holds_images(table.schema.field(name).type)]
    images.sort(key=lambda name: role_of(name) != "images")
    numeric = [
        name
        for name in others
        if pyarrow.types.is_integer(kind := table.schema.field(name).type)
        or pyarrow.types.is_floating(kind)
        or pyarrow.types.is_boolean(kind)
    ]
    if images:
        pixels = _of_lists(root, table.column(images[0]))
        if pixels is None:
            pixels = _images(root, table.column(images[0]).to_pylist(), size)
    elif numeric:
        check_fits(root, table.num_rows * len(numeric), 8)
        pixels = np.stack([_column(table, name) for name in numeric], axis=1)
    else:
        described = ", ".join(f"{name} {table.schema.field(name).type}" for name in columns)
        raise DataError(
            f"{root} has the columns {described[:300]}; expected one of images or lists of numbers"
        )
    return Part(pixels, _column(table, labels[0]) if labels else None)


def _column(table: Any, name: str) -> NDArray[Any]:
    return np.array(table.column(name).to_pylist())


def _holds_images(kind: Any) -> bool:
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    binary = pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)
    lists = pyarrow.types.is_list(kind) or pyarrow.types.is_fixed_size_list(kind)
    return bool(binary or lists)


def _of_lists(root: Path, column: Any) -> NDArray[Any] | None:
    """Lists of numbers, perhaps of lists, as an array; None where it is of something else."""
    import pyarrow
    from pyarrow import compute

    values, shape = column.combine_chunks(), [len(column)]
    if isinstance(values, pyarrow.ChunkedArray):
        values = values.chunk(0)
    while pyarrow.types.is_list(values.type) or pyarrow.types.is_fixed_size_list(values.type):
        lengths = set(compute.list_value_length(values).unique().to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise DataError(
                f"{root} has lists of different lengths for images; expected one length"
            )
        shape.append(lengths.pop())
        values = values.flatten()
    if len(shape) == 1:
        return None
    check_fits(root, len(values), 8)
    return values.to_numpy(zero_copy_only=False).reshape(shape)


def _images(root: Path, rows: list[Any], size: int | None) -> NDArray[Any]:
    """Of encoded files or lists of numbers."""
    pixels: list[NDArray[Any]] = []
    for number, row in enumerate(rows, 1):
        content = row.get("bytes") if isinstance(row, dict) else row
        if content is None:
            raise DataError(f"{root}, row {number} has no image; expected its bytes in the file")
        with opened_bytes(content, f"{root}, row {number}") as stored:
            image = upright(stored)
            values = read_square(image, size) if size else np.array(to_rgb(image))
        if pixels and values.shape != pixels[0].shape:
            height, width = pixels[0].shape[:2]
            raise DataError(
                f"{root} holds images of different sizes: {width}×{height} and "
                f"{values.shape[1]}×{values.shape[0]}; add --image-size {min(values.shape[:2])}"
            )
        if not pixels:
            check_fits(root, len(rows) * values.size, 1)
        pixels.append(values)
    return np.stack(pixels)


def _class_names(table: Any) -> tuple[str, ...]:
    """That Hugging Face's `ClassLabel` has in the metadata."""
    stored = (table.schema.metadata or {}).get(b"huggingface")
    if stored is None:
        return ()
    features = json.loads(stored).get("info", {}).get("features", {})
    for name, feature in features.items():
        if role_of(name) == "labels" and isinstance(feature, dict) and feature.get("names"):
            return tuple(map(str, feature["names"]))
    return ()
