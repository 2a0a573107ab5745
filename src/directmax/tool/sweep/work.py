"""What `directmax sweep` does: the trainings of a grid as jobs, and their comparison."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console

from directmax.tool import kinds
from directmax.tool.compare.comparison import compare_runs
from directmax.tool.compare.page import show, write_csv, write_page
from directmax.tool.jobs.bench import Images
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.plan import Part, Plan, make_plan
from directmax.tool.jobs.store import JOBS
from directmax.tool.jobs.work import Work, at_the_end
from directmax.tool.kinds.train import OWN_IMAGES
from directmax.tool.run.make import record_of
from directmax.tool.sweep.grid import Grid, Training

SCALE = "sweep"
"""In place of a reproduction's, so that neither continues the other's folder."""


def sweep_plan(grid: Grid, images: Images) -> Plan:
    """The trainings of a grid as jobs of kind `train`."""
    jobs = [
        Job(each.name, "train", _settings(each, images), {"seed": each.config.seed})
        for each in grid.trainings
    ]
    part = Part("sweep", "Sweep", "", tuple(job.name for job in jobs))
    return make_plan(SCALE, "", {part: jobs})


def _settings(training: Training, images: Images) -> dict[str, Any]:
    """With what tells images of one's own from others: changed ones are another training."""
    settings = training.config.to_dict()
    if training.path is not None:
        record = record_of(images.of(training.config, training.path))
        settings[OWN_IMAGES] = {**record, "path": str(Path(training.path).expanduser().absolute())}
    return settings


class Sweep(Work):
    """A grid in its folder. Nothing is written before `prepare`.

    Args:
        grid: the trainings.
        output: the folder.
        data_dir: where to look for images first.
        images: those that are loaded already.
        console: where to write.

    Raises:
        ValueError: images are missing or damaged.
        RunError: the folder or a file cannot be used.
    """

    def __init__(
        self,
        grid: Grid,
        output: str | Path,
        *,
        data_dir: str | None = None,
        images: Images | None = None,
        console: Console,
    ) -> None:
        images = images or Images(data_dir)
        super().__init__(
            sweep_plan(grid, images),
            output,
            kinds=kinds.__name__,
            data_dir=data_dir,
            images=images,
            console=console,
        )
        self._show = console

    def compared(self) -> AbstractContextManager[None]:
        """Compare what is done at the end, also after an error or Ctrl-C."""
        return at_the_end(self._compare)

    def _compare(self) -> None:
        root = self.store.root
        if not any(root.glob(f"{JOBS}/*/summary.json")):
            return
        comparison = compare_runs([root / JOBS])
        write_csv(comparison, root / "compare.csv")
        write_page(comparison, root / "compare.html")
        show(comparison, self._show)
        print(f"page: {root / 'compare.html'}")
