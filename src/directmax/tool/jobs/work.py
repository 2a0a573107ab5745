"""A plan in its folder: what is left of it, how long that takes, and its run."""

from __future__ import annotations

import contextlib
import gc
import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from directmax.tool.files import RunError
from directmax.tool.jobs.bench import Bench, Images
from directmax.tool.jobs.engine import Engine
from directmax.tool.jobs.engine_local import Resources, resources
from directmax.tool.jobs.kind import Estimate, Kinds
from directmax.tool.jobs.plan import Plan
from directmax.tool.jobs.progress import JobsProgress
from directmax.tool.jobs.runner import Runner, makespan
from directmax.tool.jobs.store import Store
from directmax.tool.jobs.task import Task
from directmax.tool.look.progress import bars, duration


@contextlib.contextmanager
def at_the_end(write: Callable[[], object]) -> Iterator[None]:
    """Write what is known at the end, also after an error or Ctrl-C, which is what is raised."""
    try:
        yield
    except Exception:
        with contextlib.suppress(RunError):  # such as a full disk, which the first error says
            write()
        raise
    write()


class Work:
    """A plan in its folder. Nothing is written before `prepare`.

    Args:
        plan: what is to be done.
        output: the folder.
        kinds: module whose `KINDS` the jobs are of.
        data_dir: where to look for images first.
        images: those that are loaded already.
        console: where to write.

    Attributes:
        store: the folder.
        folders: of the jobs, by name.
        left: names of the jobs that are to be run.

    Raises:
        ValueError: images are missing or damaged.
        RunError: the folder or a file cannot be used.
    """

    def __init__(
        self,
        plan: Plan,
        output: str | Path,
        *,
        kinds: str,
        data_dir: str | None = None,
        images: Images | None = None,
        console: Console,
    ) -> None:
        self.plan, self._data_dir, self._console = plan, data_dir, console
        self._module = kinds
        self._kinds: Kinds = importlib.import_module(kinds).KINDS
        self.store = Store(output)
        self.store.check(plan.scale)
        self.folders = self.store.bind(plan.jobs)
        self._images = images or Images(data_dir)
        for job in plan.jobs:  # before they start: nothing is downloaded twice
            self._kinds[job.kind].load(job, self._images)
        self.left = [name for name, folder in self.folders.items() if not folder.is_done]
        self._estimates: dict[str, Estimate] = {}

    def measure(
        self,
        device: str,
        workers: int | None,
        *,
        also: Iterable[str] = (),
        fresh: bool = False,
    ) -> Resources:
        """Measure what is left.

        Args:
            device: auto, cpu, cuda (all cards), cuda:N or mps.
            workers: jobs at a time; None: as many as there is room for.
            also: names of other jobs that are measured.
            fresh: measure all trainings, whatever is known of them.

        Returns:
            The share of this machine that jobs get.

        Raises:
            ValueError: the device is not there, or `workers` is below 1.
        """
        found = resources(device, workers, len(self.left))
        names = {*self.left, *also}
        jobs = [
            job
            for job in self.plan.jobs
            if job.name in names or (fresh and self._kinds[job.kind].epochs(job))
        ]
        bench = Bench(
            self._images,
            device=found.devices[0],
            threads=found.threads,
            data_dir=self._data_dir,
            fresh=fresh,
        )
        with bars(self._console, len(jobs)) as show:
            for number, job in enumerate(jobs, start=1):
                self._estimates[job.name] = self._kinds[job.kind].estimate(job, bench)
                if show is not None:
                    show("measuring a few steps", number)
        bench.save()
        self._images.clear()
        gc.collect()
        if found.devices[0].startswith("cuda"):  # before jobs share the card's memory
            torch.cuda.empty_cache()
        return found

    def announce(self, workers: int, where: str) -> None:
        """Print the jobs, and how long they are expected to take.

        Args:
            workers: jobs at a time.
            where: in words.
        """
        plan, show = self.plan, self._console.print
        head = f"scale {plan.scale}: {plan.scale_note}" if plan.scale_note else ""
        if head:
            show(Text(head), soft_wrap=True)
        table = Table()
        table.add_column("job")
        for title in ("epochs", "s an epoch", "whole"):
            table.add_column(title, justify="right")
        for job in plan.jobs:
            estimate = self._estimates.get(job.name)
            each = f"{estimate.epoch:.2f}" if estimate and estimate.epoch is not None else ""
            whole = duration(estimate.total) if estimate and job.name in self.left else "done"
            table.add_row(Text(job.name), str(self._kinds[job.kind].epochs(job) or ""), each, whole)
        show(table)
        for part in plan.parts:
            if part.needs:
                show(Text(part.needs), soft_wrap=True)
        if not self.left:
            show(Text("everything is done"))
            return
        whole = duration(makespan((self._estimates[name].total for name in self.left), workers))
        text = f"{len(self.left)} of {len(plan.jobs)} jobs left, about {whole} ({where})"
        show(Text(text), soft_wrap=True)

    def prepare(self, command: str, *, compiled: bool) -> None:
        """Write the plan.

        Args:
            command: the command line of the call.
            compiled: whether steps of trainings are compiled. These were not measured: the runs'
                own times count.

        Raises:
            RunError: the folder cannot be written.
        """
        epochs = {} if compiled else {n: each.epoch for n, each in self._estimates.items()}
        self.store.add_plan(self.plan.to_dict(command, self.folders, epochs))

    def run(self, engine: Engine, *, retries: int, compiled: bool) -> list[str]:
        """Run what is left; returns the names of jobs that failed.

        Raises:
            RunError: the folder cannot be written.
            Stopped: Ctrl-C; what ran is saved.
        """
        with JobsProgress(self._console) as progress:
            runner = Runner(
                self.folders,
                self._kinds,
                engine,
                task=Task("", self._module, data_dir=self._data_dir, compiled=compiled),
                retries=retries,
                progress=progress,
                seconds={name: each.total for name, each in self._estimates.items()},
            )
            runner.run()
        return list(runner.failed)
