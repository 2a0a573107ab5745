"""What a person sees while a run goes on: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column

from directmax.tool.run.run_folder import of_start

_LOGGER = logging.getLogger("directmax")


class Progress:
    """Told of every step and epoch. This base class says nothing: for use as a library."""

    def start(self, description: str, epochs: int, steps_per_epoch: int) -> None:
        """Training begins."""

    def preparing(self, what: str, share: float) -> None:
        """Something that comes before the first step is done to a share, from 0 to 1."""

    def resumed(self, lines: list[dict[str, Any]], start: int) -> None:
        """Training continues after these epochs, with a start (counted from 0)."""

    def step(self, epoch: int, step: int) -> None:
        """`step` steps of the epoch (counted from 0, over all starts) are done."""

    def epoch(self, line: dict[str, Any], improved: bool) -> None:
        """An epoch is done; `line` is its entry in `metrics.jsonl`."""

    def chosen(self, start: int, starts: int, bound: float) -> None:
        """Of several starts one (counted from 0) is continued; `bound` is its best."""

    def stop(self) -> None:
        """Training ended, for whatever reason."""


class _Heard(logging.Handler):
    """Shows what the library logs, such as that kernels are being compiled."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(record.getMessage())


BESIDE = 21
"""Columns of the bar beside the count and the words: its shortest, the time left, three gaps."""


class ConsoleProgress(Progress):
    """A bar with the latest validation bound; without a terminal, about twenty plain lines.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = console.is_terminal
        self._bar = RichProgress(
            BarColumn(bar_width=None, table_column=Column(ratio=1)),  # what is left
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            expand=True,
        )
        self._heard, self._level = _Heard(console), _LOGGER.level
        self._best: dict[str, Any] = {}
        self._epochs = self._steps = 1
        self._done = 0

    def start(self, description: str, epochs: int, steps_per_epoch: int) -> None:
        """Show the bar."""
        _LOGGER.addHandler(self._heard)
        self._level = _LOGGER.level
        _LOGGER.setLevel(logging.INFO)
        self._epochs, self._steps = epochs, steps_per_epoch
        self.console.print(f"{description}: {epochs} epochs of {steps_per_epoch} steps")
        if self._live:
            self._task = self._bar.add_task(description, total=epochs, words="epochs")
            self._bar.start()

    def preparing(self, what: str, share: float) -> None:
        """Show it in place of the words; without a terminal a line at its beginning."""
        if self._live:
            self._bar.update(self._task, words="epochs" if share == 1 else f"{what} {share:.0%}")
        elif share == 0:
            self.console.print(what)

    def resumed(self, lines: list[dict[str, Any]], start: int) -> None:
        """Advance the bar to where the run goes on."""
        self._done = len(lines)
        bounds = [line["validation"] for line in of_start(lines, start)]
        if bounds and "accuracy" not in bounds[0]:  # else it need not be the lowest bound
            self._best = min(bounds, key=lambda values: values["bound"])
        start_text = f" with start {start + 1}" if lines and "start" in lines[-1] else ""
        self.console.print(f"continuing after epoch {len(lines)}{start_text}")
        if self._live and lines:
            self._bar.update(self._task, completed=len(lines), words=self._words(lines[-1]))

    def step(self, epoch: int, step: int) -> None:
        """Advance the bar, at most twenty times an epoch."""
        if self._live and step % max(1, self._steps // 20) == 0:
            self._bar.update(self._task, completed=epoch + step / self._steps)

    def epoch(self, line: dict[str, Any], improved: bool) -> None:
        """Show the validation bound."""
        if improved:
            self._best = line["validation"]
        self._done += 1
        if self._live:
            self._bar.update(self._task, completed=self._done, words=self._words(line))
        elif self._done % max(1, self._epochs // 20) == 0 or self._done == self._epochs:
            start = f" start {line['start'] + 1}" if "start" in line else ""
            self.console.print(
                f"epoch {self._done}/{self._epochs}{start}  train {line['train']['bound']:.2f}  "
                f"{self._text(line)}  {line['seconds']:.1f} s",
                soft_wrap=True,
            )

    def chosen(self, start: int, starts: int, bound: float) -> None:
        """Say it."""
        self._best = {"bound": bound}
        self.console.print(f"start {start + 1} of {starts} is continued")

    def stop(self) -> None:
        """Remove the bar."""
        _LOGGER.removeHandler(self._heard)
        _LOGGER.setLevel(self._level)
        if self._live:
            self._bar.stop()

    def _text(self, line: dict[str, Any]) -> str:
        """Of this epoch, and of the best one; which has its own accuracy, and need not have the
        lowest bound."""
        best = f" (best epoch: {_numbers(self._best)})" if self._best else ""
        return f"validation {_numbers(line['validation'])}{best}"

    def _words(self, line: dict[str, Any]) -> str:
        """As much of it as there is room for beside the bar: nothing is cut."""
        room = self.console.width - 2 * len(str(self._epochs)) - 1 - BESIDE
        numbers = _numbers(line["validation"])
        validation = f"validation {numbers}"
        bound = numbers.partition(",")[0]
        every = (f"epochs {self._text(line)}", f"epochs {validation}", validation, numbers, bound)
        return next((words for words in every if len(words) <= room), "")


def _numbers(values: dict[str, Any]) -> str:
    accuracy = f", {values['accuracy']:.2%} right" if "accuracy" in values else ""
    return f"{values['bound']:.2f} nats{accuracy}"
