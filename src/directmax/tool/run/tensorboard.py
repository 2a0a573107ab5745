"""TensorBoard events of a run, written as it goes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from directmax.tool.files import cannot_write


class Events:
    """One scalar per number of a line of `metrics.jsonl`, the epoch as the step.

    Args:
        folder: the run folder; events go to its subfolder `events`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "events"
        self._writer: Any = None
        self._open: int | None = None

    def open(self, epochs_done: int) -> None:
        """Start writing; TensorBoard then hides events of later epochs from a run cut off."""
        from torch.utils.tensorboard import SummaryWriter

        try:
            self._writer = SummaryWriter(self._name(), purge_step=epochs_done + 1)
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def _name(self) -> str:
        """The folder by a name that TensorBoard can take: some folders' are no text."""
        name = str(self._folder)
        try:
            name.encode()
        except UnicodeEncodeError:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._open is None:
                self._open = os.open(self._folder, os.O_RDONLY)
            return f"/dev/fd/{self._open}"
        return name

    def add(self, line: dict[str, Any]) -> None:
        """Write the numbers of an epoch."""
        try:
            for name, value in line.items():
                entries = value.items() if isinstance(value, dict) else [(None, value)]
                for key, number in entries:
                    if isinstance(number, int | float) and name not in ("epoch", "start"):
                        tag = f"{name}/{key}" if key else name
                        self._writer.add_scalar(tag, number, line["epoch"])
            self._writer.flush()
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def restart(self, lines: list[dict[str, Any]]) -> None:
        """Hide what was written, and write these epochs in its place."""
        self.close()
        self.open(0)
        for line in lines:
            self.add(line)

    def close(self) -> None:
        """Finish the file; what cannot be written any more was said by `add`."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
