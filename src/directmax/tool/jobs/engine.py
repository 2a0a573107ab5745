"""What runs jobs: processes of this machine, or of a Ray cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import tempfile
import time
from typing import IO, Protocol

from directmax.tool.jobs.faults import Exit
from directmax.tool.jobs.task import Task

SAVE_SECONDS = 60.0
"""How long a worker that is asked to stop may take to save."""


class Engine(Protocol):
    """Runs workers, at most `slots` at a time."""

    slots: int

    def start(self, name: str, task: Task) -> None:
        """Start a worker; the engine fills in its device."""

    def wait(self, seconds: float) -> list[tuple[str, Exit]]:
        """Those that ended, by name; returns at once if any did, else after some seconds."""

    def pids(self) -> dict[str, int]:
        """Process numbers of those that are processes of this machine, by name."""

    def stop(self) -> None:
        """Ask all to save and end, and wait for that; those that do not are killed."""

    def close(self) -> None:
        """Let go of what the engine holds."""


class WorkerProcess:
    """A worker as a process of this machine, whose last words are kept.

    It has a session of its own: Ctrl-C in the terminal reaches the engine alone, which asks each
    worker once.

    Args:
        task: what it is told.
    """

    def __init__(self, task: Task) -> None:
        task = dataclasses.replace(task, engine=os.getpid())
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `exit`)
        self._process = subprocess.Popen(
            task.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._words,
            env=task.environment(),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def poll(self) -> Exit | None:
        """How it ended; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        self._words.close()
        return Exit(code, lines[-1] if lines and code > 0 else "")

    def ask(self) -> None:
        """Ask it to save and end, and to run if it was stopped."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
            os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def end(self, seconds: float = SAVE_SECONDS) -> None:
        """Wait for it; after some seconds, kill it."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


def run_to_end(task: Task) -> Exit:
    """Run a worker and wait for it; stopped itself, it asks the worker to save first."""
    worker = WorkerProcess(task)
    try:
        while (ended := worker.poll()) is None:
            time.sleep(0.1)
    except BaseException:
        worker.ask()
        worker.end()
        raise
    return ended
