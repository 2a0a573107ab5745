"""Bytes of files of a stranger: regular files only, nothing unpacked beyond the memory."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from directmax.tool.data.errors import DataError, reason
from directmax.tool.files import RunError, read_bytes, read_head

GZIP = b"\x1f\x8b"
BLOCK = 2**24
_MARKS = (
    *((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32")),
    *((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")),
)
NUMBER = 12
"""Bytes that a run needs of each number: as float32, binarised, and a copy on the way."""


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """What goes wrong with a damaged file, which depends on the damage, is one line.

    Args:
        path: the file.
        what: is expected, such as "a NumPy file".

    Raises:
        DataError: it is missing, no regular file, unreadable, or no such file.
    """
    try:
        yield
    except DataError:
        raise
    except RunError as error:
        raise DataError(f"{error}; give the path of {what}") from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory; take a part of it") from error
    except Exception as error:
        raise DataError(
            f"{path} is no readable {what.removeprefix('a ').removeprefix('an ')}: "
            f"{reason(error)[:200]}; it may be damaged: get it again"
        ) from error


def content(path: Path) -> bytes:
    """The content of a file, unpacked where it begins as gzip does, whatever its name.

    Raises:
        DataError: it, or what it unpacks to, is more than the memory holds.
        RunError: it is missing, unreadable, or a pipe, a device or a folder.
        zlib.error, EOFError: a damaged or incomplete gzip file.
    """
    most = available()
    packed = read_bytes(path, most)
    return _unpacked(path, packed, most) if packed[:2] == GZIP else packed


def encoding_of(text: bytes) -> str:
    """The encoding of a text by its first bytes: that of a byte order mark, or else UTF-8.

    Example:
        >>> encoding_of("Hüte".encode("utf-16")), encoding_of("Hüte".encode())
        ('utf-16', 'utf-8')
    """
    return next((name for mark, name in _MARKS if text.startswith(mark)), "utf-8")


def _unpacked(path: Path, packed: bytes, most: int) -> bytes:
    blocks, size, left = [], 0, packed
    while left[:2] == GZIP:  # files that were joined
        stream = zlib.decompressobj(wbits=31)
        while not stream.eof:
            block = stream.decompress(left, BLOCK)
            if not block and not stream.unconsumed_tail and not stream.eof:
                raise EOFError("its gzip stream breaks off")
            size += len(block)
            if size > most:
                raise too_large(path, size)
            blocks.append(block)
            left = stream.unconsumed_tail
        left = stream.unused_data
    return b"".join(blocks)


def head(path: Path, count: int = 16) -> bytes:
    """The first bytes of a regular file, unpacked; none of one that is damaged.

    Raises:
        RunError: it is unreadable, or a pipe, a device or a folder.
    """
    packed = read_head(path, 1024)
    if packed[:2] != GZIP:
        return packed[:count]
    try:
        return zlib.decompressobj(wbits=31).decompress(packed, count)
    except zlib.error:
        return b""


def check_fits(path: Path, numbers: int, itemsize: int = 4) -> None:
    """Say that numbers do not fit into memory, before anything is allocated.

    Args:
        path: where they are.
        numbers: how many.
        itemsize: bytes of each as it is read.

    Raises:
        DataError: they do not.
    """
    needed = numbers * (itemsize + NUMBER)
    if needed > available():
        raise too_large(path, needed)


def too_large(path: Path, needed: int) -> DataError:
    """The error for data that does not fit."""
    return DataError(
        f"{path} needs about {needed / 2**30:,.1f} GiB of memory, and {available() / 2**30:,.1f} "
        "GiB are free; take a part of it, or smaller images (--image-size for files of images)"
    )


def available() -> int:
    """Bytes of memory that this process may still take: of the machine, and of its container."""
    most = [2**62]
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                most.append(int(line.split()[1]) * 1024)
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        with contextlib.suppress(OSError, ValueError):
            # Pages of files count as used, and are given back: at least a quarter is left.
            whole = int(Path(limit).read_text())
            most.append(max(whole - int(Path(used).read_text()), whole // 4))
    if len(most) == 1:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            most.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(most)
