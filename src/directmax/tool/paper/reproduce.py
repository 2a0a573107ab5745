"""What `directmax reproduce` does: what is left of a plan, how long that takes, run, report."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from directmax.tool.data import DataError
from directmax.tool.data.celeba import count_training
from directmax.tool.data.locate import Places
from directmax.tool.files import RunError
from directmax.tool.jobs.bench import Bench, Images
from directmax.tool.jobs.engine import Engine
from directmax.tool.jobs.engine_local import Resources, resources
from directmax.tool.jobs.kind import Estimate
from directmax.tool.jobs.plan import Plan
from directmax.tool.jobs.progress import JobsProgress
from directmax.tool.jobs.runner import Runner, makespan
from directmax.tool.jobs.store import Store
from directmax.tool.jobs.task import Task
from directmax.tool.look.progress import bars, duration
from directmax.tool.paper import kinds
from directmax.tool.paper.kinds import KINDS
from directmax.tool.paper.known import give_back, read_known, take_over, usable, without_model
from directmax.tool.paper.report import write_report


def present_data(data_dir: str | Path | None) -> dict[str, int]:
    """Training images of the data sets that cannot be downloaded and are there."""
    try:
        return {"celeba": count_training(Places(data_dir, download=False))}
    except DataError:  # a damaged one is reported when it is loaded
        return {}


class Reproduction:
    """A plan in its folder. Nothing is written before `run`.

    Args:
        plan: what is to be done.
        output: the folder.
        known: `results.json` of other reproductions, whose finished jobs are taken over.
        data_dir: where to look for images first.
        console: where to write.

    Attributes:
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
        known: Sequence[str] = (),
        data_dir: str | None = None,
        console: Console,
    ) -> None:
        self._plan, self._data_dir, self._console = plan, data_dir, console
        self._store = Store(output)
        self._store.check(plan.scale)
        self._folders = self._store.bind(plan.jobs)
        self._images = Images(data_dir)
        for job in plan.jobs:  # before they start: nothing is downloaded twice
            KINDS[job.kind].load(job, self._images)
        self._known = usable(plan.jobs, read_known(known))
        unfinished = {n for n, f in self._folders.items() if n not in self._known and not f.is_done}
        self._again = without_model(self._folders, unfinished)
        self.left = [name for name in self._folders if name in unfinished or name in self._again]
        self._estimates: dict[str, Estimate] = {}

    def measure(self, device: str, workers: int | None, *, fresh: bool = False) -> Resources:
        """Measure what is left.

        Args:
            device: auto, cpu, cuda (all cards), cuda:N or mps.
            workers: jobs at a time; None: as many as there is room for.
            fresh: measure all trainings, whatever is known of them.

        Returns:
            The share of this machine that jobs get.

        Raises:
            ValueError: the device is not there, or `workers` is below 1.
        """
        found = resources(device, workers, len(self.left))
        names = {*self.left}
        names |= {name for name, outcome in self._known.items() if outcome.measured is None}
        jobs = [
            job
            for job in self._plan.jobs
            if job.name in names or (fresh and KINDS[job.kind].epochs(job))
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
                self._estimates[job.name] = KINDS[job.kind].estimate(job, bench)
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
        plan, show = self._plan, self._console.print
        show(Text(f"scale {plan.scale}: {plan.scale_note}"), soft_wrap=True)
        table = Table()
        table.add_column("job")
        for title in ("epochs", "s an epoch", "whole"):
            table.add_column(title, justify="right")
        for job in plan.jobs:
            estimate = self._estimates.get(job.name)
            each = f"{estimate.epoch:.2f}" if estimate and estimate.epoch is not None else ""
            whole = duration(estimate.total) if estimate and job.name in self.left else "done"
            table.add_row(Text(job.name), str(KINDS[job.kind].epochs(job) or ""), each, whole)
        show(table)
        for part in plan.parts:
            if part.needs:
                show(Text(part.needs), soft_wrap=True)
        if not self.left:
            show(Text("everything is done; the report is written anew"))
            return
        whole = duration(makespan((self._estimates[name].total for name in self.left), workers))
        text = f"{len(self.left)} of {len(plan.jobs)} jobs left, about {whole} ({where})"
        show(Text(text), soft_wrap=True)

    def prepare(self, command: str, *, compiled: bool) -> None:
        """Write the plan, and what is known.

        Args:
            command: the command line of the call.
            compiled: whether steps of trainings are compiled. These were not measured: the runs'
                own times count.

        Raises:
            RunError: the folder cannot be written.
        """
        epochs = {} if compiled else {n: each.epoch for n, each in self._estimates.items()}
        self._store.add_plan(self._plan.to_dict(command, self._folders, epochs))
        give_back(self._folders[name] for name in self._again)
        take_over(self._folders, self._known)

    def run(self, engine: Engine, *, retries: int, compiled: bool) -> list[str]:
        """Run what is left; returns the names of jobs that failed.

        Raises:
            RunError: the folder cannot be written.
            Stopped: Ctrl-C; what ran is saved.
        """
        with JobsProgress(self._console) as progress:
            runner = Runner(
                self._folders,
                KINDS,
                engine,
                task=Task("", kinds.__name__, data_dir=self._data_dir, compiled=compiled),
                retries=retries,
                progress=progress,
                seconds={name: each.total for name, each in self._estimates.items()},
            )
            runner.run()
        return list(runner.failed)

    @contextlib.contextmanager
    def reported(self, device: str) -> Iterator[None]:
        """Write the report at the end, also after an error or Ctrl-C.

        Args:
            device: that draws its pictures.
        """
        root = self._store.root
        try:
            yield
        except Exception:
            with contextlib.suppress(RunError):  # such as a full disk, which the first error says
                write_report(root, data_dir=self._data_dir, device=device)
            raise
        write_report(root, data_dir=self._data_dir, device=device)
        print(f"report: {root / 'reproduction.html'}")
