"""IDX files of any content: the form of MNIST's, under any name, plain or in gzip."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError
from directmax.tool.data.own.files import check_fits, content, reading

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""Third byte of the file → type of its numbers."""
MOST_AXES = 4


def is_idx(head: bytes) -> bool:
    """Whether the first bytes of a file, unpacked, are those of an IDX file.

    Example:
        >>> is_idx(bytes((0, 0, 8, 3))), is_idx(b"PK")
        (True, False)
    """
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in TYPES and 0 < head[3] <= MOST_AXES


def labels_beside(path: Path) -> Path | None:
    """The labels of a file of images, if it has the usual name and they lie beside it.

    Example:
        >>> labels_beside(Path("train.idx"))  # no usual name
    """
    name = path.name.lower().removesuffix(".gz")
    if "images" not in name:
        return None
    wanted = name.replace("images", "labels").replace("idx3", "idx1")
    for other in sorted(path.parent.iterdir()):
        if other.name.lower().removesuffix(".gz") == wanted and other.is_file():
            return other
    return None


def read_idx_array(path: Path) -> NDArray[Any]:
    """The array of an IDX file.

    Raises:
        DataError: damaged, incomplete, or too large.
    """
    with reading(path, "an IDX file"):
        data = content(path)
        if not is_idx(data):
            raise DataError(
                f"{path} is no IDX file: it starts with 0x{data[:4].hex()}, expected 0x00000803 "
                "(images) or 0x00000801 (labels)"
            )
        axes, dtype = data[3], np.dtype(TYPES[data[2]])
        shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
        count, rest = math.prod(shape), len(data) - 4 - 4 * axes
        if count * dtype.itemsize != rest:
            raise DataError(
                f"{path} is damaged: its header says {'×'.join(map(str, shape))} numbers of "
                f"{dtype.itemsize} bytes, and {rest:,} bytes follow; get it again"
            )
        check_fits(path, count, dtype.itemsize)
        array = np.frombuffer(data, dtype, offset=4 + 4 * axes).reshape(shape)
        return array.astype(dtype.newbyteorder("="))
