"""Bias and variance of estimators, which `directmax gradients` measures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from directmax.tool.files import read_json, reading
from directmax.tool.jobs.bench import START_SECONDS, Bench, Images
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.kind import Estimate, Kind
from directmax.tool.jobs.task import Task
from directmax.tool.kinds.shared import flags, origin
from directmax.tool.measure.gradient_request import GradientRequest
from directmax.tool.measure.gradients import FILE, measure_gradients, save_pictures

FEW_DRAWS, MORE_DRAWS = 4, 24


class Gradients(Kind):
    """A measurement; the settings are flags of `directmax gradients`.

    `trained`, the digest of a training, says that its model is measured.
    """

    def run(self, job: Job, folder: Path, task: Task) -> None:
        """Measure, or what is left of it."""
        run_dir = task.needs[0] if task.needs else None
        _measure(job.settings, task.data_dir, task.device, run_dir=run_dir, output=folder)

    def load(self, job: Job, images: Images) -> None:
        """Its images."""
        images.binary(job.cell["data"])

    def estimate(self, job: Job, bench: Bench) -> Estimate:
        """From few draws and more; what estimators learn before is not counted."""
        reduced = {**job.settings, "adapt": 0, "seed": 0}
        del reduced["draws"]
        reduced.pop("trained", None)  # the measurement is of a fresh model
        reduced |= {k: job.cell[k] for k in ("data", "variables", "values") if k in job.cell}

        def measure() -> tuple[float, float]:
            seconds = []
            for draws in (FEW_DRAWS, FEW_DRAWS, MORE_DRAWS):  # the first compiles kernels
                began = time.perf_counter()
                _measure({**reduced, "draws": draws}, bench.data_dir, bench.device)
                seconds.append(time.perf_counter() - began)
            return seconds[1], max(0.0, (seconds[2] - seconds[1]) / (MORE_DRAWS - FEW_DRAWS))

        start, each = bench.seconds(("gradients", reduced), measure)
        return Estimate(None, START_SECONDS + start + each * job.settings["draws"])

    def result(self, folder: Path, *, done: bool) -> dict[str, Any]:
        """The rows, and the norm of the exact gradient."""
        if not done:
            return {}
        record = read_json(folder / FILE)
        with reading(folder / FILE):
            return {"points": tuple(record["rows"]), "norm": record["norm"], **origin(record)}

    def words(
        self, settings: Mapping[str, Any], folder: str, others: Sequence[str] = ()
    ) -> list[str]:
        """`gradients` with the run that is measured, if there is one."""
        trained = settings.get("trained")  # the digest, with which the folder ends
        runs = [other for other in others if trained and other.endswith(f"-{trained[:8]}")]
        return ["gradients", *runs[:1], *flags(settings, ["trained"]), "--output", folder]


def _measure(
    settings: Mapping[str, Any],
    data_dir: str | None,
    device: str,
    *,
    run_dir: str | None = None,
    output: Path | None = None,
) -> None:
    request = {name: value for name, value in settings.items() if name != "trained"}
    table = measure_gradients(
        GradientRequest.from_dict(request),
        run_dir=run_dir,
        data_dir=data_dir,
        device=device,
        output=output,
        resume=output is not None and (output / FILE).exists(),
    )
    if output is not None:
        save_pictures(table, output)
