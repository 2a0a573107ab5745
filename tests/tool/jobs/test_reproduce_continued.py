"""A call on a folder that another one left: what is kept, what is run again, what is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from jobs import ForkEngine, bound, outcome, run_jobs, tiny
from rich.console import Console

from command_line import refuse
from directmax.tool.files import RunError
from directmax.tool.jobs.faults import INTERRUPTED
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.store import OUTCOME, JobFolder, State, Store, merge
from directmax.tool.jobs.task import Task
from directmax.tool.paper import Request, kinds, plan_items
from directmax.tool.paper.known import give_back, read_known, take_over, usable, without_model
from directmax.tool.paper.report.results import collect, write_results
from directmax.tool.paper.reproduce import Reproduction

pytestmark = pytest.mark.usefixtures("quick")


def stored(store: Store, job: Job, state: State) -> JobFolder:
    """The folder of a job in that state."""
    folder = store.bind([job])[job.name]
    folder.create()
    folder.write_state(state)
    return folder


def test_a_measurement_is_left_whose_training_is_done(tmp_path: Path) -> None:
    plan = plan_items("figure1", Request("smoke"), only=["figure1-digits-middle"])
    training = next(job for job in plan.jobs if job.kind == "train")
    stored(Store(tmp_path), training, State("done", 1))
    assert Reproduction(plan, tmp_path, console=Console()).left == ["figure1-digits-middle-0"]


def plan_of(*jobs: dict[str, Any], needs: str | None = None) -> dict[str, Any]:
    item = {"name": "figure3", "jobs": [job["name"] for job in jobs], "needs": needs}
    return {"command": "c", "scale": "smoke", "items": [item], "jobs": list(jobs)}


def test_what_was_measured_stays_measured(tmp_path: Path) -> None:
    old = plan_of({"name": "a", "seconds_per_epoch": 2.0}, {"name": "b", "seconds_per_epoch": 3.0})
    new = plan_of({"name": "a", "seconds_per_epoch": None}, {"name": "b", "seconds_per_epoch": 4.0})
    merged = merge(old, new, tmp_path)
    assert {job["name"]: job["seconds_per_epoch"] for job in merged["jobs"]} == {"a": 2.0, "b": 4.0}


def test_an_item_without_jobs_says_nothing_of_one_with_some(tmp_path: Path) -> None:
    old = plan_of({"name": "a", "seconds_per_epoch": 2.0})
    (item,) = merge(old, plan_of(needs="not on mnist"), tmp_path)["items"]
    assert item == old["items"][0]
    (item,) = merge(plan_of(needs="not on mnist"), old, tmp_path)["items"]
    assert item == old["items"][0]


def test_a_model_that_is_needed_after_all_is_trained(tmp_path: Path) -> None:
    first, store = tmp_path / "first", Store(tmp_path / "second")
    training = tiny("training")
    run_jobs(first, [training])
    Store(first).add_plan(plan_record(training, Store(first)))
    write_results(first, collect(first))
    known = usable([training], read_known([first / "results.json"]))
    take_over(store.bind([training]), known)
    folder = bound(store.root, training)
    assert folder.is_done
    assert not folder.has_model
    # Another job comes that needs the model.
    other = Job("other", "train", {**tiny("other", seed=1).settings}, {}, after=("training",))
    folders = store.bind([training, other])
    assert without_model(folders, []) == []
    assert without_model(folders, ["other"]) == ["training"]
    give_back([folder])
    assert not folder.is_done
    runner, _ = run_jobs(store.root, [training, other])
    assert (runner.done, runner.failed) == (["training", "other"], {})
    assert not (folder.path / OUTCOME).exists()
    assert folder.has_model
    assert outcome(folder.path) == outcome(bound(first, training).path)


def plan_record(job: Job, store: Store) -> dict[str, Any]:
    entry = {
        **job.to_dict(),
        "digest": job.digest(),
        "folder": bound(store.root, job).relative,
        "seconds_per_epoch": None,
    }
    item = {"name": "table1", "title": "t", "caption": "c", "jobs": [job.name], "needs": None}
    return {
        "command": "c",
        "scale": "smoke",
        "scale_note": "",
        "items": [item],
        "jobs": [entry],
    }


def test_an_item_that_is_left_out_says_why_whatever_is_chosen_of_it(tmp_path: Path) -> None:
    arguments = ("reproduce", "figure5", "--only", "figure5", "--output", tmp_path / "out")
    assert "figure5 has no embedded data and is left out" in refuse(*arguments)


@pytest.mark.parametrize(("left", "seconds"), [("waiting", 5.0), ("running", 8.0)])
def test_the_time_of_a_worker_that_could_save_is_counted_once(
    tmp_path: Path, left: str, seconds: float
) -> None:
    runner, _ = run_jobs(tmp_path, [])
    folder = stored(Store(tmp_path), tiny("a"), State(left, 1, None, 5.0))
    runner._write(folder, "waiting", "was stopped", 3.0)
    assert folder.state() == State("waiting", 1, "was stopped", seconds)


def test_a_state_that_cannot_be_written_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [tiny("a"), tiny("b", seed=1)]

    def die(name: str, number: int) -> None:
        if name == "a":
            os._exit(70)

    def write_state(self: JobFolder, state: State) -> None:
        if state.state == "failed":
            raise RunError("cannot write state.json: no space left on device")
        original(self, state)

    original = JobFolder.write_state
    monkeypatch.setattr(JobFolder, "write_state", write_state)
    runner, text = run_jobs(tmp_path, jobs, ForkEngine(prepare=die), retries=0)
    assert runner.done == ["b"]
    assert list(runner.failed) == ["a"]
    assert "no space left on device" in text


def test_a_lock_that_is_held_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    folder = stored(Store(tmp_path), tiny("a"), State())
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with folder.claim():
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    with folder.claim() as mine:
        assert not mine
    threading.Timer(0.3, release.set).start()
    with folder.claim(wait=10) as mine:
        assert mine
    thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="workers end with their engine on Linux")
def test_a_worker_whose_engine_is_gone_does_not_start(tmp_path: Path) -> None:
    folder = stored(Store(tmp_path), tiny("a"), State())
    task = Task(
        str(folder.path.absolute()), kinds.__name__, engine=2**22
    )  # no process has this number
    found = subprocess.run(task.command(), env=task.environment(), capture_output=True, timeout=60)
    assert found.returncode == INTERRUPTED
    assert folder.state() == State()
    assert json.loads(folder.job_file.read_text())["name"] == "a"
