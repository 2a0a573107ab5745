"""Parquet and Arrow files, as in folders of Hugging Face's `datasets`; read by pyarrow."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.image_files import opened_bytes, read_square, to_rgb, upright
from directmax.tool.data.own.arrays import one_row
from directmax.tool.data.own.coded import WORD, come_again
from directmax.tool.data.own.columns import columns_of, left_out
from directmax.tool.data.own.files import available, check_fits, reading
from directmax.tool.data.own.found import PARTS, Found, Part
from directmax.tool.data.own.words import role_of, split_of
from directmax.tool.files import read_bytes

MISSING = (
    "reading {} needs pyarrow, which is not installed; pip install 'directmax[datasets]', or save "
    "the data as .npz"
)


def read_parquet(
    root: Path, files: Sequence[Path], size: int | None, columns: Sequence[str] = ()
) -> Found:
    """Images and labels of `.parquet` or `.arrow` files.

    A column of images has encoded files (Hugging Face's form), bytes of them, or lists of numbers;
    where no column has, all columns of numbers are the pixels. With others of words that come
    again, or where numbers are not known, they are columns of any kind, given as words.

    Args:
        root: the folder, or the only file.
        files: sorted; the part of the data is in their names or folders.
        size: height and width to which images are resized.
        columns: of any kind, as another file has them that this one is to be read like.

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
    notes: list[str] = []
    with reading(root, "a data set of Parquet or Arrow files"):
        joined = {part: pyarrow.concat_tables(tables[part]) for part in PARTS if part in tables}
        alike = bool(columns) and all(set(columns) <= set(t.column_names) for t in joined.values())
        kinds = list(columns) if alike else _columns_of_any_kind(list(joined.values()))
        for part, table in joined.items():
            parts[part] = _part(root, table, size, notes, kinds)
            names = names or _class_names(table)
    if "train" not in parts:
        raise DataError(f"{root} has no training images, only {' and '.join(parts)}; expected some")
    shown = tuple(kinds or ())
    return Found(parts, list(dict.fromkeys(notes)), names, shown)


def _columns_of_any_kind(tables: Sequence[Any]) -> list[str] | None:
    """Names of the columns of numbers and words; None where numbers alone tell rows apart.

    Words are those that come again: others are names or text.
    """
    from pyarrow import compute, types

    table = tables[0]
    names, found = list(table.column_names), columns_of(list(table.column_names))
    if len(set(names)) < len(names) or any(each.column_names != names for each in tables):
        return None
    kinds = {name: table.schema.field(name).type for name in names}
    if any(_holds_images(kind) for kind in kinds.values()):
        return None
    label = next((name for name in names if role_of(name) == "labels"), None)
    pixels = [names[i] for i in found.pixels if names[i] != label]
    count = sum(each.num_rows for each in tables)
    words, unknown = set(), False
    for name in pixels:
        columns = [each.column(name) for each in tables]
        if types.is_string(kinds[name]) or types.is_large_string(kinds[name]):
            different = {word for each in columns for word in compute.unique(each).to_pylist()}
            if come_again(len(different), count):
                words.add(name)
        elif _is_numeric(kinds[name]):
            unknown = unknown or any(each.null_count for each in columns)
    if not words and not unknown:
        return None
    return [name for name in pixels if name in words or _is_numeric(kinds[name])]


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    return any(is_(kind) for is_ in (types.is_integer, types.is_floating, types.is_boolean))


def _cells(root: Path, table: Any, names: Sequence[str]) -> NDArray[Any]:
    """Columns of any kind as words, `(N, columns)`."""
    check_fits(root, table.num_rows * len(names), WORD)
    found = np.empty((table.num_rows, len(names)), dtype=object)
    for number, name in enumerate(names):
        values = table.column(name).to_pylist()
        found[:, number] = [
            "" if each is None else str(int(each) if isinstance(each, bool) else each).strip()
            for each in values
        ]
    return found


def _table(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    data = read_bytes(path, available())
    if path.suffix.lower() == ".parquet":
        # Not `read_table`, for which columns must have different names.
        return _plain(parquet.ParquetFile(io.BytesIO(data)).read())
    source = pyarrow.py_buffer(data)
    opened = pyarrow.ipc.open_file if data[:6] == b"ARROW1" else pyarrow.ipc.open_stream
    table = opened(source).read_all()
    table.validate(full=True)  # offsets beyond the data would end the process
    return _plain(table)


def _plain(table: Any) -> Any:
    """Without dictionaries, decimals, long lists and views: their values as usual types."""
    from pyarrow import binary, float64, list_, types

    for number, stored in enumerate(table.schema):
        kind = stored.type
        if types.is_dictionary(kind):
            kind = kind.value_type
        if types.is_decimal(kind):
            kind = float64()
        elif types.is_large_list(kind):
            kind = list_(kind.value_type)
        elif types.is_binary_view(kind):
            kind = binary()
        if kind != stored.type:
            table = table.set_column(number, stored.name, table.column(number).cast(kind))
    return table


def _part(
    root: Path, table: Any, size: int | None, notes: list[str], any_kind: Sequence[str] | None
) -> Part:
    names, kinds = list(table.column_names), [each.type for each in table.schema]
    if not table.num_rows:
        raise DataError(f"{root} has no rows; expected one for each image")
    found = columns_of(names)
    label = next((i for i, name in enumerate(names) if role_of(name) == "labels"), None)
    others = [i for i in range(len(names)) if i != label]
    images = [i for i in others if _holds_images(kinds[i])]
    images.sort(key=lambda i: role_of(names[i]) != "images")
    numeric = [i for i in found.pixels if i != label and _is_numeric(kinds[i])]
    if images:
        pixels = _of_lists(root, table.column(images[0]))
        if pixels is None:
            pixels = _images(root, table.column(images[0]).to_pylist(), size)
    elif any_kind is not None:
        pixels = _cells(root, table, any_kind)
        notes += left_out(names, [i for i in others if names[i] not in any_kind])
    elif numeric:
        check_fits(root, table.num_rows * len(numeric), 8)
        pixels = np.stack([_numbers(root, table, i) for i in numeric], axis=1)
        notes += left_out(names, [i for i in others if i not in numeric])
    else:
        described = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
        raise DataError(
            f"{root} has the columns {described[:300]}; expected one of images or lists of numbers"
        )
    return Part(pixels, None if label is None else _labels(table, label, notes))


def _numbers(root: Path, table: Any, number: int) -> NDArray[Any]:
    """A column of pixels."""
    column = table.column(number)
    if column.null_count:
        row = column.is_null().to_pylist().index(True) + 1
        raise DataError(
            f"{root}: row {row}, column {number + 1} ({table.column_names[number][:40]}) is empty; "
            "expected numbers in every row"
        )
    return np.array(column.to_pylist())


def _labels(table: Any, number: int, notes: list[str]) -> NDArray[Any] | None:
    """A column of labels; None where it holds neither numbers nor words."""
    import pyarrow

    column, values = table.column(number), None
    if not pyarrow.types.is_nested(column.type):
        return np.array(column.to_pylist())
    with contextlib.suppress(ValueError):  # of different lengths
        values = np.array(column.to_pylist())
    values = None if values is None or values.dtype.kind not in "biuf" else one_row(values)
    if values is None:
        notes += left_out(table.column_names, [number])
    return values


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
    """That Hugging Face's `ClassLabel` has in the metadata; none where these are of other form."""
    stored = (table.schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(stored or b"{}")["info"]["features"].items()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    for name, feature in features:
        if role_of(name) == "labels" and isinstance(feature, dict):
            given = feature.get("names")
            if isinstance(given, list) and given:
                return tuple(map(str, given))
    return ()
