"""Damaged files of every form: images, or one line; never anything else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_files import FORMS

from directmax.tool.data import DataError, ImageData

FEW, MANY = 3, 150
"""Damaged copies of a form: always, and when there is time."""


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Cut, with other bytes, with more or fewer of them, or with a number made huge."""
    data = bytearray(content)
    where = draw.randrange(len(data))
    kind = draw.randrange(5)
    if kind == 0:
        return bytes(data[:where])
    if kind == 1:
        for _ in range(draw.randrange(1, 20)):
            data[draw.randrange(len(data))] = draw.randrange(256)
    elif kind == 2:
        data[where:where] = draw.randbytes(draw.randrange(1, 9))
    elif kind == 3:
        del data[where : where + draw.randrange(1, 9)]
    else:
        start = draw.randrange(min(64, len(data)))  # of the header
        data[start : start + 4] = draw.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4)])
    return bytes(data)


def copies(form: str, folder: Path, count: int) -> Iterator[Path]:
    """The path of the form, again and again with another damage in one of its files."""
    path = FORMS[form](folder)
    draw = random.Random(form)
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file() and each.suffix)
        files = files or sorted(each for each in path.rglob("*") if each.is_file())
    for _ in range(count):
        file = draw.choice(files)
        content = file.read_bytes()
        file.write_bytes(damaged(content, draw))
        yield path
        file.write_bytes(content)


def check(form: str, folder: Path, count: int) -> None:
    refused = 0
    for path in copies(form, folder, count):
        message = ""
        try:
            data = ImageData.from_path(path)
        except DataError as error:
            message, refused = str(error), refused + 1
        except ValueError as error:  # too few images are left to be divided
            message = str(error)
            if "more than" not in message:
                raise
        else:
            assert ((data.train.images >= 0) & (data.train.images <= 1)).all()
        assert "\n" not in message
    assert refused or count == FEW


@pytest.mark.parametrize("form", FORMS)
def test_a_few_damages(form: str, tmp_path: Path) -> None:
    check(form, tmp_path, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_many_damages(form: str, tmp_path: Path) -> None:
    check(form, tmp_path, MANY)
