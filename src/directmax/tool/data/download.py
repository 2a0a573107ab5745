"""Downloads: mirrors in turn, retries, a check of the content, and nothing half-written."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from directmax.tool.data.errors import DataError, reason

RETRIES = 2
"""How often a mirror is asked again after a failure; pooch waits 1, 2, … seconds before."""

TIMEOUT = 30.0
"""Seconds without an answer after which an attempt has failed."""


@dataclass(frozen=True)
class Remote:
    """A file that can be downloaded.

    Attributes:
        path: where it belongs below a data folder, with forward slashes.
        mirrors: base URLs that end in a slash, tried in turn.
        known_hash: pooch's "algorithm:digest" of the file as downloaded; None where mirrors
            compress differently.
        check: called with the downloaded file; raises `DataError` if the content is wrong.
    """

    path: str
    mirrors: tuple[str, ...]
    known_hash: str | None = None
    check: Callable[[Path], object] | None = None

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return PurePosixPath(self.path).name

    @property
    def urls(self) -> tuple[str, ...]:
        """The file's address at every mirror."""
        return tuple(mirror + self.name for mirror in self.mirrors)


def fetch(remote: Remote, root: Path) -> Path:
    """Download a file to its place below `root`, from the first mirror that has it right.

    The file appears under its name only after it was checked, in one step.

    Args:
        remote: the file.
        root: data folder; created if need be.

    Returns:
        The file's path.

    Raises:
        DataError: no mirror had it, or `root` cannot be written to.
    """
    from requests import RequestException  # slow to import

    target = root / remote.path
    failures = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".directmax-", dir=root) as scratch:
            for number, url in enumerate(remote.urls):
                path = Path(scratch) / str(number) / remote.name
                try:
                    _retrieve(remote, url, path)
                    if remote.check is not None:
                        remote.check(path)
                except DataError as error:  # the content is wrong
                    fault = str(error).split("; ")[0].replace(str(path), "the file")
                    failures.append(f"{url} ({fault})")
                    continue
                except (RequestException, ValueError) as error:
                    failures.append(f"{url} ({_why(error)})")
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                # A copy, since pooch's temporary file is readable by its owner only.
                shutil.copyfile(path, finished := Path(scratch) / "finished")
                finished.replace(target)
                return target
    except OSError as error:
        raise DataError(
            f"cannot save {remote.name} in {root}: {reason(error)}; make the folder writable, or "
            "name another with data_dir or DIRECTMAX_DATA"
        ) from error
    raise DataError(
        f"could not download {remote.name}; tried {'; '.join(failures)}; check the connection "
        f"and try again, or put the file at {target} by hand"
    )


def _retrieve(remote: Remote, url: str, path: Path) -> None:
    """Download one URL to `path` with pooch, which retries and checks the known hash."""
    with _quiet_pooch(), _progress(remote.name) as bar:
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT)
        registry = pooch.create(
            path=path.parent,
            base_url="",
            registry={remote.name: remote.known_hash},
            urls={remote.name: url},
            retry_if_failed=RETRIES,
        )
        registry.fetch(remote.name, downloader=downloader)


def _why(error: Exception) -> str:
    """Return in a few words why a download failed (requests' own messages fill a screen)."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason or ''}".strip()
    if isinstance(error, exceptions.Timeout):
        return "timed out"
    if isinstance(error, exceptions.ConnectionError):
        return "no connection"
    if isinstance(error, exceptions.RequestException):
        return type(error).__name__
    return reason(error).split(". Deleted download")[0]


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch from announcing downloads; warnings still come through."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Bar:
    """The part of tqdm's interface that pooch uses, drawn by rich."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None)

    @property
    def total(self) -> int:
        """Number of bytes to expect."""
        return int(self._progress.tasks[self._task].total or 0)

    @total.setter
    def total(self, value: int) -> None:
        self._progress.reset(self._task, total=value or None)

    def update(self, count: int) -> None:
        """Add `count` bytes."""
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        """Start again at zero bytes."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Nothing to do: the surrounding context closes the display."""


@contextmanager
def _progress(name: str) -> Iterator[_Bar | bool]:
    """A progress bar on standard error, or False where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield False
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console, transient=True) as progress:
        yield _Bar(progress, name)
