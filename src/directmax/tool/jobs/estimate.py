"""How long jobs will take here: measured from a few steps of every distinct configuration, once."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directmax.tool.config import ResolvedConfig, stored_config
from directmax.tool.data.locate import user_cache
from directmax.tool.files import RunError, read_json, write_json
from directmax.tool.jobs.images import Images, sizes
from directmax.tool.jobs.machine import hardware
from directmax.tool.paper.jobs import Job
from directmax.tool.run.run_folder import environment

START_SECONDS = 6.0
"""Of every process, until it computes, and for its report at the end."""
FEW_DRAWS, MORE_DRAWS = 4, 24
FEW_ITERATIONS = 3


@dataclass(frozen=True)
class Estimate:
    """What a job takes, in seconds.

    Attributes:
        epoch: of a training, the steps of one epoch; None of other jobs.
        total: of the whole job in a process of its own.
    """

    epoch: float | None
    total: float


class Estimates:
    """Measures, and keeps what was measured in a file of the user's cache.

    Args:
        images: of all jobs.
        device: that is measured.
        threads: of a job.
        data_dir: where to look for images first.
        file: the cache; None: that of the user.
    """

    def __init__(
        self,
        images: Images,
        *,
        device: str,
        threads: int,
        data_dir: str | None = None,
        file: Path | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._images, self._device, self._threads = images, device, threads
        self._file = file or user_cache() / "timings.json"
        self._known: dict[str, Any] = {}
        with contextlib.suppress(RunError):  # none yet, or damaged: measured again
            self._known = read_json(self._file)

    def of(
        self, jobs: Iterable[Job], told: Callable[[int, int], object] = lambda done, total: None
    ) -> dict[str, Estimate]:
        """The estimates of jobs, by name.

        Args:
            jobs: which.
            told: how many are done, and of how many.
        """
        jobs = list(jobs)
        found = {}
        for number, job in enumerate(jobs):
            told(number, len(jobs))
            found[job.name] = self._of(job)
        told(len(jobs), len(jobs))
        self._save()
        return found

    def _of(self, job: Job) -> Estimate:
        if job.kind == "train":
            config = stored_config(dict(job.settings))
            step, validation = self._measured(
                self._training_key(config), self._time_training, config
            )
            steps = math.ceil(sizes(self._images.of(config))[0] / config.batch_size)
            epoch = step * steps
            return Estimate(epoch, START_SECONDS + config.total_epochs * (epoch + validation))
        if job.kind == "mixture":
            key = {**job.settings, "seed": 0, "restarts": 1, "iterations": FEW_ITERATIONS}
            (each,) = self._measured(("mixture", key), self._time_mixture, key)
            runs = job.settings["restarts"] * job.settings["iterations"]
            return Estimate(None, START_SECONDS + runs * each)
        few = {**job.settings, "adapt": 0, "seed": 0}
        few.pop("draws")
        few.pop("trained", None)  # the measurement is of a fresh model
        few |= {"data": job.cell["data"], "values": job.cell["values"]}
        start, each = self._measured(("gradients", few), self._time_gradients, few)
        return Estimate(None, START_SECONDS + start + each * job.settings["draws"])

    def _measured(
        self, key: Any, measure: Callable[[Any], tuple[float, ...]], subject: Any
    ) -> tuple[float, ...]:
        name = self._name(key)
        if name not in self._known:
            import torch

            threads = torch.get_num_threads()
            torch.set_num_threads(self._threads)
            try:
                self._known[name] = measure(subject)
            finally:
                torch.set_num_threads(threads)
        return tuple(self._known[name])

    def _training_key(self, config: ResolvedConfig) -> Any:
        """What decides the cost of a step: not the seed, the length, nor which images of a size."""
        _, size, pixels = sizes(self._images.of(config))
        name = config.data if config.model == "attributes" else "digits"
        other = dataclasses.replace(config, seed=0, epochs=100, patience=0, starts=1, data=name)
        return ("train", pixels, size, other.to_dict())

    def _time_training(self, config: ResolvedConfig) -> tuple[float, ...]:
        from directmax.tool.run.timing import time_training

        timing = time_training(config, self._images.of(config), device=self._device)
        return timing.step, timing.validation

    def _time_mixture(self, settings: Mapping[str, Any]) -> tuple[float, ...]:
        from directmax.tool.jobs.mixture import measure_mixture
        from directmax.tool.run.train import make_fabric

        device = make_fabric(self._device, 1, "32-true").device
        began = time.perf_counter()
        found = measure_mixture(settings, self._images.binary(settings["data"]), device)
        return ((time.perf_counter() - began) / sum(found["iterations"]),)

    def _time_gradients(self, settings: Mapping[str, Any]) -> tuple[float, ...]:
        from directmax.tool.jobs.gradients import measure_gradients

        took = []
        for draws in (FEW_DRAWS, FEW_DRAWS, MORE_DRAWS):  # the first compiles kernels
            began = time.perf_counter()
            measure_gradients(
                {**settings, "draws": draws},
                run_dir=None,
                data_dir=self._data_dir,
                device=self._device,
            )
            took.append(time.perf_counter() - began)
        return took[1], max(0.0, (took[2] - took[1]) / (MORE_DRAWS - FEW_DRAWS))

    @functools.cached_property
    def _machine(self) -> list[Any]:
        """What decides how long a step takes, beside what is computed."""
        code = environment()
        return [hardware(), code["versions"], code["git_commit"], self._device, self._threads]

    def _name(self, key: Any) -> str:
        text = json.dumps([self._machine, key], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _save(self) -> None:
        with contextlib.suppress(RunError, OSError):  # measured again the next time
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, self._known)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of jobs ends that are taken in turn by some workers.

    Example:
        >>> makespan([3.0, 1.0, 1.0], 2)
        3.0
    """
    free = [0.0] * max(1, workers)
    for each in seconds:
        free.sort()
        free[0] += each
    return max(free)
