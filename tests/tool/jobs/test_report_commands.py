"""The command that the report prints for a training is that training."""

from __future__ import annotations

import shlex

import pytest
from report_folder import VERSIONS

from directmax.tool import cli
from directmax.tool.commands import Gradients, Train
from directmax.tool.config import TrainConfig, stored_config
from directmax.tool.jobs.job import Job
from directmax.tool.kinds.train import train_flags
from directmax.tool.measure.gradient_request import GradientRequest
from directmax.tool.paper import Request, plan_items
from directmax.tool.paper.report.commands import command_of
from directmax.tool.paper.report.results import Outcome

JOBS = [
    job
    for item, data in (("table1", "omniglot"), ("figure3", "fashion-mnist"), ("table2", "mnist"))
    for job in plan_items(item, Request("paper", (3,), (data,))).jobs
    if job.kind == "train" and job.cell["values"] != 50 and job.cell.get("labels", 50) == 50
]


def outcome(kind: str, settings: dict[str, object]) -> Outcome:
    return Outcome("name", kind, {}, settings, "jobs/name", versions=VERSIONS)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_the_printed_command_gives_the_same_configuration(job: Job) -> None:
    settings = dict(job.settings)
    words = shlex.split(command_of(outcome("train", settings)))
    assert words[:2] == ["directmax", "train"]
    command = cli._parse(words[1:])
    assert isinstance(command, Train)
    assert command.run_dir == "jobs/name"
    assert command.config() == stored_config(settings)


def test_as_few_flags_as_possible() -> None:
    assert train_flags(TrainConfig().resolve().to_dict()) == []
    structured = TrainConfig(encoder="pairwise", seed=1).resolve().to_dict()
    assert train_flags(structured) == ["--encoder", "pairwise", "--seed", "1"]


@pytest.mark.parametrize("scale", ["short", "paper"])
def test_the_command_of_a_measurement_names_its_run(scale: str) -> None:
    training, start, middle, *_ = plan_items("figure1", Request(scale, (0,))).jobs
    run = Outcome(training.name, "train", {}, dict(training.settings), f"jobs/{training.key()}")
    for job, directory in ((start, None), (middle, run.folder)):
        words = shlex.split(command_of(outcome("gradients", dict(job.settings)), [run]))
        command = cli._parse(words[1:])
        assert isinstance(command, Gradients)
        assert command.run_dir == directory
        assert command.output == "jobs/name"
        flags = {name: value for name, value in job.settings.items() if name != "trained"}
        assert command.request == GradientRequest.from_dict(flags)


def test_mixtures_have_no_command() -> None:
    assert command_of(outcome("mixture", {"values": 10})) == ""
