"""Seconds of a training step against the number of binary variables (figure 3, middle)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from directmax.tool.config import ResolvedConfig, stored_config
from directmax.tool.files import read_json, reading, write_json
from directmax.tool.jobs.bench import START_SECONDS, Bench, Images
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.kind import Estimate, Kind
from directmax.tool.jobs.task import Task
from directmax.tool.kinds.shared import origin
from directmax.tool.run.make import Data
from directmax.tool.run.provenance import environment
from directmax.tool.run.timing import time_steps
from directmax.tool.run.train import make_fabric

FILE = "result.json"


def measure_steps(settings: Mapping[str, Any], data: Data, *, device: str) -> list[dict[str, Any]]:
    """Time steps of trainings, one after the other in this process.

    Args:
        settings: `base`, the configuration of a training; `trainings`, each with its `method` and
            `changes` to that; `seconds`, about how long each is measured.
        data: the images of all.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        Of each `method`, `variables` n and `seconds` a step, the least of several rounds.
    """
    rows = []
    for training in settings["trainings"]:
        config = stored_config({**settings["base"], **training["changes"]})
        step = time_steps(config, data, device=device, seconds=settings["seconds"])
        method = training["method"]
        rows.append({"method": method, "variables": config.variables, "seconds": step})
    return rows


class Steps(Kind):
    """A measurement; its settings are those of `measure_steps`."""

    def run(self, job: Job, folder: Path, task: Task) -> None:
        """Measure all of them."""
        torch.set_num_threads(task.threads)
        images = Images(task.data_dir)
        rows = measure_steps(job.settings, images.of(_base(job)), device=task.device)
        device = make_fabric(task.device, 1, "32-true").device
        write_json(folder / FILE, {"rows": rows, **environment(device)})

    def load(self, job: Job, images: Images) -> None:
        """Its images."""
        images.of(_base(job))

    def estimate(self, job: Job, bench: Bench) -> Estimate:
        """What was asked for, and as much again to make models and compile kernels."""
        measured = 2 * job.settings["seconds"] * len(job.settings["trainings"])
        return Estimate(None, START_SECONDS + measured)

    def result(self, folder: Path, *, done: bool) -> dict[str, Any]:
        """The rows."""
        if not done:
            return {}
        record = read_json(folder / FILE)
        with reading(folder / FILE):
            return {"points": tuple(record["rows"]), **origin(record)}


def _base(job: Job) -> ResolvedConfig:
    return stored_config(dict(job.settings["base"]))
