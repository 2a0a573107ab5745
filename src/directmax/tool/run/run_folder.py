"""The folder of a run: what is in it, and who may write it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from directmax._memory import is_out_of_memory
from directmax.tool.config import VERSION, ResolvedConfig, digest_of, stored_config
from directmax.tool.files import (
    LARGEST_JSON,
    RunError,
    add_text,
    cannot_write,
    lock,
    read_bytes,
    read_json,
    reading,
    tidy,
    user_path,
    write_atomic,
    write_json,
)
from directmax.tool.run.provenance import environment

if TYPE_CHECKING:
    import torch


class RunFolder:
    """`config.json`, `metrics.jsonl`, `summary.json`, `report.html`, and `checkpoints`.

    Of these `last` is the state of the training, `best` the weights of the best validation, and
    `start` the best of several starts; `groups` those that stand in for labels,
    `trials` what was chosen before the first step.

    Args:
        path: the folder.

    Example:
        >>> RunFolder("runs/mine").best.as_posix()
        'runs/mine/checkpoints/best'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = user_path(path)
        self.config_file = self.path / "config.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.summary_file = self.path / "summary.json"
        self.report_file = self.path / "report.html"
        self.last = self.path / "checkpoints" / "last"
        self.best = self.path / "checkpoints" / "best"
        self.start = self.path / "checkpoints" / "start"
        self.groups = self.path / "checkpoints" / "groups"
        self.trials = self.path / "checkpoints" / "trials"

    @contextlib.contextmanager
    def create(
        self,
        config: ResolvedConfig,
        device: torch.device,
        images: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        data_dir: str | Path | None = None,
        bfloat16: bool = False,
    ) -> Iterator[None]:
        """Make the folder for a new run, and hold its lock.

        Leaves no folder when it fails, also where something cannot be written before the first
        checkpoint is begun.

        Args:
            config: what is trained.
            device: where, for the record.
            images: what is recorded of those that were handed over; see `check_images`.
            data: what the model must know of its images; see `Described`.
            data_dir: where a data set by name was looked for first.
            bfloat16: whether the device is faster in it.

        Raises:
            RunError: it already holds a run, or cannot be written.
        """
        new = _make(self.path)
        before = set(self.path.iterdir())
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.lock())
            except RunError as error:
                if _of_writing(error):
                    self._undo(before, new)
                raise
            if any(path.exists() for path in (self.config_file, self.metrics_file, self.last)):
                raise RunError(
                    f"{self.path} already holds a run: add --resume to continue it, or choose "
                    "another --run-dir"
                )
            record = {
                "version": VERSION,
                "config": config.to_dict(),
                "digest": config.digest(),
                **({"images": images} if images else {}),
                **({"data": data} if data else {}),
                **({"data_dir": str(user_path(data_dir).absolute())} if data_dir else {}),
                "bfloat16": bfloat16,
                **environment(device),
            }
            begun = False
            try:
                write_json(self.config_file, record)
                begun = True
                yield
            except BaseException as error:
                trained = self.last.parent.exists() or self.metrics_file.exists()
                if not begun or (not trained and _of_writing(error)):
                    self._undo(before, new)
                raise

    def _undo(self, before: set[Path], new: bool) -> None:
        """Leave the folder as it was, or none."""
        for path in set(self.path.iterdir()) - before:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if new:
            shutil.rmtree(self.path, ignore_errors=True)

    def record(self) -> dict[str, Any]:
        """The content of `config.json`."""
        return read_json(self.config_file)

    def config(self) -> ResolvedConfig:
        """The configuration of the run that the folder holds.

        Raises:
            RunError: there is none, or it is damaged.
        """
        record = read_json(self.config_file)
        try:
            if record.get("version", 1) > VERSION:
                raise ValueError("it was written by a later version of directmax")
            return stored_config(record["config"])
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise RunError(f"{self.config_file} is damaged: {error}") from error

    def digests(self) -> list[str]:
        """Of the configuration as it was written, perhaps by an earlier version, and before it was
        extended."""
        record = read_json(self.config_file)
        earlier = record.get("extended", [])
        return [
            digest_of(record["config"]),
            *map(str, earlier if isinstance(earlier, list) else []),
        ]

    @contextlib.contextmanager
    def extend(self, config: ResolvedConfig, before: ResolvedConfig) -> Iterator[None]:
        """Hold the folder's lock to continue its run for longer.

        Args:
            config: of the longer run.
            before: what it was `extended` from: the folder's, or what that was extended from.

        Raises:
            RunError: it holds none, or one of another configuration.
        """
        if before.digest() not in self.digests():
            self._check_same(before)
        with self.lock():
            record = {**read_json(self.config_file), "extended": self.digests()}
            record |= {"version": VERSION, "config": config.to_dict(), "digest": config.digest()}
            write_json(self.config_file, record)
            yield

    @contextlib.contextmanager
    def resume(self, config: ResolvedConfig) -> Iterator[None]:
        """Hold the folder's lock to continue its run.

        Raises:
            RunError: it holds none, or one of another configuration.
        """
        self._check_same(config)
        with self.lock():
            yield

    def _check_same(self, config: ResolvedConfig) -> None:
        if differences := config.differences(self.config()):
            raise RunError(
                f"cannot resume {self.path} with another configuration: {'; '.join(differences)}; "
                "leave these flags out, or train into a new folder"
            )

    def check_images(self, given: dict[str, Any] | None) -> None:
        """Make sure that images are those that the run was trained on.

        Args:
            given: `identity()` of those that were handed over; None: those that the configuration
                names are used.

        Raises:
            RunError: they are others.
        """
        trained = self.images()
        if trained is None:
            if given is not None:
                raise RunError(
                    f"{self.path} was trained on a data set by name: leave images (or --data) out"
                )
            return
        same = given and all(trained[name] == given[name] for name in ("shape", "sha256"))
        if same:
            return
        got = f"others ({_described(given)})" if given else "none"
        if path := trained.get("path"):
            raise RunError(
                f"{self.path} was trained on {path} ({_described(trained)}), got {got}: they have "
                "changed or are others; restore them, or train into a new folder"
            )
        raise RunError(
            f"{self.path} was trained on images that were handed over in Python "
            f"({_described(trained)}), got {got}{'' if given else ': give them with images=…'}"
        )

    def images(self) -> dict[str, Any] | None:
        """What is recorded of images of one's own; None where a data set was named.

        Raises:
            RunError: the record is damaged.
        """
        trained = read_json(self.config_file).get("images")
        if trained is None:
            return None
        with reading(self.config_file):
            if not isinstance(trained["shape"], list) or not isinstance(trained["sha256"], str):
                raise TypeError("images")
            if not isinstance(trained.get("path", ""), str):
                raise TypeError("path")
            found: dict[str, Any] = {"name": "images", **trained}
            return found

    def data_dir(self, given: str | Path | None) -> str | Path | None:
        """Where to look for a data set by name first: what is given, else where the run did.

        None where it named no folder, or that is gone.

        Raises:
            RunError: the record is damaged.
        """
        if given is not None:
            return given
        place = read_json(self.config_file).get("data_dir")
        with reading(self.config_file):
            if not isinstance(place, str | None):
                raise TypeError("data_dir")
            return Path(place) if place and Path(place).is_dir() else None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Refuse a second process that trains in the same folder. Freed by the system on a kill.

        Raises:
            RunError: another process holds it.
        """
        with lock(self.path / ".lock") as locked:
            if not locked:
                raise RunError(f"another process is training in {self.path}; wait for it")
            for folder in (self.path, self.last, self.best, self.start):
                tidy(folder)
            yield

    def metrics(self) -> list[dict[str, Any]]:
        """A line for each epoch; where there are several starts, of the one that was continued."""
        return of_start(self.all_metrics())

    def other_starts(self) -> list[list[dict[str, Any]]]:
        """The same of every other start."""
        lines = self.all_metrics()
        numbers = {line.get("start", 0) for line in lines}
        numbers -= {line.get("start", 0) for line in lines[-1:]}
        return [of_start(lines, number) for number in sorted(numbers)]

    def all_metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`; an incomplete last line (a crash) is left out."""
        if not os.path.lexists(self.metrics_file):
            return []
        lines = []
        for number, line in enumerate(read_bytes(self.metrics_file, LARGEST_JSON).splitlines(), 1):
            try:
                epoch = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not _is_epoch(epoch):
                raise RunError(
                    f"{self.metrics_file} is damaged: line {number} is no epoch; restore the file, "
                    "or train into a new folder"
                )
            lines.append(epoch)
        return lines

    def keep_metrics(self, count: int, *, write: bool = True) -> list[dict[str, Any]]:
        """Cut `metrics.jsonl` back to its first lines, and return them; or only return them."""
        lines = self.all_metrics()[:count]
        if len(lines) < count:
            raise RunError(f"{self.metrics_file} is damaged: expected {count} whole lines")
        if write:
            write_atomic(self.metrics_file, "".join(json.dumps(line) + "\n" for line in lines))
        return lines

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add the line of one epoch, for all to see; on the disk it is after `sync_metrics`."""
        add_text(self.metrics_file, json.dumps(line) + "\n")

    def sync_metrics(self) -> None:
        """Wait until all lines are on the disk."""
        add_text(self.metrics_file, "", sync=True)


def _make(folder: Path) -> bool:
    """Make a folder; whether it was not there. Of several processes one makes it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        if folder.is_dir():
            return False
        raise cannot_write(folder, error) from error
    return True


def _of_writing(error: BaseException) -> bool:
    """Whether something could not be written, or no memory could be had.

    A reader who left hears of --resume instead.
    """
    if is_out_of_memory(error):
        return True
    cause = error.__cause__ if isinstance(error, RunError) else error
    return isinstance(cause, OSError) and not isinstance(cause, BrokenPipeError)


def _is_epoch(line: Any) -> bool:
    """Whether a value of JSON has the numbers that are read of every epoch."""

    def number(value: Any) -> bool:
        whole = isinstance(value, int | float) and not isinstance(value, bool)
        return whole and -1e300 < value < 1e300  # neither NaN nor an integer beyond all floats

    def count(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31

    if not isinstance(line, dict) or not (count(line.get("epoch")) and count(line.get("start", 0))):
        return False
    if not all(number(line.get(name, 0.0)) for name in ("validation_seconds", "kl_weight")):
        return False
    if not number(line.get("seconds")):
        return False
    terms = [line.get("train"), line.get("validation")]
    return all(
        isinstance(part, dict)
        and all(number(part.get(name, "")) for name in ("bound", "reconstruction", "kl"))
        for part in terms
    )


def _described(identity: dict[str, Any]) -> str:
    shape = "×".join(map(str, identity["shape"]))
    return f"{identity['name']!r}, {shape}, SHA-256 {identity['sha256'][:12]}…"


def of_start(lines: Sequence[dict[str, Any]], start: int | None = None) -> list[dict[str, Any]]:
    """The lines of one start; of that of the last line if none is named.

    Example:
        >>> lines = [{"epoch": 1, "start": 0}, {"epoch": 1, "start": 1}, {"epoch": 2, "start": 0}]
        >>> [line["epoch"] for line in of_start(lines)]
        [1, 2]
    """
    if start is None:
        start = lines[-1].get("start", 0) if lines else 0
    return [line for line in lines if line.get("start", 0) == start]
