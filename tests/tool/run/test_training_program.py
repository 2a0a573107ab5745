"""The training command as a program: signals from outside, a terminal, a pipe."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import TINY, finish, metrics, program, read, succeed, wait_for_lines
from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.interrupt import InterruptGuard

LONG = (*TINY, "--epochs", "20", "--batch-size", "20", "--hidden", "200")


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As Ctrl-C is by a job in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with InterruptGuard() as guard:
            os.kill(os.getpid(), signal.SIGINT)
            assert not guard.requested
            os.kill(os.getpid(), signal.SIGTERM)
            assert guard.requested
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("binarize", ["threshold", "dynamic"])
@pytest.mark.usefixtures("no_report")
def test_signals_from_outside(tmp_path: Path, number: signal.Signals, binarize: str) -> None:
    command = (*LONG, "--binarize", binarize)
    succeed(*command, "--run-dir", tmp_path / "whole")
    folder = tmp_path / "stopped"
    process = program(*command, "--run-dir", folder)
    wait_for_lines(process, folder, 5)
    process.send_signal(number)
    outcome = finish(process)
    if number == signal.SIGKILL:
        assert outcome.code == -signal.SIGKILL
    else:
        assert outcome.code == 130
        assert "stopped and saved" in outcome.message
    assert len(metrics(folder)) < 20
    succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)
    assert metrics(folder) == metrics(tmp_path / "whole")
    for split in ("validation", "test"):
        results = [read(tmp_path / name / "summary.json")[split] for name in ("whole", "stopped")]
        assert results[0] == results[1]
    weights = [
        load_checkpoint(tmp_path / name / "checkpoints" / "last").tensors
        for name in ("whole", "stopped")
    ]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert tensor.numpy().tobytes() == weights[1][name].numpy().tobytes()


@pytest.mark.slow
def test_on_a_terminal(tmp_path: Path) -> None:
    """A bar that ends; Ctrl-C leaves the cursor visible and one line."""
    primary, secondary = pty.openpty()
    arguments = (*LONG, "--epochs", "100000", "--run-dir", str(tmp_path / "tty"))
    child = subprocess.Popen(
        [sys.executable, "-m", "directmax", *arguments],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(secondary)
    wait_for_lines(child, tmp_path / "tty", 2)
    child.send_signal(signal.SIGINT)
    printed = b""
    while True:
        try:
            part = os.read(primary, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        printed += part
    assert child.wait() == 130
    text = printed.decode()
    assert "epochs" in text
    assert "validation" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back
    assert text.count("directmax: stopped and saved") == 1
    assert "Traceback" not in text
