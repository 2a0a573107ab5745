"""Small data files of every format, and what a web server should answer."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pooch
import pytest
from numpy.typing import NDArray
from PIL import Image

from directmax.tool.data.mnist import Family


def use_cache(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let `folder / "directmax"` be the user's cache folder."""
    patch.setattr(pooch, "os_cache", lambda project: folder / project)


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@dataclass
class SmallMnist:
    """A data set in the form of MNIST with 30 + 10 images of 4×3 pixels."""

    family: Family
    arrays: list[NDArray[np.uint8]]

    def write(self, root: Path, suffix: str = ".gz") -> Path:
        """Write the four files below a data folder, and return their folder."""
        folder = root / self.family.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.contents(suffix).items():
            (folder / name).write_bytes(content)
        return folder

    def contents(self, suffix: str = ".gz") -> dict[str, bytes]:
        """File name → content."""
        wrap = gzip.compress if suffix else bytes
        pairs = zip(self.family.files, self.arrays, strict=True)
        return {file.name + suffix: wrap(idx_bytes(array)) for file, array in pairs}


def png_bytes(ink: NDArray[np.bool_]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(~ink).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class SmallOmniglot:
    """Two archives with 6 alphabets of 2 characters, 5 drawings each: 60 images."""

    drawings: dict[str, dict[str, NDArray[np.bool_]]]
    root: Path = field(default_factory=Path)

    def zip_bytes(self, archive: str, changes: dict[str, bytes | None] | None = None) -> bytes:
        """An archive with an entry for its folder and a stray file; entries may be changed."""
        entries: dict[str, bytes | None] = {f"{archive}/": b"", f"__MACOSX/{archive}/x.png": b"?"}
        for name, ink in reversed(self.drawings[archive].items()):  # not in order
            entries[f"{archive}/{name}"] = png_bytes(ink)
        entries |= changes or {}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            for name, content in entries.items():
                if content is not None:
                    file.writestr(name, content)
        return buffer.getvalue()

    def write(self, root: Path) -> Path:
        """Write both zip files below a data folder, and return their folder."""
        folder = root / "omniglot-py"
        folder.mkdir(parents=True, exist_ok=True)
        for archive in self.drawings:
            (folder / f"{archive}.zip").write_bytes(self.zip_bytes(archive))
        return folder

    def ordered(self) -> tuple[NDArray[np.bool_], list[str]]:
        """All drawings in the loader's order, and their alphabets."""
        names = [(a, n) for a, part in self.drawings.items() for n in sorted(part)]
        return (
            np.stack([self.drawings[a][n] for a, n in names]),
            [n.split("/")[0] for _, n in names],
        )


@dataclass
class Server:
    """A web server on this machine: path → content, or an HTTP status."""

    url: str
    answers: dict[str, bytes | int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
