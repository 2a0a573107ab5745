"""`directmax reproduce` as it is typed."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from jobs import ForkEngine, outcome

from command_line import call, finish, program, refuse, succeed, wait_until
from directmax.tool.commands.jobs import JobFlags
from directmax.tool.data import locate
from directmax.tool.paper import Request, plan_items
from directmax.tool.paper.known import read_known, usable
from directmax.tool.paper.report.results import Outcome

RESULTS = Path(__file__).parents[3] / "reproductions"
ONE = ("reproduce", "figure2", "--only", "figure2-digits", "--device", "cpu")
EXACT = ("reproduce", "table1", "--only", "table1-digits-10-em", "--device", "cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured anew, and nothing is left in the user's cache."""
    monkeypatch.setattr(locate, "user_cache", lambda: tmp_path / "cache")
    from directmax.tool.jobs import bench

    monkeypatch.setattr(bench, "user_cache", lambda: tmp_path / "cache")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table7",), "unknown item 'table7'"),
        (("table1", "--scale", "huge"), "unknown scale 'huge'"),
        (("table1", "--data", "cifar"), "unknown data set 'cifar'"),
        (("table1", "--only", "table2"), "--only table2 fits no job"),
        (("table1", "--workers", "0"), "--workers must be at least 1, got 0"),
        (("table1", "--retries", "-1"), "--retries must be 0 to 1000, got -1"),
        (("table1", "--engine", "slurm"), "unknown engine 'slurm'"),
        (("table1", "--address", "x:1"), "--address is for --engine ray"),
        (("table1", "--seeds", "one"), "--seeds"),
        (("table1", "--device", "cuda:99"), "--device cuda:99 is not available here"),
        (("table1", "--data-dir", "/nowhere"), "/nowhere does not exist"),
        (("figure5",), "figure5 has no embedded data and is left out: add --data fashion-mnist"),
        ((), "NAME"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    output = tmp_path / "out"
    assert message in refuse("reproduce", *arguments, "--output", output)
    assert not output.exists()


def test_another_scale_in_the_folder(tmp_path: Path) -> None:
    plan: dict[str, Any] = {"command": "x", "scale": "paper", "items": [], "jobs": []}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    message = refuse(*EXACT, "--output", tmp_path)
    assert "holds a reproduction with --scale paper, not smoke" in message
    (tmp_path / "file").write_text("")
    assert "is a file" in refuse(*EXACT, "--output", tmp_path / "file")


def test_a_dry_run_measures_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ("reproduce", "table1", "--only", "table1-digits-10", "--dry-run")
    text = succeed(*arguments, "--device", "cpu", "--output", output).out
    assert not output.exists()
    assert "table1-digits-10-gumbel-softmax-0" in text
    assert "5 of 5 jobs left, about" in text
    timings = (tmp_path / "cache" / "timings.json").read_text()
    known = json.loads(timings)
    assert len(known) == 5
    assert all(0 < value < 10 for values in known.values() for value in values)
    assert succeed(*arguments, "--device", "cpu", "--output", output).out == text
    assert (tmp_path / "cache" / "timings.json").read_text() == timings  # not measured again


@pytest.mark.slow
def test_done_then_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    text = succeed(*EXACT, "--output", output).out
    assert "1/1 table1-digits-10-em: test −log p(x)" in text
    assert f"report: {output / 'reproduction.html'}" in text
    for name in ("plan.json", "results.json", "reproduction.html", "reproduction.md"):
        assert (output / name).exists()
    plan = json.loads((output / "plan.json").read_text())
    assert plan["command"] == (
        f"directmax reproduce table1 --only table1-digits-10-em --output {output} --device cpu"
    )
    (result,) = (output / "jobs").glob("*/result.json")
    before = result.stat().st_mtime_ns
    text = succeed(*EXACT, "--output", output).out
    assert "everything is done" in text
    assert result.stat().st_mtime_ns == before
    _its_results_are_taken_over(output, tmp_path / "second")
    monkeypatch.setattr(JobFlags, "make_engine", lambda command, share: ForkEngine())
    _a_failed_job_is_exit_code_1_and_in_the_report(output)


def _its_results_are_taken_over(first: Path, second: Path) -> None:
    text = succeed(*EXACT, "--known", first / "results.json", "--output", second).out
    assert "everything is done" in text
    assert not list((second / "jobs").glob("*/result.json"))  # nothing was run
    one, two = (json.loads((f / "results.json").read_text())["outcomes"] for f in (first, second))
    assert one == two
    assert "--known" in (second / "reproduction.md").read_text()
    assert "everything is done" in succeed(*EXACT, "--output", second).out  # without the file
    record = json.loads((first / "results.json").read_text())
    record["outcomes"][0]["settings"]["restarts"] += 1  # another job
    (first / "results.json").write_text(json.dumps(record))
    known = ("--known", first / "results.json", "--dry-run", "--output", second / "third")
    assert "1 of 1 jobs left" in succeed(*EXACT, *known).out


def test_published_results_are_taken_over_whole() -> None:
    """The digests of jobs stay, so that what was computed need not be again."""
    for item, results, number in (("table1", "table1", 75), ("figure2", "table1", 12)):
        jobs = plan_items(item, Request("paper", seeds=(0,))).jobs
        known = read_known([RESULTS / results / "results.json"])
        assert len(usable(jobs, known)) == len(jobs) == number
    seeds_0_and_1 = plan_items("table2", Request("paper", seeds=(0, 1), everything=True)).jobs
    known = read_known([RESULTS / "table2" / "results.json"])
    assert len(usable(seeds_0_and_1, known)) == len(known) == 17


@pytest.mark.parametrize(
    ("content", "message"), [(None, "does not exist"), ("{}", "is no results")]
)
def test_known_results_that_are_none(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "results.json"
    if content is not None:
        file.write_text(content)
    assert message in refuse(*EXACT, "--known", file, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_models_that_others_need_are_not_taken_over() -> None:
    plan = plan_items("figure1", Request("smoke"))
    known = {j.digest(): Outcome(j.name, j.kind, j.cell, j.settings, "") for j in plan.jobs}
    assert set(usable(plan.jobs, known)) == {job.name for job in plan.jobs}
    (trained,) = {each for job in plan.jobs for each in job.after}
    measured = next(job for job in plan.jobs if job.after)
    del known[measured.digest()]
    assert set(usable(plan.jobs, known)) == {j.name for j in plan.jobs} - {trained, measured.name}


def _a_failed_job_is_exit_code_1_and_in_the_report(output: Path) -> None:
    (folder,) = (output / "jobs").iterdir()
    record = json.loads((folder / "job.json").read_text())
    record["settings"]["values"] = 11
    (folder / "job.json").write_text(json.dumps(record))  # damaged
    (folder / "state.json").unlink()
    found = call(*EXACT, "--output", output)
    assert found.code == 1
    assert "1 job failed; the same command tries again: table1-digits-10-em" in found.err
    assert "its digest is that of other settings" in found.out
    assert "its digest is that of other settings" in (output / "reproduction.md").read_text()


@pytest.mark.slow
def test_ctrl_c_and_again_as_a_program(tmp_path: Path) -> None:
    """The whole: two workers, stopped in the middle, called again; as without the interruption."""
    only = ("--only", *(f"table1-digits-10-{name}" for name in ("exact", "direct")))
    size = ("--epochs", "60", "--device", "cpu", "--workers", "2")
    arguments = ("reproduce", "figure2", *only, *size, "--output")
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    process = program(*arguments, stopped)
    files = (stopped / "jobs").glob
    wait_until(
        process,
        lambda: any(path.read_text().count("\n") > 20 for path in files("*/metrics.jsonl")),
    )
    process.send_signal(signal.SIGINT)
    found = finish(process)
    assert found.code == 130
    assert "those that ran are saved; the same command does what is left" in found.message
    assert (stopped / "reproduction.html").exists()
    assert finish(program(*arguments, stopped)).code == 0
    assert finish(program(*arguments, whole)).code == 0
    jobs = sorted(path.name for path in (whole / "jobs").iterdir())
    assert jobs == sorted(path.name for path in (stopped / "jobs").iterdir())
    for name in jobs:
        assert outcome(stopped / "jobs" / name) == outcome(whole / "jobs" / name)


def test_a_name_of_another_item_is_no_start(tmp_path: Path) -> None:
    assert "--only figure2-digits fits no job" in refuse(*ONE, "--output", tmp_path / "out")
