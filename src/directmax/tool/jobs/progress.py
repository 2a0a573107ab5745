"""What a person sees of the jobs: one live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from directmax.tool.jobs.kind import Stage
from directmax.tool.look.progress import duration

REFRESH = 1.0
"""Seconds between two tables."""


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
        self,
        running: Mapping[str, Stage],
        *,
        done: int,
        waiting: int,
        failed: Sequence[str],
        left: float | None,
    ) -> None:
        """Draw the table: a row for every job that runs or failed, and numbers above.

        Args:
            running: how far jobs are that run, by name.
            done: how many are done.
            waiting: how many wait.
            failed: names of those that failed.
            left: seconds to the end of all; None: not known.
        """
        if self._live is None:
            return
        self._shown = time.monotonic()
        words = f"{done} of {done + waiting + len(running) + len(failed)} done, {waiting} waiting"
        if failed:
            words += f", {len(failed)} failed"
        if left is not None:
            words += f"; about {duration(left)} left"
        table = Table(title=words, title_justify="left", title_style="bold")
        table.add_column("job", overflow="fold")  # names may differ at their end only
        for name in ("epoch", "validation", "time left"):
            table.add_column(name, justify="right", overflow="fold")
        for name, stage in running.items():
            epoch = f"{stage.epoch}/{stage.epochs}" if stage.epochs else ""
            rest = "" if stage.left is None else duration(stage.left)
            table.add_row(Text(name), epoch, stage.value, rest)
        for name in failed:
            table.add_row(Text(name, style="red"), "", "failed", "")
        self._live.update(table, refresh=True)
