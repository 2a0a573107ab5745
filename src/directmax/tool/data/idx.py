"""IDX files of unsigned bytes, plain or in gzip, judged by their content.

An IDX file is a header of big-endian numbers (two zero bytes, the type: 8 for unsigned bytes, the
number of axes, then one 32-bit length per axis) and the values, last axis fastest. Mirrors wrap
the same content in different gzip files, so digests are of the decompressed bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from directmax.tool.data.errors import DataError, reason

ADVICE = "delete it and load again to download the official file"


@dataclass(frozen=True)
class IdxFile:
    """What an official IDX file holds.

    Attributes:
        title: what it is, for messages: "MNIST training images".
        name: its file name without ".gz".
        shape: lengths of its axes.
        md5: digest of its decompressed bytes, header included.
    """

    title: str
    name: str
    shape: tuple[int, ...]
    md5: str

    @property
    def magic(self) -> bytes:
        """The first four bytes: unsigned bytes, so many axes."""
        return bytes((0, 0, 8, len(self.shape)))

    @property
    def num_bytes(self) -> int:
        """Length of the decompressed file."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


def as_idx(values: NDArray[np.uint8]) -> bytes:
    """An array in the form of an IDX file."""
    return (
        bytes((0, 0, 8, values.ndim))
        + struct.pack(f">{values.ndim}I", *values.shape)
        + (np.ascontiguousarray(values, np.uint8).tobytes())
    )


def read_idx(path: Path, expected: IdxFile, others: tuple[IdxFile, ...] = ()) -> NDArray[np.uint8]:
    """Read an IDX file and make sure that it is the official one.

    Whether it is compressed is seen from its first bytes, not from its name.

    Args:
        path: the file, plain or in gzip.
        expected: what it must hold.
        others: official files it may be mistaken for, named in the message if it is one.

    Returns:
        `expected.shape`, uint8, read-only.

    Raises:
        DataError: unreadable, damaged, truncated, no IDX file, or not the official bytes.
    """
    data = _read(path, expected.num_bytes + 1)
    if not data:
        raise DataError(f"{path} is empty, expected the {expected.title}; {ADVICE}")
    if data[:4] != expected.magic:
        raise DataError(
            f"{path} is not an IDX file of bytes with {len(expected.shape)} axes: it starts with "
            f"0x{data[:4].hex()}, expected 0x{expected.magic.hex()} ({expected.title}); {ADVICE}"
        )
    header = 4 + 4 * len(expected.shape)
    if len(data) < header:
        raise DataError(
            f"{path} is truncated: {len(data)} bytes, expected a header of {header}; {ADVICE}"
        )
    shape = struct.unpack(f">{len(expected.shape)}I", data[4:header])
    if shape != expected.shape:
        raise DataError(
            f"{path} holds {_times(shape)} bytes, expected {_times(expected.shape)} "
            f"({expected.title}); {ADVICE}"
        )
    if len(data) != expected.num_bytes:
        fault = "is truncated" if len(data) < expected.num_bytes else "is too long"
        received = (
            f"{len(data)}" if len(data) < expected.num_bytes else f"more than {len(data) - 1}"
        )
        raise DataError(
            f"{path} {fault}: {received} bytes decompressed, expected {expected.num_bytes} "
            f"({expected.title}); {ADVICE}"
        )
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != expected.md5:
        hint = next((f" (these are the {o.title})" for o in others if o.md5 == digest), "")
        raise DataError(
            f"{path} is not the official {expected.title}: expected MD5 {expected.md5} of the "
            f"decompressed bytes, got {digest}{hint}; {ADVICE}"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read(path: Path, limit: int) -> bytes:
    """Read at most `limit` bytes of content."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not compressed:
                return file.read(limit)
            with gzip.open(file) as content:
                return content.read(limit)
    except EOFError as error:
        raise DataError(f"{path} is truncated: its gzip stream breaks off; {ADVICE}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: {reason(error)}; {ADVICE}") from error
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {reason(error)}; correct its permissions or replace it"
        ) from error


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(length) for length in shape)
