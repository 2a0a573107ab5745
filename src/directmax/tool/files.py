"""Files that are whole or absent: written to a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


class RunError(ValueError):
    """A run folder or one of its files cannot be used; one line that says why and what to do."""


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path`, so that a crash leaves the old file or the new one.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically. NaN and infinities become null, so that the file is valid JSON."""
    write_atomic(path, json.dumps(_finite(value), indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: the file is missing, unreadable or no JSON object.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would not end
            raise RunError(f"{path} is damaged: expected a file")
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist; is this the folder of a run?") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise RunError(f"{path} is damaged or unreadable ({error})") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: expected a JSON object, got {type(value).__name__}")
    return value


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """What lacks an entry, or has one of another type, is this file.

    Raises:
        RunError: it was so.
    """
    try:
        yield
    except RunError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{file} is damaged: {error!r}") from error


def make_folder(path: Path) -> None:
    """Make a folder, and those it is in, unless it is there.

    Raises:
        RunError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> RunError:
    """The error for a write that failed."""
    reason = error.strerror or str(error)
    return RunError(f"cannot write {path}: {reason}; free some space or choose another folder")


@contextlib.contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock of the operating system; yields whether it is ours. It ends with the process.

    Args:
        path: the file that is locked; made if it is not there.
        wait: for whoever holds it.

    Raises:
        RunError: the file cannot be written, or the file system has no locks.
    """
    try:
        file: IO[str] = path.open("a")
    except OSError as error:
        raise cannot_write(path, error) from error
    with file:
        yield _take(file, wait)


def _take(file: IO[str], wait: bool) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: no lock
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"cannot lock {file.name}: {reason}; choose a folder on a file system with locks"
        ) from error
    return True


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and value - value != 0:  # NaN or infinite
        return None
    return value
