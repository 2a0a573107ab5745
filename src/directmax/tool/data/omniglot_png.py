"""Lake et al.'s Omniglot: archives (or folders) of 105×105 PNG files, resampled to 28×28."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from directmax.tool.data.errors import DataError, reason
from directmax.tool.files import read_bytes

SIDE = 105
"""Height and width of the original images."""

SMALL_SIDE = 28
"""Height and width after resampling."""

LEVELS = 225
"""Resampled grey values are whole multiples of 1/225: see `resample`."""

MOST_BYTES = 2**20
"""Of a drawing; they have some hundred."""

BLOCK = 1024
"""Images resampled at once: 45 MB of float32."""


@dataclass(frozen=True)
class Archive:
    """What one of the official archives holds.

    Attributes:
        name: its name without ".zip", also the folder that it unpacks to.
        num_images: number of PNG files.
        zip_md5: digest of the official zip file (zips made anew from the same images differ).
        sha256: digest of its names and pixels, see `read_archive`.
    """

    name: str
    num_images: int
    zip_md5: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Drawings:
    """Images of an archive, in the order of alphabet, character, file.

    Attributes:
        ink: `(N, 784)`, uint8, amount of ink per pixel, 0 … `LEVELS`.
        alphabets: the name of every image's alphabet.
    """

    ink: NDArray[np.uint8]
    alphabets: list[str]


def read_archive(path: Path, archive: Archive) -> Drawings:
    """Decode and resample all images of an archive, and make sure that it is the official one.

    Official is the zip file with the official MD5, and any other with the same names and pixels.
    Their digest is the SHA-256 over, for every image in order, "alphabet/character/file" and a line
    feed, then the 105·105 pixels packed to bits, ink = 1: it does not depend on how the files are
    compressed.

    Args:
        path: the zip file, or the folder that it was unpacked to.
        archive: what it must hold.

    Raises:
        DataError: unreadable, damaged, incomplete, or of another content.
    """
    advice = f"delete {path} and load again to download {archive.name}.zip"
    digest = hashlib.sha256()
    blocks, alphabets, block = [], [], []
    with _opened(path, advice) as (names, read):
        members = sorted(filter(None, (_member(name, archive.name) for name in names)))
        if len(members) != archive.num_images:
            raise DataError(
                f"{path} holds {len(members)} images {archive.name}/ALPHABET/CHARACTER/*.png, "
                f"expected {archive.num_images}; {advice}"
            )
        for member in members:
            name = "/".join(member)
            try:
                ink = _decode(read(f"{archive.name}/{name}"))
            except (ValueError, SyntaxError, OSError, EOFError, zlib.error) as error:
                if isinstance(error, PermissionError):
                    raise
                raise DataError(
                    f"{path}: {name} is no readable {SIDE}×{SIDE} PNG: {reason(error)}; {advice}"
                ) from error
            digest.update(f"{name}\n".encode(errors="surrogateescape"))
            digest.update(np.packbits(ink).data)
            alphabets.append(member[0])
            block.append(ink)
            if len(block) == BLOCK:
                blocks.append(resample(np.stack(block)))
                block.clear()
    if block:
        blocks.append(resample(np.stack(block)))
    if digest.hexdigest() != archive.sha256 and not _is_official_zip(path, archive):
        raise DataError(
            f"{path} does not hold the official images of {archive.name}: expected SHA-256 "
            f"{archive.sha256} of the pixels, got {digest.hexdigest()}; {advice}"
        )
    return Drawings(np.concatenate(blocks), alphabets)


def resample(ink: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Reduce images from 105×105 to 28×28, each new pixel being the mean over its area.

    One new pixel covers 105/28 = 15/4 old ones along each axis. In quarters of an old pixel,
    every weight is a whole number and the weights of a new pixel sum to 15 along each axis, so
    the sums in 0 … 225 are exact in float32, on every machine.

    Args:
        ink: `(N, 105, 105)`, True where there is ink.

    Returns:
        `(N, 784)`, uint8: the area that is ink, in 1/225 of a new pixel.

    Example:
        >>> resample(np.ones((2, 105, 105), dtype=bool)).min()
        np.uint8(225)
    """
    new = 15 * np.arange(SMALL_SIDE)[:, None]  # where new pixels begin, in quarters
    old = 4 * np.arange(SIDE)[None, :]
    overlap = np.minimum(new + 15, old + 4) - np.maximum(new, old)
    weights = overlap.clip(min=0).astype(np.float32)  # (28, 105)
    sums = weights @ ink.astype(np.float32) @ weights.T  # (N, 28, 28)
    return sums.astype(np.uint8).reshape(len(ink), -1)


def identify(path: Path) -> str:
    """Return a digest that changes with an archive: of its bytes, or of a folder's file list.

    Raises:
        DataError: the archive cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.png")):
                status = file.stat()
                name = file.relative_to(path).as_posix()
                line = f"{name} {status.st_size} {status.st_mtime_ns}\n"
                digest.update(line.encode(errors="surrogateescape"))
        else:
            with path.open("rb") as content:
                while chunk := content.read(1 << 20):
                    digest.update(chunk)
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {reason(error)}; correct its permissions or replace it"
        ) from error
    return digest.hexdigest()


def _is_official_zip(path: Path, archive: Archive) -> bool:
    """Whether `path` is, byte for byte, the zip file of the official repository."""
    if path.is_dir():
        return False
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False)
    return digest.hexdigest() == archive.zip_md5


@contextmanager
def _opened(path: Path, advice: str) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """Open a zip file or folder: names with forward slashes, and a function that reads one."""
    try:
        if path.is_dir():
            parent = path.parent
            names = [file.relative_to(parent).as_posix() for file in path.rglob("*.png")]
            yield names, lambda name: read_bytes(parent / name, MOST_BYTES)
        else:
            with zipfile.ZipFile(path) as archive:
                yield archive.namelist(), functools.partial(_read, archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} is a damaged zip file: {reason(error)}; {advice}") from error
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {reason(error)}; correct its permissions or replace it"
        ) from error


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of the archive, whose size is known before it is unpacked."""
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ValueError(f"it has {archive.getinfo(name).file_size:,} bytes unpacked")
    return archive.read(name)


def _member(name: str, top: str) -> tuple[str, str, str] | None:
    """Split "top/alphabet/character/file.png"; None for anything else in an archive."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != top or not parts[3].endswith(".png"):
        return None
    return None if parts[3].startswith(".") else (parts[1], parts[2], parts[3])


def _decode(data: bytes) -> NDArray[np.bool_]:
    """Decode a PNG to (105, 105), True where there is ink; in the file ink is black."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.size != (SIDE, SIDE):
            raise ValueError(f"it has {image.size[0]}×{image.size[1]} pixels")
        return np.asarray(image.convert("L")) < 128
