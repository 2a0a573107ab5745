"""Seconds of steps: measured in a job, read by the report."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from jobs import run_jobs

from directmax.tool.files import read_json
from directmax.tool.paper import Request
from directmax.tool.paper.figure3 import STATES, build
from directmax.tool.paper.kinds import KINDS


def test_steps_of_gumbel_softmax_over_all_states_are_measured(tmp_path: Path) -> None:
    jobs = build(Request("smoke", seeds=(0,), data=("digits",)))
    (job,) = (job for job in jobs if job.kind == "steps")
    few = [each for each in job.settings["trainings"] if each["changes"].get("variables") == 4]
    few = [each for each in few if each["method"] == STATES]  # what no other test trains
    settings = {**job.settings, "trainings": few, "seconds": 0.01}
    job = dataclasses.replace(job, settings=settings)
    runner, _ = run_jobs(tmp_path, [job])
    assert not runner.failed
    (file,) = tmp_path.glob("jobs/*/result.json")
    assert read_json(file)["machine"]
    points = KINDS["steps"].result(file.parent, done=True)["points"]
    assert [(point["method"], point["variables"]) for point in points] == [(STATES, 4)]
    assert 0 < points[0]["seconds"] < 10
    assert KINDS["steps"].result(file.parent, done=False) == {}
