"""What surrounds the command: other processes, caches, the terminal. Imports nothing slow."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import gc
import os
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

LAUNCHER = "DIRECTMAX_LAUNCHER"
"""Environment variable in which the first of several processes leaves its number for the others."""

ENDING = frozenset(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals by which people, terminals, schedulers and service managers end a program."""

NARROWEST = 20
"""Columns; in one of fewer the help could not be laid out, and would not end."""

_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT")
_OF_SCHEDULERS = (
    *_TORCHRUN,
    *("GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"),
    *("JSM_NAMESPACE_RANK", "LSB_JOBID", "LSB_DJOB_RANKFILE"),
)
_OF_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_MOST_THREADS = 1024
_COLLECTED = gc.get_threshold()
_CACHES = ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_HOME")
_PLAIN = {
    **{"−": "-", "–": "-", "—": "-", "·": "*", "×": "x", "…": "...", "█": "#", "ε": "epsilon"},
    **{"“": '"', "”": '"', "’": "'", "±": "+-", "→": "->", "≤": "<=", "≥": ">=", "τ": "tau"},
}


def prepare() -> None:
    """Make the process what it would be on a plain machine, before anything slow is imported.

    Variables that another launcher left are dropped, as libraries would take this process for one
    of several. Caches go to a folder that can be written. Characters that the terminal does not
    have are written in others. Streams that are closed write to nothing. A terminal that has hardly
    any columns has some. The time that a build pretends it is (`SOURCE_DATE_EPOCH`) is dropped, as
    no file of ours has a date: numpy would end at one that is no number.

    Raises:
        ValueError: a number of threads that nobody can have meant.
    """
    _open_streams()
    os.environ.pop("SOURCE_DATE_EPOCH", None)
    os.environ["MPLBACKEND"] = "agg"  # to files; a notebook leaves its own to its commands
    if shutil.get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)
    if not (by_torchrun() or launched()):
        for name in _OF_SCHEDULERS:
            os.environ.pop(name, None)
    missing = [name for name in _CACHES if not _has_place(name)]
    if missing:
        with contextlib.suppress(OSError):  # nowhere at all; whoever needs one says so
            scratch = _scratch()
            for name in missing:
                os.environ[name] = str(scratch / name.split("_")[0].lower())
    codecs.register_error("directmax", _replace)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="directmax")
    _check_threads()


def import_quickly() -> None:
    """Look for garbage seldom: imports make half a million objects that stay."""
    gc.set_threshold(100_000, *_COLLECTED[1:])


def imports_are_done() -> None:
    """Look for garbage as Python does, but not again among what the imports made."""
    gc.freeze()
    gc.set_threshold(*_COLLECTED)


def by_torchrun() -> bool:
    """Whether torchrun started this process, with all that it says to its processes."""
    found = [os.environ.get(name, "") for name in _TORCHRUN]
    return "TORCHELASTIC_RUN_ID" in os.environ and all(each.isdigit() for each in found)


def launched() -> bool:
    """Whether the first of several processes started this one."""
    return os.environ.get(LAUNCHER) == str(os.getppid())


@contextlib.contextmanager
def launching() -> Iterator[None]:
    """Processes that are started inside know who started them.

    Afterwards the environment is as before: whatever else this process starts is not one of them.
    """
    before = {name: os.environ.get(name) for name in (LAUNCHER, *_OF_SCHEDULERS)}
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def is_helper() -> bool:
    """Whether this is not the first of several processes: that one speaks for all."""
    rank = "RANK" if by_torchrun() else "LOCAL_RANK"
    return (by_torchrun() or launched()) and os.environ.get(rank, "0") != "0"


def heard_signals() -> list[signal.Signals]:
    """Those of `ENDING` that end this process: not what is ignored, as Ctrl-C by background jobs
    and the end of a terminal by nohup; none outside the main thread, where Python delivers none."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [number for number in sorted(ENDING) if signal.getsignal(number) != signal.SIG_IGN]


def home_folder() -> Path | None:
    """The user's home folder; None where there is none, or no user of that number."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() else None


def _open_streams() -> None:
    """Closed ones, on nothing: else the next file that is opened gets the number of one of them,
    and with it what a library or a helper prints."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # this is the lowest number that is free
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (to the end)


def _check_threads() -> None:
    """Libraries would print several lines about what is no number, and start any number."""
    for name in _OF_THREADS:
        value = os.environ.get(name, "").strip()
        levels = [each.strip() for each in value.split(",")]  # of threads that start threads
        if not value:  # as in a script whose own variable is not set
            os.environ.pop(name, None)
        elif not all(
            each.isascii() and each.isdecimal() and 1 <= int(each[:9]) <= _MOST_THREADS
            for each in levels
        ):
            raise ValueError(
                f"{name} must be a number of threads from 1 to {_MOST_THREADS:,}, got "
                f"{value!r:.50}; unset it for the default"
            )


def _scratch() -> Path:
    """A folder of temporary files that is this user's alone: numba unpickles what lies in it."""
    path = Path(tempfile.gettempdir()) / f"directmax-{os.getuid()}"
    with contextlib.suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o22:
            return path
    other = Path(tempfile.mkdtemp(prefix="directmax-"))
    atexit.register(shutil.rmtree, other, ignore_errors=True)
    return other


def _has_place(name: str) -> bool:
    """Whether a cache can be written where its variable says, or else under the user's home."""
    if name in os.environ:
        return _can_be_made(Path(os.environ[name]))
    home = home_folder()
    if home is None or not os.access(home, os.W_OK | os.X_OK):
        return False
    places = (("XDG_CACHE_HOME", ".cache"), ("XDG_CONFIG_HOME", ".config"))
    return all(_can_be_made(Path(os.environ.get(each) or home / usual)) for each, usual in places)


def _can_be_made(folder: Path) -> bool:
    """Whether there is such a folder to write to, or can be."""
    with contextlib.suppress(OSError, ValueError):
        while not folder.exists() and not folder.is_symlink() and folder != folder.parent:
            folder = folder.parent
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    return False


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Characters that an encoding lacks, in others that it has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    words = "".join(_PLAIN.get(each, each) for each in lacking)
    return words.encode("ascii", "backslashreplace").decode(), error.end
