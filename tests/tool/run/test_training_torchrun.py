"""Signals under torchrun: to it, to one of its processes, to the whole group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disturbances import outcome

from command_line import TINY, Outcome, metrics
from directmax.tool.run.checkpoint import load_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

EPOCHS = 100
RUN = (*TINY, "--estimator", "exact", "--epochs", EPOCHS, "--kl-start", 1)
SAVED = "stopped and saved (after epoch"
GOES_ON = "--resume continues from the last checkpoint"


class Torchrun:
    """`torchrun --nproc-per-node 2 -m directmax …`, in a session of its own."""

    def __init__(self, *arguments: object) -> None:
        words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
        words += ["--standalone", "-m", "directmax", *map(str, arguments)]
        self.launcher = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def processes(self) -> list[int]:
        """The two that train; the first is the first."""
        children = Path(f"/proc/{self.launcher.pid}/task/{self.launcher.pid}/children")
        found = {}
        for each in children.read_text().split():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{each}/environ").read_bytes().split(b"\0")
                ranks = [word for word in words if word.startswith(b"RANK=")]
                found |= {int(rank[5:]): int(each) for rank in ranks}
        return [found[rank] for rank in sorted(found)]

    def wait(self, seconds: float = 250.0) -> Outcome:
        """The end, also of what it started, which has the same pipes."""
        out, err = self.launcher.communicate(timeout=seconds)
        return Outcome(self.launcher.returncode, out, err)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.launcher.pid, signal.SIGKILL)


@pytest.fixture
def start() -> Iterator[Callable[..., Torchrun]]:
    """Starts one; none outlives the test."""
    started: list[Torchrun] = []

    def begin(*arguments: object) -> Torchrun:
        started.append(Torchrun(*arguments))
        return started[-1]

    yield begin
    for each in started:
        each.end()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert Torchrun(*RUN, "--run-dir", folder).wait().code == 0
    return folder


def trains(running: Torchrun, folder: Path, epochs: int, seconds: float = 250.0) -> None:
    end, path = time.monotonic() + seconds, folder / "metrics.jsonl"
    while not path.exists() or path.read_text().count("\n") < epochs:
        assert running.launcher.poll() is None, running.wait()
        assert time.monotonic() < end, "it does not train"
        time.sleep(0.02)


def gone(processes: list[int], seconds: float = 20.0) -> bool:
    """Whether all of them end, or wait for a parent to ask how they ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        states = []
        for each in processes:
            with contextlib.suppress(OSError):
                states.append(Path(f"/proc/{each}/stat").read_text().rpartition(") ")[2][0])
        if all(state == "Z" for state in states):
            return True
        time.sleep(0.1)
    return False


def said(outcome: Outcome) -> list[str]:
    """What directmax said, among torchrun's own words; nothing of ours is a traceback."""
    assert "[rank" not in outcome.err, outcome
    assert "/directmax/" not in outcome.err, outcome
    return [line for line in outcome.err.splitlines() if line.startswith("directmax: ")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("whom", ["torchrun", "first", "second", "group"])
def test_signals(
    tmp_path: Path, whole: Path, start: Callable[..., Torchrun], whom: str, number: signal.Signals
) -> None:
    """One line, the command that continues, nobody left, and the result of an undisturbed run."""
    folder = tmp_path / "run"
    running = start(*RUN, "--run-dir", folder)
    trains(running, folder, 3)
    launcher, both = running.launcher.pid, running.processes()
    if whom == "group":
        os.killpg(launcher, number)
    else:
        os.kill({"torchrun": launcher, "first": both[0], "second": both[1]}[whom], number)
    ended = running.wait()
    killed = number == signal.SIGKILL
    assert ended.code != 0
    assert gone(both)
    lines = said(ended)
    # The two that train are in sessions of their own: they may see that torchrun is gone, and save.
    if not killed or whom != "group" or lines:
        (line,) = lines
        saved = SAVED in line and f"--resume --run-dir {folder} --devices 2" in line
        assert saved or (killed and GOES_ON in line), ended
        if saved:
            position = load_checkpoint(folder / "checkpoints" / "last").state["position"]
            assert position["epoch"] == len(metrics(folder))
    again = start("train", "--device", "cpu", "--resume", "--run-dir", folder).wait()
    assert (again.code, said(again)) == (0, []), again
    assert outcome(folder) == outcome(whole)
    assert not list(folder.rglob(".half-*"))
