"""Ctrl-C as a request that the loop answers at its next step."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from directmax.tool.environment import by_torchrun, heard_signals

T = TypeVar("T")

ECHO = 5.0
"""Seconds in which launchers and service managers repeat a signal that they have sent."""


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
        position = f"epoch {epoch + 1}, step {step}" if step else f"after epoch {epoch}"
        what = "stopped and saved" if saved else "stopped; saved is what was done"
        devices = f" --devices {processes}" if processes > 1 else ""
        super().__init__(
            f"{what} ({position}); continue with: "
            f"directmax train --resume --run-dir {shlex.quote(str(folder))}{devices}"
        )


def raise_interrupts() -> None:
    """From here on Ctrl-C, SIGTERM and SIGHUP raise `KeyboardInterrupt`, unless ignored."""
    first = _First()

    def handle(number: int, frame: FrameType | None) -> None:
        if not first.echoes(number):
            raise KeyboardInterrupt

    for number in heard_signals():
        signal.signal(number, handle)


class _First:
    """Tells a new request from the echo of one: a group of processes is ended in several ways at
    once, as by the terminal and by torchrun, which passes on what it gets."""

    def __init__(self) -> None:
        self._time: float | None = None

    def echoes(self, number: int) -> bool:
        """Whether a signal repeats the first; a second Ctrl-C is a person's, without torchrun."""
        if self._time is None:
            self._time = time.monotonic()
            return False
        of_a_person = number == signal.SIGINT and not by_torchrun()
        return not of_a_person and time.monotonic() < self._time + ECHO


class _Requested(KeyboardInterrupt):
    """Ends the wait of `InterruptGuard.until_requested`."""


class InterruptGuard:
    """While active, the first Ctrl-C (SIGTERM, SIGHUP) sets `requested`; a second aborts at once.

    Does nothing outside the main thread, and to signals that are ignored.
    """

    def __init__(self) -> None:
        self.requested = False
        self._waiting = False
        self._first = _First()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> InterruptGuard:
        self._previous = {number: signal.signal(number, self._handle) for number in heard_signals()}
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._first.echoes(number):
            return
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self._waiting:
            self._waiting = False
            raise _Requested

    def until_requested(self, items: Iterator[T]) -> Iterator[T]:
        """Items until `requested`, also where one would be waited for that never comes.

        An item that is being made then is lost.
        """
        try:
            while True:
                self._waiting = True
                if self.requested:
                    return
                try:
                    item = next(items)
                except StopIteration:
                    return
                self._waiting = False
                yield item
        except _Requested:
            return
        finally:
            self._waiting = False

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
