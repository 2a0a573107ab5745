"""Several starts: the best after the fall of the KL weight is continued as if it were alone."""

from __future__ import annotations

import dataclasses
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from disturbances import RESUME, at_call, disturbed, interrupt, kill, outcome, weights
from lightning_fabric import Fabric

from command_line import STEPS, call, metrics, read, refuse, succeed, two_processes
from directmax.tool.config import ResolvedConfig, TrainConfig, stored_config
from directmax.tool.data import load_images
from directmax.tool.paper.item import Request
from directmax.tool.paper.table1 import build
from directmax.tool.run import train as run
from directmax.tool.run.binary_task import BinaryTask
from directmax.tool.run.evaluation import Metrics
from directmax.tool.run.loop import Trainer
from directmax.tool.run.progress import Progress
from directmax.tool.run.report import _length
from directmax.tool.run.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("no_report", "every_epoch_saved")

STARTS, FIRST, EPOCHS = 3, 2, 5
RUN = (
    *("train", "--device", "cpu", "--batch-size", "400", "--hidden", "12"),
    *("--epochs", EPOCHS, "--kl-start", "8", "--kl-fraction", "0.4", "--learning-rate", "0.01"),
)
SEVERAL = (*RUN, "--starts", STARTS)


def without_start(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "start"} for line in lines]


def alone(config: ResolvedConfig, start: int, folder: Path) -> tuple[list[dict[str, Any]], Any]:
    """One start, without the others."""
    fabric = Fabric(accelerator="cpu", devices=1)
    task = BinaryTask(dataclasses.replace(config, starts=1), load_images("digits"), fabric)
    if start:
        task.restart(start)
    kept = RunFolder(folder)
    trainer = Trainer(task, kept, Progress())
    with kept.create(task.config, fabric.device):
        trainer.run()
    trainer.close()
    return metrics(folder), weights(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("starts") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "write_report", lambda *arguments: None)
        succeed(*SEVERAL, "--run-dir", folder)
    return folder


def test_the_best_is_continued_as_if_it_were_alone(whole: Path, tmp_path: Path) -> None:
    lines, config = metrics(whole), RunFolder(whole).config()
    assert len(lines) == config.total_epochs == EPOCHS + (STARTS - 1) * FIRST
    starts = [lines[FIRST * start : FIRST * (start + 1)] for start in range(STARTS)]
    for number, part in enumerate(starts):
        assert [(line["start"], line["epoch"]) for line in part] == [(number, 1), (number, 2)]
        assert [line["kl_weight"] for line in part] == pytest.approx([4, 8 ** (1 / 6)])
    bounds = [part[-1]["validation"]["bound"] for part in starts]
    assert len(set(bounds)) == STARTS
    best = bounds.index(min(bounds))
    summary = read(whole / "summary.json")
    assert (summary["start"], summary["epochs"]) == (best, EPOCHS)
    mine = RunFolder(whole).metrics()
    assert [(line["start"], line["epoch"]) for line in mine] == [(best, e + 1) for e in range(5)]
    for start in range(STARTS):
        expected, kept = alone(config, start, tmp_path / str(start))
        assert without_start(starts[start]) == expected[:FIRST]
        if start == best:
            chosen = [line for line in lines if line["start"] == best]
            assert without_start(chosen) == expected
            assert weights(whole) == kept
    assert not (whole / "checkpoints" / "start").exists()


@pytest.mark.parametrize("resumed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_best_epoch_may_be_before_the_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    """The start that is continued keeps it, though later ones wrote over `best`."""
    script = iter([3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.0, 9.0])  # of three starts, and after
    validate = BinaryTask.validate

    def scripted(self: BinaryTask) -> Metrics:
        return dataclasses.replace(validate(self), bound=next(script))

    with monkeypatch.context() as patch:
        patch.setattr(BinaryTask, "validate", scripted)
        folder = tmp_path / "run"
        if resumed:  # stopped while the second start is trained
            patch.setattr(Trainer, "_save_last", Trainer._save_last)  # undone at the end
            at_call(Trainer, "_save_last", 3, interrupt, after=True)
            assert call(*SEVERAL, "--run-dir", folder).code == 130
            succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)
        else:
            succeed(*SEVERAL, "--run-dir", folder)
    summary = read(folder / "summary.json")
    assert (summary["start"], summary["best_epoch"]) == (0, 1)
    with monkeypatch.context() as patch:
        script = iter([3.0, 4.0, 9.0, 9.0, 9.0])
        patch.setattr(BinaryTask, "validate", scripted)
        succeed(*RUN, "--starts", "1", "--run-dir", tmp_path / "alone")
    assert weights(folder) == weights(tmp_path / "alone")


def test_a_lost_checkpoint_in_a_later_start_is_no_new_run(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    lines = (whole / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[: FIRST + 1]))
    shutil.rmtree(folder / "checkpoints" / "last")
    assert call("train", "--device", "cpu", "--resume", "--run-dir", folder).code == 2
    assert len(metrics(folder)) == FIRST + 1


def test_the_first_start_is_that_of_a_run_with_one(whole: Path, tmp_path: Path) -> None:
    succeed(*RUN, "--starts", "1", "--run-dir", tmp_path / "run")
    lines = metrics(tmp_path / "run")
    assert "start" not in lines[0]
    assert lines[:FIRST] == without_start(metrics(whole)[:FIRST])


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(False, id="before it is saved"),
        pytest.param(True, id="after", marks=pytest.mark.slow),
    ],
)
def test_killed_at_the_end_of_every_epoch(whole: Path, tmp_path: Path, after: bool) -> None:
    """Of every start; before the state is saved, the rest is written."""
    moments = [(Trainer, "_save_last", 1 if after or not i else 2, kill, after) for i in range(8)]
    ends = list(disturbed(SEVERAL, tmp_path / "run", *moments))
    assert [end.code for end in ends] == [-signal.SIGKILL] * len(moments), ends
    succeed(*RESUME, "--run-dir", tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(whole)
    assert not (tmp_path / "run" / "checkpoints" / "start").exists()


def test_interrupted_in_the_second_start(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    step = (FIRST + 1) * STEPS + STEPS - 1  # of its second epoch
    (stopped,) = disturbed(SEVERAL, folder, (Trainer, "_train_step", step, interrupt, True))
    assert stopped.code == 130
    assert f"(epoch {FIRST + 2}, step {STEPS - 1})" in stopped.message
    out = succeed(*RESUME, "--run-dir", folder).out
    assert f"continuing after epoch {FIRST + 1} with start 2" in out
    assert f"of {STARTS} is continued" in out
    assert outcome(folder) == outcome(whole)


def test_two_processes_choose_the_same(whole: Path, tmp_path: Path) -> None:
    arguments = (*SEVERAL, "--estimator", "exact", "--run-dir")
    succeed(*arguments, tmp_path / "one")
    first, second = two_processes(*arguments, tmp_path / "two")
    assert (first.code, second.code) == (0, 0)
    one, two = (metrics(tmp_path / name) for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert (a["start"], a["epoch"]) == (b["start"], b["epoch"])
        assert b["validation"]["bound"] == pytest.approx(a["validation"]["bound"], rel=1e-5)


def test_what_the_report_says(whole: Path) -> None:
    folder = RunFolder(whole)
    text = _length(folder.config(), read(whole / "summary.json"))
    assert text == f"the best of {STARTS} starts after {FIRST} epochs, {EPOCHS} epochs"
    others = folder.other_starts()
    assert [len(lines) for lines in others] == [FIRST] * (STARTS - 1)
    assert folder.metrics()[0]["start"] not in {lines[0]["start"] for lines in others}


def test_patience_begins_when_one_is_chosen(tmp_path: Path) -> None:
    """Also where the weight of the KL term is 1 from the start."""
    flags = ("--kl-start", "1", "--patience", "1", "--learning-rate", "3")  # it does not improve
    out = succeed(*SEVERAL, *flags, "--run-dir", tmp_path / "run").out
    lines = metrics(tmp_path / "run")
    assert [line["start"] for line in lines[: STARTS * FIRST]] == [0, 0, 1, 1, 2, 2]
    assert lines[-1]["epoch"] > FIRST
    assert "stopped early" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--starts 2 --kl-fraction 0", "is 0 of 5"),
        ("--starts 2 --kl-fraction 1", "is 5 of 5"),
        ("--starts -1", "--starts must be at least 1, got -1"),
    ],
)
def test_refused(tmp_path: Path, flags: str, message: str) -> None:
    arguments = ("train", "--epochs", "5", *flags.split(), "--run-dir", tmp_path / "run")
    assert message in refuse(*arguments)
    assert not (tmp_path / "run").exists()


def test_when_there_are_several() -> None:
    assert TrainConfig(data="mnist", estimator="direct").resolve().starts == 4
    assert TrainConfig(data="mnist", estimator="direct").resolve().start_epochs == 20
    assert TrainConfig(data="mnist", estimator="direct").resolve().total_epochs == 180
    for config in (
        TrainConfig(data="mnist").resolve(),
        TrainConfig(data="mnist", estimator="direct", epochs=24).resolve(),
        TrainConfig(data="mnist", estimator="direct", kl_start=1.0).resolve(),
        TrainConfig(data="mnist", estimator="direct", kl_fraction=0.5).resolve(),
        TrainConfig(data="mnist", estimator="direct", variables=2).resolve(),
        TrainConfig(data="mnist", estimator="direct", model="mixed").resolve(),
        TrainConfig(data="mnist", encoder="pairwise").resolve(),
    ):
        assert (config.starts, config.start_epochs, config.total_epochs) == (1, 0, config.epochs)


def test_older_runs_are_recognised() -> None:
    """Settings that came later are in neither files nor digests where they are not used."""
    old = TrainConfig(data="mnist", estimator="direct", kl_fraction=2 / 3).resolve()
    assert "starts" not in old.to_dict()
    assert stored_config(old.to_dict()) == old
    new = TrainConfig(data="mnist", estimator="direct").resolve()
    assert stored_config(new.to_dict()) == new
    assert sorted(new.differences(old)) == [
        f"--kl-fraction: {1 / 6} here, {2 / 3} there",
        "--starts: 4 here, 1 there",
    ]
    jobs = {job.name: job.digest() for job in build(Request("paper", (0,), ("mnist",)))}
    assert jobs["table1-mnist-10-exact-0"].startswith("970e3dfd")  # in reproductions/table1
    assert jobs["table1-mnist-50-direct-0"].startswith("69d1ff11")


def test_no_run_of_a_folder_is_overwritten(whole: Path) -> None:
    assert call(*SEVERAL, "--run-dir", whole).code == 2
