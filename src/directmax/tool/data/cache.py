"""A cache file of prepared arrays: written in one step, checked when read, never needed."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_cache(path: Path) -> dict[str, NDArray] | None:
    """Return the arrays in a cache file, or None if it is absent, unreadable or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        digest = str(arrays.pop("digest"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError):
        return None
    except (NotImplementedError, RuntimeError, SyntaxError, TypeError, AttributeError):
        return None  # bytes that were damaged into an unknown compression, an odd header, a .npy
    return arrays if digest == _digest(arrays) else None


def write_cache(path: Path, arrays: dict[str, NDArray]) -> None:
    """Write the arrays to a cache file in one step; where that is impossible, do nothing."""
    contents: dict[str, Any] = {**arrays, "digest": np.array(_digest(arrays))}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".directmax-", dir=path.parent) as scratch:
            finished = Path(scratch) / path.name
            np.savez(finished, **contents)
            finished.replace(path)


def _digest(arrays: dict[str, NDArray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest()
