"""MATLAB files, versions 4 to 7: looked through before scipy reads them.

scipy's reader believes the types, sizes and indices that it finds in a file; wrong ones end the
process.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Of a number, by the type of data."""
_TEXTS = (1, 2, 3, 4, 16, 17, 18)
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_CELL, _CHAR, _SPARSE, _NUMERIC = 1, 4, 5, range(6, 16)
_OPAQUE = 17
_DEPTH = 8
"""Of cells in cells."""
_HEADER, _PADDING = 128, 7

Part = tuple[int, memoryview]
"""A type of data, and its bytes."""


class Mat:
    """The content of a `.mat` file.

    Args:
        content: of the file.
        limit: bytes that a variable may be unpacked to.

    Raises:
        ValueError: it is damaged, or not of this format.
    """

    def __init__(self, content: bytes, limit: int) -> None:
        self.content = content
        if 0 in content[:4]:  # version 4, which is read in Python
            self._readable = {name for name, *_ in self._listed()}
            return
        if len(content) < _HEADER:
            raise ValueError(f"a header of {_HEADER} bytes is expected")
        order = "<" if content[_HEADER - 2 : _HEADER] == b"IM" else ">"
        walk = _Walk(order, limit)
        self._readable = set(walk.variables(memoryview(content)[_HEADER:]))

    def shapes(self) -> list[tuple[str, tuple[int, ...], str]]:
        """Name, shape and MATLAB's type of every array that can be read; structures cannot."""
        return [each for each in self._listed() if each[0] in self._readable]

    def read(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """The arrays of these names that can be read."""
        wanted = [name for name in names if name in self._readable]
        if not wanted:
            return {}
        import scipy.io  # slow to import

        found = scipy.io.loadmat(io.BytesIO(self.content), variable_names=wanted)
        for array in found.values():
            if scipy.sparse.issparse(array):
                array.check_format(full_check=True)
        return {name: found[name] for name in wanted if name in found}

    def _listed(self) -> list[tuple[str, tuple[int, ...], str]]:
        import scipy.io

        listed: list[tuple[str, tuple[int, ...], str]] = scipy.io.whosmat(io.BytesIO(self.content))
        return listed


class _Walk:
    """Through the elements of a file of version 5 or later."""

    def __init__(self, order: str, limit: int) -> None:
        self.order, self.limit = order, limit

    def variables(self, data: memoryview) -> list[str]:
        """The names of those that scipy can read; the headers of all are checked."""
        names, start = [], 0
        while start < len(data):
            kind, size = self._numbers(data[start : start + 8])
            if start + 8 + size > len(data):
                raise ValueError("it breaks off")
            element = data[start + 8 : start + 8 + size + _PADDING]
            if kind == _COMPRESSED:
                kind, element = self._unpacked(element)
            if kind != _MATRIX:
                raise ValueError(f"an array is expected, got an element of type {kind}")
            name, readable = self._matrix(element, 0)
            names += [name] if readable else []
            start += 8 + size
        return names

    def _unpacked(self, element: memoryview) -> Part:
        stream = zlib.decompressobj()
        data = memoryview(stream.decompress(element, self.limit))
        if not stream.eof:
            raise ValueError("a compressed array breaks off, or is more than the memory holds")
        kind, size = self._numbers(data[:8])
        if size > len(data) - 8:
            raise ValueError("a compressed array breaks off")
        return kind, data[8 : 8 + size + _PADDING]

    def _matrix(self, data: memoryview, depth: int) -> tuple[str, bool]:
        """The name of an array, and whether it is of numbers, texts or cells of such."""
        if depth and not len(data):
            return "", True  # an empty cell
        (kind, flags), rest = self._part(data)
        if (kind, len(flags)) != (_UINT32, 8):
            raise ValueError("an array without its flags")
        word = self._numbers(flags)[0]
        which, parts = word & 0xFF, 2 if word & 0x800 else 1  # complex numbers have two
        if which == _OPAQUE:
            return "", False
        (kind, sizes), rest = self._part(rest)
        if kind != _INT32 or len(sizes) % 4 or not 8 <= len(sizes) <= 128:
            raise ValueError("an array without its shape")
        shape = struct.unpack(f"{self.order}{len(sizes) // 4}i", sizes)
        if min(shape) < 0:
            raise ValueError(f"an array of shape {shape}")
        (kind, name), rest = self._part(rest)
        if kind != _INT8:
            raise ValueError("an array without its name")
        readable, rest = self._content(which, parts, math.prod(shape), rest, depth)
        if depth and readable and len(rest):  # scipy would go on where this one ends
            raise ValueError("a cell of another size than it says")
        return bytes(name).decode("latin1"), readable

    def _content(
        self, which: int, parts: int, count: int, rest: memoryview, depth: int
    ) -> tuple[bool, memoryview]:
        """Whether scipy can read it, and what follows."""
        if which == _CELL and depth < _DEPTH:
            return self._cells(count, rest, depth)
        if which == _CHAR:
            (kind, data), rest = self._part(rest)
            if kind not in _TEXTS or (count > 2**16 and not len(data)):  # blanks
                raise ValueError("an array of texts is damaged")
            return True, rest
        if which == _SPARSE:
            for _ in range(2 + parts):  # rows, columns, numbers
                _, rest = self._values(rest)
            return True, rest
        if which in _NUMERIC:
            for _ in range(parts):
                found, rest = self._values(rest)
                if found != count:
                    raise ValueError(f"an array of {count} numbers has {found}")
            return True, rest
        return False, rest  # a structure, an object or a function

    def _cells(self, count: int, rest: memoryview, depth: int) -> tuple[bool, memoryview]:
        readable = True
        for _ in range(count):
            (kind, data), rest = self._part(rest)
            if kind != _MATRIX:
                raise ValueError("a cell without an array")
            readable = self._matrix(data, depth + 1)[1] and readable
        return readable, rest

    def _values(self, data: memoryview) -> tuple[int, memoryview]:
        """How many numbers there are, and what follows."""
        (kind, values), rest = self._part(data)
        if kind not in _BYTES or len(values) % _BYTES[kind]:
            raise ValueError(f"numbers of an unknown type ({kind})")
        return len(values) // _BYTES[kind], rest

    def _part(self, data: memoryview) -> tuple[Part, memoryview]:
        """The first element of data, and what follows."""
        if len(data) < 8:
            raise ValueError("it breaks off")
        (first,) = struct.unpack(f"{self.order}I", data[:4])
        if first >> 16:  # up to four bytes in the place of their number
            kind, size, start, end = first & 0xFFFF, first >> 16, 4, 8
            if size > 4:
                raise ValueError(f"a short element of {size} bytes")
        else:
            kind, size, start = first, self._numbers(data[:8])[1], 8
            end = start + (size + 7) // 8 * 8
        if end > len(data):
            raise ValueError("it breaks off")
        return (kind, data[start : start + size]), data[end:]

    def _numbers(self, data: memoryview) -> tuple[int, int]:
        if len(data) < 8:
            raise ValueError("it breaks off")
        first, second = struct.unpack(f"{self.order}II", data)
        return first, second
