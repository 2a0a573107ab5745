"""Ctrl-C as a request that the loop answers at its next step."""

from __future__ import annotations

import shlex
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any


class Interrupted(Exception):  # noqa: N818 (a request of the user, not an error)
    """The run was stopped by the user.

    Args:
        folder: of the run.
        epoch: epochs that are saved.
        step: steps that are saved besides.
        processes: that trained it.
        saved: whether all that was done is saved, not only these epochs.
    """

    def __init__(
        self, folder: Path, epoch: int, step: int = 0, *, processes: int = 1, saved: bool = True
    ) -> None:
        where = f"epoch {epoch + 1}, step {step}" if step else f"after epoch {epoch}"
        what = "stopped and saved" if saved else "stopped; saved is what was done"
        devices = f" --devices {processes}" if processes > 1 else ""
        super().__init__(
            f"{what} ({where}); continue with: "
            f"directmax train --resume --run-dir {shlex.quote(str(folder))}{devices}"
        )


def raise_interrupts() -> None:
    """From here on Ctrl-C and SIGTERM raise `KeyboardInterrupt`, where they are not ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class InterruptGuard:
    """While active, the first Ctrl-C (or SIGTERM) sets `requested`; a second Ctrl-C aborts at once.

    Does nothing outside the main thread, where Python delivers no signals.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> InterruptGuard:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
