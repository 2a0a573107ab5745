"""Two processes on the CPU against one, on the same mini-batches."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from command_line import (
    TINY,
    Forked,
    Outcome,
    call,
    finish,
    metrics,
    program,
    read,
    refuse,
    succeed,
    two_processes,
    wait_for_lines,
    wait_until,
)
from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.loop import Trainer
from directmax.tool.run.task import Batch

pytestmark = pytest.mark.usefixtures("no_report")


def both(*arguments: object) -> Outcome:
    """Two processes: the second prints nothing."""
    first, second = two_processes(*arguments)
    assert (second.out, second.err) == ("", ""), second
    return first


def assert_same_run(one: Path, two: Path) -> None:
    for name in ("best", "last"):
        first, second = (load_checkpoint(folder / "checkpoints" / name) for folder in (one, two))
        assert first.tensors.keys() == second.tensors.keys()
        for key, tensor in first.tensors.items():
            torch.testing.assert_close(second.tensors[key], tensor, rtol=1e-3, atol=1e-5)
    for first_line, second_line in zip(metrics(one), metrics(two), strict=True):
        for part in ("train", "validation"):
            assert_close(first_line[part], second_line[part])
    first_summary, second_summary = (read(folder / "summary.json") for folder in (one, two))
    assert_close(first_summary["test"], second_summary["test"])


def assert_close(one: dict[str, float | None], two: dict[str, float | None]) -> None:
    for term in ("bound", "reconstruction", "kl"):
        assert two[term] == pytest.approx(one[term], rel=1e-5, abs=1e-6)
    assert one.keys() == two.keys()


@pytest.mark.parametrize(
    "batches",
    [
        ("--batch-size", "399", "--epochs", "4"),  # 200 + 199
        ("--batch-size", "598", "--epochs", "4"),  # the third batch is of one image
        ("--batch-size", "400", "--variables", "2", "--values", "3"),
    ],
    ids=["odd", "one image", "two variables"],
)
def test_the_exact_gradient_is_that_of_one_process(
    tmp_path: Path, batches: tuple[str, ...]
) -> None:
    arguments = (*TINY, "--estimator", "exact", *batches)
    succeed(*arguments, "--run-dir", tmp_path / "one")
    first = both(*arguments, "--run-dir", tmp_path / "two")
    assert (first.code, first.err) == (0, ""), first
    assert first.out.count("report: ") == 1
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--binarize", "dynamic"),
        ("--estimator", "relax", "--variables", "3", "--values", "2"),  # has parameters
        ("--estimator", "score-function", "--num-samples", "1"),  # has a running mean
    ],
    ids=["direct", "relax", "running mean"],
)
def test_a_run_evaluates_and_resumes(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    folder = tmp_path / "two"
    assert both(*TINY, *arguments, "--run-dir", folder).code == 0
    lines, summary = metrics(folder), read(folder / "summary.json")
    assert lines[-1]["train"]["bound"] < lines[0]["train"]["bound"]
    results = json.loads(succeed("evaluate", folder, "--json").out)
    assert results["test"]["bound"] == pytest.approx(summary["test"]["bound"], rel=1e-6)
    again = both("train", "--device", "cpu", "--resume", "--run-dir", folder)
    assert again.code == 0
    assert metrics(folder) == lines
    message = refuse("train", "--device", "cpu", "--resume", "--run-dir", folder)
    assert "it was trained with --devices 2" in message


def test_torchrun_says_how_many(tmp_path: Path) -> None:
    arguments = (*TINY, "--estimator", "exact", "--batch-size", "399")
    succeed(*arguments, "--run-dir", tmp_path / "one")
    first, second = two_processes(*arguments, "--run-dir", tmp_path / "two", torchrun=True)
    assert (first.code, first.err, second) == (0, "", Outcome(0, "", "")), (first, second)
    assert_same_run(tmp_path / "one", tmp_path / "two")
    state = load_checkpoint(tmp_path / "two" / "checkpoints" / "last").state
    assert state["processes"] == 2
    outcome, _ = two_processes(*TINY, "--devices", 3, "--run-dir", tmp_path / "x", torchrun=True)
    assert outcome.code == 2
    assert "torchrun started 2 processes here, and --devices says 3" in outcome.message


def test_the_strategy_of_one_process_changes_nothing(tmp_path: Path) -> None:
    succeed(*TINY, "--run-dir", tmp_path / "one")
    process = Forked(*TINY, "--strategy", "ddp", "--run-dir", tmp_path / "ddp")
    outcome = process.wait()
    assert (outcome.code, outcome.err) == (0, ""), outcome
    assert_same_run(tmp_path / "one", tmp_path / "ddp")
    message = refuse(*TINY, "--strategy", "fsdp", "--run-dir", tmp_path / "x")
    assert "unknown strategy 'fsdp'" in message


def test_a_refusal_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = both(*TINY, "--run-dir", tmp_path / "file")
    assert outcome.code == 2
    assert "cannot write" in outcome.message


def test_nan_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer._train_step

    def poisoned(self: Trainer, batch: Batch, step: int) -> None:
        if step == 1:
            with torch.no_grad():
                self.model.decoder.last.bias.fill_(math.nan)
        original(self, batch, step)

    monkeypatch.setattr(Trainer, "_train_step", poisoned)
    outcome = both(*TINY, "--run-dir", tmp_path / "run")
    assert outcome.code == 2
    assert "NaN or infinite at step 2" in outcome.message


def test_no_processes() -> None:
    for number in ("0", "-1", "1000"):
        assert "--devices must be between 1 and 64" in refuse(*TINY, "--devices", number)


@pytest.mark.slow
def test_as_a_program(tmp_path: Path) -> None:
    arguments = (*TINY, "--estimator", "exact", "--batch-size", "399")
    succeed(*arguments, "--run-dir", tmp_path / "one")
    process = program(*arguments, "--devices", "2", cwd=tmp_path)
    outcome = finish(process)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("report: ") == 1
    (folder,) = (tmp_path / "runs").iterdir()  # one folder, although it has the time in its name
    assert_same_run(tmp_path / "one", folder)
    again = finish(program(*arguments, "--devices", "2", "--run-dir", folder))
    assert again.code == 2
    assert "already holds a run" in again.message


@pytest.mark.slow
def test_torchrun_as_a_program(tmp_path: Path) -> None:
    arguments = (*TINY, "--estimator", "exact", "--batch-size", "399")
    succeed(*arguments, "--run-dir", tmp_path / "one")
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    words += ["--master-port", "0", "--standalone", "-m", "directmax", *arguments]
    process = subprocess.run(
        [*words, "--run-dir", str(tmp_path / "two")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=200,
    )
    assert process.returncode == 0, process
    assert process.stdout.count("report: ") == 1
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False])
def test_ctrl_c_as_a_program(tmp_path: Path, whole_group: bool) -> None:
    folder = tmp_path / "run"
    arguments = (*TINY, "--epochs", "100000", "--devices", "2", "--run-dir", folder)
    process = program(*arguments, start_new_session=True)
    wait_for_lines(process, folder, 3)
    if whole_group:
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    else:
        process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert "stopped and saved (after epoch" in outcome.message
    assert f"--resume --run-dir {folder} --devices 2" in outcome.message
    position = load_checkpoint(folder / "checkpoints" / "last").state["position"]
    assert position["epoch"] == len(metrics(folder))
    assert call("evaluate", folder).code == 0


def helper_of(process: subprocess.Popen[str]) -> int:
    """The process that `--devices 2` started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (number,) = (
        int(each) for each in children if b"--devices" in Path(f"/proc/{each}/cmdline").read_bytes()
    )
    return number


@pytest.mark.slow
def test_a_helper_that_is_killed_or_stopped(tmp_path: Path) -> None:
    """Named in one line; nothing hangs, and the run goes on from what is saved."""
    folder = tmp_path / "run"
    arguments = (*TINY, "--epochs", "100000", "--devices", "2", "--run-dir", folder)
    process = program(*arguments)
    wait_for_lines(process, folder, 3)
    os.kill(helper_of(process), signal.SIGKILL)
    outcome = finish(process, 60)
    assert outcome.code == 1
    assert "was killed (SIGKILL)" in outcome.message
    again = program("train", "--device", "cpu", "--resume", "--devices", "2", "--run-dir", folder)
    wait_for_lines(again, folder, len(metrics(folder)) + 3)
    helper = helper_of(again)
    os.kill(helper, signal.SIGSTOP)
    assert again.stderr is not None
    line = again.stderr.readline()  # after a minute
    assert f"(PID {helper}) has not answered for 60 s: it is stopped" in line
    os.kill(helper, signal.SIGCONT)
    again.send_signal(signal.SIGTERM)
    ended = finish(again, 60)
    assert ended.code == 130
    assert "stopped and saved (after epoch" in ended.message


@pytest.mark.slow
def test_the_first_process_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = program(*TINY, "--epochs", "100000", "--devices", "2", "--run-dir", folder)
    wait_for_lines(process, folder, 3)
    helper = helper_of(process)
    process.kill()
    process.communicate(timeout=60)
    end = time.monotonic() + 30
    while Path(f"/proc/{helper}").exists():
        assert time.monotonic() < end, "the helper stays"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("devices", [1, 2])
def test_a_signal_while_it_starts(
    tmp_path: Path, number: signal.Signals, delay: float, devices: int
) -> None:
    """To the whole group, at any moment of the start: one line, no traceback."""
    folder = tmp_path / "run"
    arguments = (*TINY, "--epochs", "100000", "--devices", devices, "--run-dir", folder)
    process = program(*arguments, start_new_session=True)
    wait_until(process, lambda: hears(process, signal.SIGTERM))  # before, Python answers
    time.sleep(delay)
    os.killpg(process.pid, number)
    outcome = finish(process, 60)
    assert outcome.code == 130, outcome
    assert outcome.message.startswith(("interrupted", "stopped"))


def hears(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether a process has set a handler of a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)
