"""`.npy` and `.npz` files, whose headers are judged before anything is allocated."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.files import available, check_fits, content, reading
from directmax.tool.data.own.words import is_names, role_of
from directmax.tool.files import read_bytes

MOST_MEMBERS = 10_000
MOST_FIELDS = 6
"""Of a record, that a message lists."""


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file, also in gzip.

    Raises:
        DataError: damaged, too large, or of no numbers.
    """
    with reading(path, "a NumPy file"):
        data = content(path)
        array = _array(path, path.name, io.BytesIO(data), len(data))
        if isinstance(array, str):
            raise DataError(f"{path} holds {array}")
        return array


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz` file by name, without those of no numbers and of another use.

    Raises:
        DataError: damaged, too large, or images or labels that are no numbers.
    """
    with reading(path, "a NumPy archive"):
        packed = io.BytesIO(read_bytes(path, available()))
        arrays = {}
        with zipfile.ZipFile(packed) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise DataError(f"{path} holds {len(members):,} arrays; expected a few")
            for member in members:
                if not member.filename.endswith(".npy"):
                    continue
                with archive.open(member) as stream:
                    key = member.filename.removesuffix(".npy")
                    array = _array(path, key, stream, member.file_size)
                if not isinstance(array, str):
                    arrays[key] = array
                elif role_of(key) is not None and not is_names(key):
                    raise DataError(f"{path}: {key} holds {array}")
        return arrays


def _no_numbers(dtype: np.dtype[Any]) -> str | None:
    """What an array of this type holds that is neither numbers nor words, and what to do."""
    if dtype.hasobject:
        found = "Python objects, which are never unpickled"
        return f"{found}; expected an array of numbers: save it with allow_pickle=False"
    if dtype.names:
        fields = ", ".join(map(str, dtype.names[:MOST_FIELDS]))
        more = " …" if len(dtype.names) > MOST_FIELDS else ""
        found = f"records with the fields {fields}{more}"
        return f"{found}; expected an array of numbers: save a field, array[{dtype.names[0]!r}]"
    if dtype.kind == "V" or not dtype.itemsize:
        return f"entries of the type {dtype.str}; expected an array of numbers: convert them"
    return None


def _array(path: Path, key: str, stream: IO[bytes], size: int) -> NDArray[Any] | str:
    """An array, or what it holds in place of numbers."""
    version = np.lib.format.read_magic(stream)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    read = header.get(version)
    if read is None:
        raise ValueError(f"{key} has the unknown version {version}")
    shape, by_columns, dtype = read(stream)
    if (words := _no_numbers(dtype)) is not None:
        return words
    count = math.prod(shape)
    if any(length < 0 for length in shape) or count * dtype.itemsize > size:
        raise ValueError(f"{key} is to have {count:,} entries, more than are in the file")
    check_fits(path, count, dtype.itemsize)
    data = stream.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise EOFError(f"{key} breaks off")
    stream.read(1)  # an archive checks its sum at the end
    array = np.frombuffer(data, dtype=dtype)
    return array.reshape(shape[::-1]).T if by_columns else array.reshape(shape)
