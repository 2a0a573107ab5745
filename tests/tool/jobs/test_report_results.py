"""What is collected from a folder, finished or not, and how it is averaged."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from report_folder import MACHINE, ReportFolder

from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.files import RunError
from directmax.tool.kinds.train import MAX_POINTS
from directmax.tool.look.spread import Spread
from directmax.tool.paper.report import Results, collect
from directmax.tool.paper.report.results import (
    OUTCOME,
    Outcome,
    mean_of,
    on_test,
    write_results,
)
from directmax.tool.run.train import train


def config(seed: int = 0, **settings: object) -> ResolvedConfig:
    return TrainConfig(**{"data": "mnist", "epochs": 300, "seed": seed, **settings}).resolve()  # type: ignore[arg-type]


def test_mean_and_deviation_over_seeds(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for seed, bound in enumerate((165.0, 166.0, 168.0)):
        folder.training(["table1"], f"run-{seed}", config(seed), bound, method="direct")
    results = collect(folder.write())
    spread = mean_of(results.outcomes, on_test("bound"))
    assert spread is not None
    assert spread.mean == pytest.approx(499 / 3)
    assert spread.deviation == pytest.approx(math.sqrt(7 / 3))  # n − 1
    assert (spread.count, str(spread)) == (3, "166.33 ± 1.53")


def test_nothing_has_no_mean() -> None:
    assert Spread.of([]) is None
    assert Spread.of([float("nan")]) is None


def test_failed_and_waiting_jobs_are_kept_and_do_not_count(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    folder.training(["table1"], "done", config(), 165.0, method="direct")
    folder.add(["table1"], "dead", "train", config(1).to_dict(), {}, state="failed", error="killed")
    folder.add(["table1"], "later", "train", config(2).to_dict(), {})
    results = collect(folder.write())
    assert [outcome.state for outcome in results.outcomes] == ["done", "failed", "waiting"]
    assert [outcome.name for outcome in results.in_state("failed")] == ["dead"]
    assert str(mean_of(results.outcomes, on_test("bound"))) == "165.00"


def test_a_running_job_shows_the_epochs_that_are_whole(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    path = folder.training(["table1"], "run", config(), 165.0)
    (path / "summary.json").unlink()
    (path / "state.json").write_text('{"state": "running", "attempts": 1}')
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 5, "valid')
    (outcome,) = collect(folder.write()).outcomes
    assert (outcome.state, outcome.epochs, outcome.test) == ("running", 4, {})
    assert outcome.curves["bound"] == pytest.approx([195.0, 180.0, 175.0, 172.5])


def test_long_curves_are_thinned_and_keep_their_last_epoch(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    folder.training(["table1"], "run", config(), 165.0, curve=[float(400 - i) for i in range(299)])
    (outcome,) = collect(folder.write()).outcomes
    epochs = outcome.curves["epoch"]
    assert len(epochs) <= MAX_POINTS + 1
    assert (epochs[0], epochs[-1]) == (1, 299)
    assert outcome.curves["bound"][-1] == 102.0
    assert "nll" not in outcome.curves  # unknown in these runs


def test_the_confusion_matrix_stays_in_the_run(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    folder.training(["table2"], "run", config(), 100.0, accuracy=0.948, labels=100)
    (outcome,) = collect(folder.write()).outcomes
    assert on_test("accuracy")(outcome) == pytest.approx(94.8)
    assert "confusion" not in outcome.test


def test_results_json_gives_the_same_results_again(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    folder.training(["table1"], "run", config(), 165.0, stopped_early=True, method="ours")
    folder.add(["table1"], "later", "mixture", {"values": 10}, {"values": 10})
    results = collect(folder.write())
    write_results(folder.root, results)
    text = (folder.root / "results.json").read_text()
    assert "NaN" not in text
    assert Results.from_dict(json.loads(text)) == results


def test_a_real_run_is_read(tmp_path: Path) -> None:
    real = TrainConfig(epochs=2, hidden=12, batch_size=400).resolve()
    folder = ReportFolder(tmp_path / "out")
    path = folder.add(["table1"], "run", "train", real.to_dict(), {"seed": 0}, state="done")
    (path / "state.json").rename(tmp_path / "state.json")
    path.rmdir()
    summary = train(real, path, device="cpu")
    (tmp_path / "state.json").rename(path / "state.json")
    (outcome,) = collect(folder.write()).outcomes
    assert outcome.test["bound"] == summary["test"]["bound"]
    assert outcome.best_epoch == summary["best_epoch"]
    assert outcome.versions == summary["versions"]
    assert outcome.seconds_per_epoch == summary["seconds_per_epoch"]
    assert len(outcome.curves["bound"]) == outcome.epochs == 2


def test_an_outcome_taken_over_keeps_the_times_of_its_machine(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    settings, cell = config().to_dict(), {"data": "mnist", "method": "direct"}
    path = folder.add(
        ["figure2"], "run", "train", settings, cell, state="done", seconds_per_epoch=1.0
    )
    there = Outcome("run", "train", cell, settings, "there", "done", measured=9.0, machine=MACHINE)
    (path / OUTCOME).write_text(json.dumps(dataclasses.asdict(there)))
    (outcome,) = collect(folder.write()).outcomes
    assert (outcome.measured, outcome.machine) == (9.0, MACHINE)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("plan.json", "", "plan.json is damaged or unreadable"),
        ("plan.json", "{}", "plan.json is damaged: KeyError('command')"),
        ("jobs/run/state.json", '{"state": "lost"}', "unknown state 'lost'"),
        ("jobs/run/summary.json", "[]", "summary.json is damaged: expected a JSON object"),
        ("jobs/run/summary.json", "{}", "jobs/run/summary.json is damaged: KeyError('validation')"),
        ("jobs/run/summary.json", '{"validation": 1}', "jobs/run/summary.json is damaged: "),
        ("jobs/run/metrics.jsonl", "{}", "jobs/run/metrics.jsonl is damaged: line 1 is no epoch"),
        ("jobs/run/metrics.jsonl", "1", "jobs/run/metrics.jsonl is damaged: line 1 is no epoch"),
        ("jobs/bias/gradients.json", "{}", "jobs/bias/gradients.json is damaged: KeyError('rows')"),
        ("jobs/em/result.json", '{"test": 1}', "jobs/em/result.json is damaged: AttributeError("),
        ("jobs/em/outcome.json", "{}", "jobs/em/outcome.json is damaged: KeyError('points')"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, file: str, content: str, message: str) -> None:
    folder = ReportFolder(tmp_path / "out")
    folder.training(["table1"], "run", config(), 165.0)
    em = folder.add(["table1"], "em", "mixture", {}, {}, state="done")
    (em / "result.json").write_text("{}")
    bias = folder.add(["figure1"], "bias", "gradients", {}, {}, state="done")
    (bias / "gradients.json").write_text('{"rows": [], "norm": 1.0}')
    root = folder.write()
    collect(root)
    (root / file).write_text(content)
    with pytest.raises(RunError) as caught:
        collect(root)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_plan(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"plan\.json does not exist"):
        collect(tmp_path)


def test_no_results() -> None:
    with pytest.raises(ValueError, match="no results of a reproduction"):
        Results.from_dict({"command": "directmax"})
