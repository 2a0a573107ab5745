"""Trainings, which are runs of `directmax train`."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from directmax.tool.config import ResolvedConfig, shortest, stored_config
from directmax.tool.data import AttributeData, ImageData
from directmax.tool.files import read_json, reading
from directmax.tool.jobs.bench import START_SECONDS, Bench, Images
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.kind import Estimate, Kind, Stage
from directmax.tool.jobs.task import Task
from directmax.tool.kinds.shared import flags, origin, small
from directmax.tool.run.attribute_task import AttributeTask
from directmax.tool.run.grouped import grouping_steps, time_groups
from directmax.tool.run.make import Data
from directmax.tool.run.processes import make_fabric
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.timing import time_training
from directmax.tool.run.train import train
from directmax.tool.run.trials import enough_labels, time_trials

MAX_POINTS = 100
"""Of a curve; of longer ones every so many epochs is kept, and the last."""
CURVES = ("bound", "nll", "accuracy", "authors")


OWN_IMAGES = "images"
"""Beside the settings: what is recorded of images of one's own, with their path."""


class Training(Kind):
    """A training; the settings are `ResolvedConfig.to_dict()`, and maybe `OWN_IMAGES`."""

    def run(self, job: Job, folder: Path, task: Task) -> None:
        """Train, or go on from the last checkpoint."""
        torch.set_num_threads(task.threads)
        train(
            _config(job),
            folder,
            images=_path(job.settings),
            data_dir=task.data_dir,
            resume=(folder / "config.json").exists(),
            device=task.device,
            # On a CPU the threads are divided among jobs; a card waits for the images.
            workers=0 if task.device == "cpu" else 2,
            compiled=task.compiled,
        )

    def load(self, job: Job, images: Images) -> None:
        """Its images."""
        images.of(_config(job), _path(job.settings))

    def epochs(self, job: Job) -> int:
        """Of all starts."""
        return _config(job).total_epochs

    def estimate(self, job: Job, bench: Bench) -> Estimate:
        """From a few steps and one look at the validation images."""
        config = _config(job)
        data = bench.images.of(config, _path(job.settings))

        def measure() -> tuple[float, float]:
            timing = time_training(config, data, device=bench.device)
            return timing.step, timing.validation

        step, validation = bench.seconds(_cost_key(config, data), measure)
        epoch = step * math.ceil(len(data.train) / config.batch_size)
        seconds = START_SECONDS + config.total_epochs * (epoch + validation)
        before = _grouping(config, data, bench) + _trials(config, data, bench)
        return Estimate(epoch, seconds + before)

    def stage(self, job: Job, folder: Path) -> Stage:
        """From its metrics so far."""
        config = _config(job)
        lines = RunFolder(folder).all_metrics()
        if not lines:
            return Stage(epochs=config.total_epochs)
        last = lines[-1]
        value = f"{last['validation']['bound']:.2f} nats"
        if "accuracy" in last["validation"]:
            value = f"{last['validation']['accuracy']:.2%}, {value}"
        each = statistics.median(x["seconds"] + x.get("validation_seconds", 0.0) for x in lines)
        epoch = int(last["epoch"])
        epoch += config.epochs_before(last.get("start", 0), epoch)
        remaining = each * max(0, config.total_epochs - epoch)
        return Stage(epoch, config.total_epochs, value, remaining)

    def result(self, folder: Path, *, done: bool) -> dict[str, Any]:
        """Of a run folder: results if it is done, curves as far as it got."""
        found: dict[str, Any] = {}
        run = RunFolder(folder)
        with reading(run.metrics_file):
            if lines := run.metrics():
                found["curves"] = _curves(lines)
                found["epochs"] = lines[-1]["epoch"]
                found["seconds_per_epoch"] = statistics.median(line["seconds"] for line in lines)
        if done:
            file = folder / "summary.json"
            summary = read_json(file)
            with reading(file):
                found |= {
                    "validation": small(summary["validation"]),
                    "test": small(summary["test"]),
                    "best_epoch": summary["best_epoch"],
                    "stopped_early": bool(summary.get("stopped_early")),
                    **origin(summary),
                }
        return found

    def words(
        self, settings: Mapping[str, Any], folder: str, others: Sequence[str] = ()
    ) -> list[str]:
        """`train` with the fewest flags."""
        return ["train", *train_flags(settings), "--run-dir", folder]


def train_flags(settings: Mapping[str, Any]) -> list[str]:
    """The fewest flags that give a configuration.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> train_flags(TrainConfig(data="mnist", values=20).resolve().to_dict())
        ['--data', 'mnist', '--values', '20']
    """
    config, path = shortest(_stored(settings)), _path(settings)
    preset = ["--preset", config.preset] if config.preset != "default" else []
    return preset + flags(config.given() | ({} if path is None else {"data": path}))


def _config(job: Job) -> ResolvedConfig:
    return _stored(job.settings)


def _stored(settings: Mapping[str, Any]) -> ResolvedConfig:
    return stored_config({n: value for n, value in settings.items() if n != OWN_IMAGES})


def _path(settings: Mapping[str, Any]) -> str | None:
    path = settings.get(OWN_IMAGES, {}).get("path")
    return None if path is None else str(path)


def _grouping(config: ResolvedConfig, data: Data, bench: Bench) -> float:
    """Seconds in which images are grouped before the training."""
    if not config.groups or not isinstance(data, ImageData):
        return 0.0

    def measure() -> tuple[float, float]:
        device = make_fabric(bench.device, 1, config.precision).device
        return time_groups(config, data, device)

    sizes = (len(data.train), math.prod(data.shape), config.values)
    key = ("groups", *sizes, bool(config.labels))
    start, step = bench.seconds(key, measure)
    return start + step * grouping_steps(config, data)


def _trials(config: ResolvedConfig, data: Data, bench: Bench) -> float:
    """Seconds in which the distortion is chosen before the training."""
    if not config.trials or not isinstance(data, AttributeData):
        return 0.0
    if not enough_labels(data.validation.attributes):
        return 0.0

    def measure() -> tuple[float, float]:
        task = AttributeTask(config, data, make_fabric(bench.device, 1, config.precision))
        try:
            return 0.0, time_trials(task.trials(), next(task.batches(0)).images)
        finally:
            task.close()

    _, step = bench.seconds(("trials", *_cost_key(config, data)), measure)
    return step * config.trials


def _cost_key(config: ResolvedConfig, data: Data) -> Any:
    """What decides the cost of a step: not the seed, the length, nor which images of a size."""
    pixels = math.prod(data.shape)
    name = config.data if isinstance(data, AttributeData) else "digits"
    other = dataclasses.replace(config, seed=0, epochs=100, patience=0, starts=1, data=name)
    return ("train", len(data.validation), pixels, other.to_dict())


def _curves(lines: list[dict[str, Any]]) -> dict[str, list[float]]:
    step = -(-len(lines) // MAX_POINTS)
    thinned = lines[::step]
    if thinned[-1] is not lines[-1]:
        thinned.append(lines[-1])
    curves: dict[str, list[float]] = {"epoch": [line["epoch"] for line in thinned]}
    for name in CURVES:
        values = [line["validation"].get(name) for line in thinned]
        if all(value is not None for value in values):
            curves[name] = [round(value, 4) for value in values]
    return curves
