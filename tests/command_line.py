"""Call the command line: in this process, in a fork of it, or as a program of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directmax.tool import cli, start
from directmax.tool.cli import main
from directmax.tool.environment import ENDING, heard_signals

TINY = ("train", "--device", "cpu", "--epochs", "2", "--batch-size", "400", "--hidden", "12")
"""Two epochs of three steps on the digits: 400 + 400 + 397 images."""

STEPS = 3
"""Steps in an epoch of `TINY`."""

STARTED: list[subprocess.Popen[str]] = []
"""By `program`, in this test."""


@dataclass(frozen=True)
class Outcome:
    """What a command returned and printed."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one line that a refused command prints, without its prefix."""
        assert self.err.startswith("directmax: "), self
        assert self.err.count("\n") == 1, self
        assert self.err.endswith("\n"), self
        return self.err.removeprefix("directmax: ").strip()


def call(*arguments: object) -> Outcome:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # --help
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def succeed(*arguments: object) -> Outcome:
    """Run a command that must end well and print no warning."""
    outcome = call(*arguments)
    assert (outcome.code, outcome.err) == (0, ""), outcome
    return outcome


def refuse(*arguments: object) -> str:
    """Run a command that must be refused with one line, and return the line."""
    outcome = call(*arguments)
    assert outcome.code == 2, outcome
    return outcome.message


class Forked:
    """A command in a fork of this process, which may be killed or kill itself.

    Args:
        arguments: of the command.
        prepare: called in the fork before the command.
        environment: variables to set in the fork.
        group: whether it leads a group of processes of its own.
    """

    def __init__(
        self,
        *arguments: object,
        prepare: Callable[[], object] | None = None,
        environment: dict[str, str] | None = None,
        group: bool = False,
    ) -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        sys.stdout.flush()
        sys.stderr.flush()
        # Before the fork answers as the program does, a signal would end the test in it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        self.pid = os.fork()
        if self.pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if group:
            with contextlib.suppress(PermissionError, ProcessLookupError):  # whoever comes first
                os.setpgid(self.pid, self.pid)
        if self.pid == 0:
            self._run([str(argument) for argument in arguments], prepare, environment or {})

    def _run(
        self,
        arguments: Sequence[str],
        prepare: Callable[[], object] | None,
        environment: dict[str, str],
    ) -> None:
        code = 70
        cli._outlive_parent = lambda: False  # type: ignore[assignment]
        try:
            for number, file in enumerate(self._files, start=1):
                os.dup2(file.fileno(), number)
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number in heard_signals():
                signal.signal(number, start._leave)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            os.environ.update(environment)
            if prepare is not None:
                prepare()
            code = main(arguments)
            for number in ENDING:
                signal.signal(number, signal.SIG_IGN)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            code = 70
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def wait(self, seconds: float = 60.0) -> Outcome:
        """Wait for the end; a negative code is the signal that killed it."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"not finished after {seconds} s: {self._printed()}")
            time.sleep(0.01)
        return Outcome(os.waitstatus_to_exitcode(status), *self._printed())

    def _printed(self) -> tuple[str, str]:
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode())
            file.close()
        return texts[0], texts[1]


def two_processes(
    *arguments: object,
    torchrun: bool = False,
    during: Callable[[Forked, Forked], object] | None = None,
) -> tuple[Outcome, Outcome]:
    """Run a command as `--devices 2` or torchrun does, in two forks of this process.

    Args:
        arguments: of the command.
        torchrun: whether the environment is torchrun's.
        during: called once both are started.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    children = [
        Forked(
            *arguments,
            *(() if torchrun else ("--devices", 2)),
            environment={
                "DIRECTMAX_LAUNCHER": str(os.getpid()),
                "LOCAL_RANK": str(rank),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "NODE_RANK": "0",
                "WORLD_SIZE": "2",
                **(_torchrun(rank) if torchrun else {}),
            },
        )
        for rank in range(2)
    ]
    if during is not None:
        during(*children)
    first, second = (child.wait() for child in children)
    return first, second


def _torchrun(rank: int) -> dict[str, str]:
    """What torchrun says besides, to processes of one machine."""
    return {
        "TORCHELASTIC_RUN_ID": "test",
        "RANK": str(rank),
        "GROUP_RANK": "0",
        "LOCAL_WORLD_SIZE": "2",
    }


def program(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start the command as a program of its own; one that a test leaves is killed after it."""
    started = subprocess.Popen(
        [sys.executable, "-m", "directmax", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )
    STARTED.append(started)
    return started


def wait_until(process: subprocess.Popen[Any], happened: Callable[[], bool]) -> None:
    """Wait for something that a program does, while it runs.

    As long as it takes: a busy machine may need any time. What hangs, the test's own limit ends.
    """
    while not happened():
        assert process.poll() is None, (process.returncode, *process.communicate())
        time.sleep(0.02)


def wait_for_lines(process: subprocess.Popen[Any], folder: Path, number: int) -> None:
    """Wait until a training has ended some epochs."""
    path = folder / "metrics.jsonl"
    wait_until(process, lambda: path.exists() and path.read_text().count("\n") >= number)


def finish(process: subprocess.Popen[str], seconds: float = 120.0) -> Outcome:
    """Wait for a program."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Outcome(process.returncode, out, err)


def read(path: Path) -> Any:
    """A JSON file, which must be valid JSON: without NaN and Infinity."""

    def refuse_constant(name: str) -> None:
        raise AssertionError(f"{name} in {path}")

    return json.loads(path.read_text(), parse_constant=refuse_constant)


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`, without the times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "seconds" not in key} for line in lines]
