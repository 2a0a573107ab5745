"""What a person sees of the jobs: one live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from directmax.tool.config import stored_config

REFRESH = 1.0
TAIL = 65_536
"""Bytes of `metrics.jsonl` that are read: the last lines."""


@dataclass(frozen=True)
class Running:
    """A job that runs.

    Attributes:
        name: of the job.
        epoch: done so far.
        epochs: planned; 0 of a job without epochs.
        value: its latest validation bound or accuracy, in words.
        left: seconds to its end, as far as known.
        elsewhere: another call works on it.
    """

    name: str
    epoch: int = 0
    epochs: int = 0
    value: str = ""
    left: float | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class Counts:
    """How many jobs are in which state."""

    done: int
    failed: int
    waiting: int
    running: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.done + self.failed + self.waiting + self.running


class JobsProgress:
    """Shows the jobs.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown = 0.0

    def __enter__(self) -> JobsProgress:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, auto_refresh=False, transient=True, redirect_stderr=False
            )
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def wants_update(self) -> bool:
        """Whether there is a table, and it is time to draw it anew."""
        return self._live is not None and time.monotonic() - self._shown >= REFRESH

    def say(self, text: str, style: str = "") -> None:
        """One line that stays."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def update(
        self, counts: Counts, running: Sequence[Running], left: float | None, failed: Sequence[str]
    ) -> None:
        """Draw the table."""
        if self._live is None:
            return
        self._shown = time.monotonic()
        self._live.update(jobs_table(counts, running, left, failed), refresh=True)


def jobs_table(
    counts: Counts, running: Sequence[Running], left: float | None, failed: Sequence[str] = ()
) -> Table:
    """The table: a row for every job that runs or failed, and a line of counts above."""
    words = f"{counts.done} of {counts.total} done, {counts.waiting} waiting"
    if counts.failed:
        words += f", {counts.failed} failed"
    if left is not None:
        words += f"; about {duration(left)} left"
    table = Table(title=words, title_justify="left", title_style="bold")
    table.add_column("job")
    for name in ("epoch", "validation", "time left"):
        table.add_column(name, justify="right")
    for job in running:
        epoch = f"{job.epoch}/{job.epochs}" if job.epochs else ""
        rest = "" if job.left is None else duration(job.left)
        where = " (another call)" if job.elsewhere else ""
        table.add_row(Text(job.name + where), epoch, job.value, rest)
    for name in failed:
        table.add_row(Text(name, style="red"), "", "failed", "")
    return table


def look(
    name: str, settings: Mapping[str, Any], metrics: Path, *, elsewhere: bool = False
) -> Running:
    """How far a job is, from the last lines of its metrics."""
    config = stored_config(dict(settings)) if "epochs" in settings else None
    epochs = config.total_epochs if config is not None else 0
    lines = _last_lines(metrics)
    if not lines:
        return Running(name, epochs=epochs, elsewhere=elsewhere)
    last = lines[-1]
    validation = last["validation"]
    value = f"{validation['bound']:.2f} nats"
    if "accuracy" in validation:
        value = f"{validation['accuracy']:.2%}, {value}"
    each = statistics.median(x["seconds"] + x.get("validation_seconds", 0.0) for x in lines)
    done = int(last["epoch"])
    if config is not None:
        done += config.epochs_before(last.get("start", 0), done)
    return Running(name, done, epochs, value, each * max(0, epochs - done), elsewhere)


def _last_lines(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL))
            text = stream.read()
    except OSError:
        return []
    lines = []
    for line in text.split(b"\n")[1 if size > TAIL else 0 :]:
        try:
            lines.append(json.loads(line))
        except ValueError:  # the last one is being written
            continue
    return lines


def duration(seconds: float) -> str:
    """In words of one unit or two.

    Example:
        >>> [duration(x) for x in (0.4, 75, 5400, 200000)]
        ['1 s', '1 min 15 s', '1 h 30 min', '2 d 8 h']
    """
    rest = max(1, round(seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (name, size), (smaller, part) in pairwise(units):
        if rest >= size:
            more = round(rest % size / part) if size > 60 else rest % size
            if more * part == size:
                return duration((rest // size + 1) * size)
            return f"{rest // size} {name}" + (f" {more} {smaller}" if more else "")
    return f"{rest} s"
