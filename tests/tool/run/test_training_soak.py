"""Random kills and signals at random moments, over eight kinds of run, to the identical result."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from disturbances import RESUME, outcome

from command_line import Forked, Outcome, metrics, succeed, two_processes
from directmax.tool.run import train as run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_report", "every_epoch_saved")]

DISTURBANCES = 25
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
BASE = ("train", "--device", "cpu", "--hidden", "12", "--batch-size", "100", "--epochs", "30")
STRUCTURED = ("--variables", "4", "--values", "2")
FACES = (
    *("train", "--device", "cpu", "--data", "celeba", "--model", "attributes", "--workers", "2"),
    *("--image-size", "16", "--gaussian", "3", "--hidden", "8", "--batch-size", "20"),
    *("--epochs", "20", "--labels", "10"),
)
KINDS: dict[str, tuple[str, ...]] = {
    "direct": BASE,
    "starts": (*BASE, "--kl-start", "8", "--kl-fraction", "0.2", "--starts", "3"),
    "dynamic": (*BASE, "--binarize", "dynamic", "--variables", "3", "--values", "3"),
    "relax": (*BASE, "--estimator", "relax", "--variables", "3", "--values", "2"),
    "mixed": (*BASE, "--model", "mixed", "--gaussian", "3", "--labels", "50"),
    "pairwise": (*BASE, *STRUCTURED, "--encoder", "pairwise"),
    "attributes": FACES,
    "two processes": (*BASE, "--estimator", "exact"),
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, examples = tmp_path_factory.mktemp("faces"), Path(__file__).parents[3] / "examples"
    words = [examples / "drawn_faces.py", folder, "--count", "100", "--processes", "1"]
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=examples)
    return folder


def disturb(chance: random.Random, seconds: float, arguments: tuple[object, ...]) -> Outcome:
    """One try, ended at a random moment if it does not end before."""
    child = Forked(*arguments, group=True)
    time.sleep(chance.uniform(0, seconds))
    number = chance.choice(SIGNALS)
    # To the process alone, or to all that it started.
    send: Callable[[int, int], None] = chance.choice((os.kill, os.killpg))
    with contextlib.suppress(ProcessLookupError):
        send(child.pid, number)
    return child.wait()


def disturb_two(chance: random.Random, seconds: float, arguments: tuple[object, ...]) -> Outcome:
    number, delay = chance.choice(SIGNALS), chance.uniform(0, seconds)

    def disturbing(*both: Forked) -> None:
        time.sleep(delay)
        for child in both:
            os.kill(child.pid, number)

    return two_processes(*arguments, during=disturbing)[0]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_random_kills_and_signals(
    tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("DIRECTMAX_DATA", str(faces))
    monkeypatch.setattr(run, "write_report", lambda *arguments: None)
    two, command = kind == "two processes", KINDS[kind]

    def whole(*arguments: object) -> None:
        if kind == "attributes":  # workers need a process that had none before
            ends = (Forked(*arguments).wait(), Forked("--version").wait())
        else:
            ends = two_processes(*arguments) if two else (succeed(*arguments),) * 2
        assert [end.code for end in ends] == [0, 0], ends

    began = time.monotonic()
    whole(*command, "--run-dir", tmp_path / "whole")
    seconds = (time.monotonic() - began) / 4
    expected = outcome(tmp_path / "whole")
    chance = random.Random(kind)
    number, folder = 0, tmp_path / "run0"
    for _ in range(DISTURBANCES):
        begun = (folder / "config.json").exists()
        arguments = (*(RESUME if begun else command), "--run-dir", folder)
        end = (disturb_two if two else disturb)(chance, seconds, arguments)
        assert end.code in (0, 1, 130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL), end
        assert "Traceback" not in end.err
        if end.code == 130:
            assert end.err.count("\n") <= 1, end
        if end.code == 0:  # it was too quick
            assert outcome(folder) == expected
            number, folder = number + 1, tmp_path / f"run{number + 1}"
    begun = (folder / "config.json").exists()
    whole(*(RESUME if begun else command), "--run-dir", folder)
    assert outcome(folder) == expected
    assert len(metrics(folder)) == len(metrics(tmp_path / "whole"))
    assert not list(folder.rglob(".half-*"))
