"""Files as disks, transfers and hands damage them, and what a reader may do with one.

    def test_my_reader(tmp_path):
        path = tmp_path / "images.bin"
        survives(path, content, lambda: my_reader(path), error=DataError, count=300)

A reader says in one line what is wrong and names the file, or returns something that `right`
accepts: no other exception, no hang, no memory that the file does not need.
"""

from __future__ import annotations

import random
import resource
import signal
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 20
"""In which a small file is read, however damaged."""
MEMORY = 600 * 2**20
"""Bytes by which the process may grow meanwhile."""
_NUMBERS = (0, 1, 2**7, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_WORDS = (b"", b"\0", b"-1", b"nan", b"1e999", b"9" * 5000, b"\xff\xfe", b"\n\n", b"\r", b" ")
_WORDS += (b"[" * 3000, b"{}", b"../", b"\xe2\x80\xa8", b"\x1b[31m", "é".encode(), b"%s", b"null")


def damages(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """So many damaged copies; each of its own, and the same ones at every call."""
    draw = random.Random(seed)
    fixed = [b"", content[:1], content[: len(content) // 2], content[:-1], content + content]
    fixed += [content + b"\0", b"\0" * len(content), content[::-1]]
    for number in range(count):
        if number < len(fixed):
            yield fixed[number]
            continue
        spoilt = bytearray(content)
        for _ in range(draw.choice((1, 1, 1, 2, 5, 50))):
            draw.choice(_KINDS)(spoilt, draw)
        yield bytes(spoilt)


def _where(content: bytearray, draw: random.Random) -> int:
    """Anywhere; half of the time near an end, where headers and tables are."""
    size = len(content)
    near = min(size, 200)
    return draw.choice(
        (
            draw.randrange(size + 1),
            draw.randrange(size + 1),
            draw.randrange(near + 1),
            size - draw.randrange(near + 1),
        )
    )


def _bit(content: bytearray, draw: random.Random) -> None:
    if content:
        content[min(_where(content, draw), len(content) - 1)] ^= 1 << draw.randrange(8)


def _byte(content: bytearray, draw: random.Random) -> None:
    if content:
        content[min(_where(content, draw), len(content) - 1)] = draw.choice((0, 255, 32, 10, 46))


def _number(content: bytearray, draw: random.Random) -> None:
    """A length, a count or an offset becomes another."""
    code = draw.choice(("<H", "<I", ">I", ">H", "<Q", ">Q"))
    size = struct.calcsize(code)
    where = _where(content, draw)
    if where + size <= len(content):
        value = draw.choice(_NUMBERS) % 2 ** (8 * size)
        content[where : where + size] = struct.pack(code, value)


def _cut(content: bytearray, draw: random.Random) -> None:
    where = _where(content, draw)
    del content[where : where + draw.choice((1, 4, 100, len(content)))]


def _again(content: bytearray, draw: random.Random) -> None:
    where, start = _where(content, draw), _where(content, draw)
    content[where:where] = content[start : start + draw.choice((1, 8, 100))]


def _word(content: bytearray, draw: random.Random) -> None:
    where = _where(content, draw)
    content[where : where + draw.choice((0, 1, 5))] = draw.choice(_WORDS)


def _hole(content: bytearray, draw: random.Random) -> None:
    """What a disk lost is zero."""
    where, length = _where(content, draw), draw.choice((4, 64, 512))
    content[where : where + length] = bytes(len(content[where : where + length]))


_KINDS = (_bit, _bit, _byte, _number, _number, _cut, _again, _word, _hole)


def survives(
    path: Path,
    content: bytes,
    read: Callable[[], Any],
    *,
    error: type[Exception] | tuple[type[Exception], ...],
    right: Callable[[Any], bool] = lambda result: True,
    count: int = 300,
    seed: int = 0,
    names: str | None = None,
    seen: float = 0.1,
) -> None:
    """Read so many damaged copies of a file.

    Args:
        path: of the file; whole again at the end.
        content: of it when it is whole.
        read: reads it.
        error: what it raises.
        right: whether a result may be: one that is nowhere checked may differ.
        count: damages.
        seed: of them.
        names: what the message has to name; the file's name where None.
        seen: the share of damages that is refused at least: less where nothing is checked.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for number, damaged in enumerate(damages(content, count, seed)):
        path.write_bytes(damaged)
        case = f"damage {number} of {path.name}, seed {seed}"
        try:
            with warnings.catch_warnings(), in_time(case):
                warnings.simplefilter("ignore")
                result = read()
        except error as fault:
            refused += 1
            message = str(fault)
            assert "\n" not in message, (case, message)
            assert (names or path.name) in message, (case, message)
        except Exception as other:
            raise AssertionError(f"{case}: {type(other).__name__}: {other}") from other
        else:
            assert damaged == content or right(result), case
    path.write_bytes(content)
    assert right(read())
    assert refused >= count * seen, "the damage is not seen"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY, f"{grown:,} bytes"


class in_time:  # noqa: N801 (a context manager)
    """Ends what takes too long."""

    def __init__(self, case: str, seconds: int = SECONDS) -> None:
        self._case, self._seconds = case, seconds

    def __enter__(self) -> None:
        def late(number: int, frame: FrameType | None) -> None:
            raise AssertionError(f"{self._case}: not done in {self._seconds} s")

        self._previous = signal.signal(signal.SIGALRM, late)
        signal.alarm(self._seconds)

    def __exit__(self, *exception: object) -> None:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, self._previous)
