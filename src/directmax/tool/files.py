"""Files that are whole or absent: written to a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

LARGEST_JSON = 2**26
"""Bytes of a JSON file that is read."""
_HALF = ".half-"
"""How names of files begin that are being written."""
TRIES = 3
"""To take a lock, 0.1 s apart: what a killed process had started ends a moment after it."""
_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that is full, or of what a user may write."""
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class RunError(ValueError):
    """A run folder or one of its files cannot be used; one line that says why and what to do."""


def printable(text: str) -> str:
    r"""A stranger's text on a line: what a terminal obeys, and what is not UTF-8, as in Python.

    Example:
        >>> print(printable("é\n\x1b[31m\udcff"))
        é\n\x1b[31m\udcff
    """
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path`, so that a crash leaves the old file or the new one.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    # A name of a file that is not UTF-8 may be in a text.
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        # Of a name so much that the longest one still is a name.
        prefix = f"{_HALF}{path.name[:50]}."
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix)
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


def tidy(folder: Path) -> None:
    """Remove what a killed process left half-written; for the only writer of a folder."""
    for old in folder.glob(f"{_HALF}*"):
        old.unlink(missing_ok=True)


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """The content of a regular file: no read that may never end, and none that fills the memory.

    Args:
        path: the file.
        limit: bytes that it may have; None where its writer decides.

    Raises:
        RunError: it is missing, unreadable, too long, or a pipe, a device or a folder.
    """
    with _regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise RunError(
                f"{path} is damaged: it has {size:,} bytes, and at most {limit:,} are expected"
            )
        return file.read()


def read_head(path: Path, count: int) -> bytes:
    """The first bytes of a regular file.

    Raises:
        RunError: it is missing, unreadable, or a pipe, a device or a folder.
    """
    with _regular(path) as file:
        return file.read(count)


@contextlib.contextmanager
def _regular(path: Path) -> Iterator[IO[bytes]]:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _NOT_WAITING), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RunError(f"{path} is no regular file; expected a file")
            yield file
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist; is the path right?") from error
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: the file is missing, unreadable or no JSON object.
    """
    content = read_bytes(path, LARGEST_JSON)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged or unreadable ({error})") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: expected a JSON object, got {type(value).__name__}")
    return value


def user_path(path: str | Path) -> Path:
    """A path as a user writes it, also with `~`.

    Raises:
        RunError: there is no such home folder, or it is no path.
        TypeError: it is neither a text nor a path.
    """
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"a path must be a text or a path, got {path!r}")
    try:
        os.fsencode(path)
        if b"\0" in os.fsencode(path):
            raise RunError(f"{os.fspath(path)!r} is no path: it holds a zero byte")
        return Path(os.fsdecode(path)).expanduser()
    except (RuntimeError, UnicodeEncodeError) as error:
        raise RunError(f"cannot use the path {os.fspath(path)!r}: {error}") from error


def output_file(output: str | Path, *suffixes: str) -> Path:
    """Where a file that a user asks for can be written.

    Args:
        output: as the user wrote it.
        suffixes: with one of which its name must end.

    Raises:
        ValueError: it cannot.
    """
    path = user_path(output)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"--output must end in {' or '.join(suffixes)}, got {output}")
    try:
        if not path.absolute().parent.is_dir():
            raise ValueError(f"cannot write {output}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise ValueError(f"cannot write {output}: it is a folder")
    except OSError as error:  # such as a name that is too long
        raise cannot_write(path, error) from error
    return path


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


@contextlib.contextmanager
def making_folder(path: Path) -> Iterator[None]:
    """`make_folder`; where what is then written fails, no folder is left that was made for it.

    Raises:
        RunError: it cannot be made.
    """
    new = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    try:
        make_folder(path)
        yield
    except BaseException:
        for folder in new:
            with contextlib.suppress(OSError):  # something else is in it
                folder.rmdir()
        raise


def cannot_write(path: Path, error: OSError) -> RunError:
    """The error for a write that failed."""
    reason = error.strerror or str(error)
    if isinstance(error, FileExistsError):  # of a folder that was to be made
        dangling = path.is_symlink() and not path.exists()
        reason = "it is a link to nothing" if dangling else "it is a file, and no folder"
    space = "free some space or " if error.errno in _SPACE else ""
    other = "a shorter name" if error.errno == errno.ENAMETOOLONG else "another folder"
    return RunError(f"cannot write {path}: {reason}; {space}choose {other}")


def add_text(path: Path, text: str, *, sync: bool = False) -> None:
    """Add to the end of a file, made if it is not there.

    Args:
        path: the file.
        text: what is added.
        sync: wait until it is on the disk.

    Raises:
        RunError: it cannot be written, or is a pipe.
    """
    try:
        with _to_add(path) as file:
            file.write(text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


def _to_add(path: Path) -> IO[str]:
    """Opened without waiting for whoever reads a pipe."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NOT_WAITING
    return os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8", newline="")


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
        file = _to_add(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    with file:
        yield _take(path, file, wait)


def _take(path: Path, file: IO[str], wait: bool) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: no lock
        return True
    for remaining in range(TRIES, -1, -1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            if remaining:
                time.sleep(0.1)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunError(
                f"cannot lock {path}: {reason}; choose a folder on a file system with locks"
            ) from error
        else:
            return True
    return False


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and value - value != 0:  # NaN or infinite
        return None
    return value
