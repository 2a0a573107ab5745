"""A run ends early when its bound no longer moves, says so, and resumes to the same end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from command_line import Forked, metrics, read, refuse, succeed
from directmax.tool.config import TrainConfig, extended
from directmax.tool.run.report import _length
from directmax.tool.run.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("no_report")

RUN = ("train", "--device", "cpu", "--batch-size", "400", "--hidden", "12", "--epochs", "300")
PLAIN = ("--preset", "paper", "--data", "digits", "--learning-rate", "0.03")
PATIENCE = 4


def test_it_stops_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    out = succeed(*RUN, *PLAIN, "--patience", PATIENCE, "--run-dir", folder).out
    assert f"stopped early: no better epoch in the last {PATIENCE} (--epochs 300)" in out
    summary, lines = read(folder / "summary.json"), metrics(folder)
    assert summary["stopped_early"] is True
    assert summary["epochs"] == len(lines) == summary["best_epoch"] + PATIENCE < 300
    bounds = [line["validation"]["bound"] for line in lines]
    best = [min(bounds[: n + 1]) for n in range(len(bounds))]
    runs = [len(bounds[:n]) - bounds.index(best[n]) - 1 for n in range(len(bounds))]
    assert max(runs) < PATIENCE  # it did not stop later than it had to
    text = _length(RunFolder(folder).config(), summary)
    assert text == f"{len(lines)} of 300 epochs (no better one in the last {PATIENCE})"


@pytest.mark.slow
def test_an_interruption_does_not_change_when(tmp_path: Path) -> None:
    arguments = (*RUN, *PLAIN, "--patience", PATIENCE)
    succeed(*arguments, "--run-dir", tmp_path / "whole")
    whole = metrics(tmp_path / "whole")
    folder = tmp_path / "cut"

    def cut_at_half() -> None:
        import os
        import signal

        from directmax.tool.run.loop import Trainer

        original = Trainer._finish_epoch

        def finish(self: Trainer, seconds: float) -> None:
            original(self, seconds)
            if self.position.epoch == len(whole) - 2:
                os.kill(os.getpid(), signal.SIGKILL)

        Trainer._finish_epoch = finish  # type: ignore[method-assign]

    assert Forked(*arguments, "--run-dir", folder, prepare=cut_at_half).wait().code == -9
    succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)
    assert metrics(folder) == whole
    ended = read(folder / "summary.json")
    succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)  # nothing is left
    assert metrics(folder) == whole
    assert read(folder / "summary.json")["test"] == ended["test"]


def test_epochs_of_a_falling_kl_weight_do_not_count(tmp_path: Path) -> None:
    falling = ("--kl-start", "30", "--kl-fraction", "0.5", "--learning-rate", "0.1")
    arguments = (*RUN[:-1], "20", "--learning-rate-schedule", "constant", "--patience", "1")
    succeed(*arguments, *falling, "--run-dir", tmp_path / "run")
    epochs = read(tmp_path / "run" / "summary.json")["epochs"]
    assert 11 <= epochs < 20


def test_without_patience_it_goes_to_the_end(tmp_path: Path) -> None:
    succeed(*RUN[:-1], "40", *PLAIN, "--run-dir", tmp_path / "run")
    summary = read(tmp_path / "run" / "summary.json")
    assert (summary["epochs"], summary["stopped_early"]) == (40, False)


@pytest.mark.parametrize(
    ("settings", "patience"),
    [
        ({"data": "digits"}, 50),
        ({"data": "digits", "epochs": 30}, 20),
        ({"data": "digits", "variables": 2}, 0),
        ({"data": "digits", "estimator": "direct"}, 0),
        ({"data": "digits", "model": "mixed"}, 0),
        ({"data": "digits", "patience": 0}, 0),
    ],
)
def test_its_default(settings: dict[str, Any], patience: int) -> None:
    assert TrainConfig(**settings).resolve().patience == patience


def test_who_asks_for_more_epochs_gets_them(tmp_path: Path) -> None:
    run = ("--run-dir", tmp_path / "run")
    succeed(*RUN[:-1], "40", *PLAIN, "--patience", "1", *run)
    ended = len(metrics(tmp_path / "run"))
    assert ended < 40
    succeed("train", "--device", "cpu", "--resume", "--extend", "3", *run)
    assert len(metrics(tmp_path / "run")) == 43
    assert extended(TrainConfig(data="digits").resolve(), 3).patience == 0


def test_bad_values() -> None:
    assert "--patience must be at least 0, got -1" in refuse(*RUN, "--patience", "-1")


def test_it_does_not_stop_before_images_without_labels_are_seen(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    succeed(
        *("train", "--device", "cpu", "--batch-size", "400", "--hidden", "12", "--epochs", "12"),
        *("--model", "mixed", "--gaussian", "3", "--labels", "50", "--labels-first", "20"),
        *("--learning-rate", "1e-9", "--patience", "1", "--run-dir", folder),  # nothing improves
    )
    assert len(metrics(folder)) == 8  # an epoch has three steps, and labels come until the seventh
