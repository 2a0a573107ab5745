"""`directmax reproduce`."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from directmax.tool.commands.jobs import JobFlags, words_of
from directmax.tool.commands.shared import end_failed, quiet
from directmax.tool.config.setting import either
from directmax.tool.paper import ITEMS


@dataclass(frozen=True)
class Reproduce:
    """Run what a table or a figure of the paper needs, and report it beside the published values.

    Called again, it does only what is left.
    """

    name: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="NAME", help=f"{either((*ITEMS, 'all'))}."),
    ]
    scale: str = "smoke"
    """smoke (minutes, the digits), short (the paper's data, tens of epochs) or paper (its protocol,
    300 epochs)."""
    seeds: Annotated[
        tuple[int, ...],
        tyro.conf.arg(metavar="INT ...", help_behavior_hint="(default: 0; of paper 0 1 2)"),
    ] = ()
    """A run for each."""
    data: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: those of the scale)"),
    ] = ()
    """Only these data sets."""
    only: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="(default: all)")
    ] = ()
    """Only jobs whose names begin so, such as table1-mnist-10, and what they need."""
    known: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="FILE ...", help_behavior_hint="(default: none)")
    ] = ()
    """results.json of other reproductions: their finished jobs are taken over, not run again."""
    dry_run: bool = False
    """Print the jobs and how long they would take, measured from a few steps; run nothing."""
    everything: bool = False
    """Also what the paper does not have: figures 1 and 3 by every estimator, figure 1 with binary
    variables, table 1 by one start, without early stopping and on pixels drawn once, table 2
    without distorted images."""
    epochs: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: those of the scale)")
    ] = None
    """Of every training, in place of what the scale says."""
    measure: bool = False
    """Measure the seconds of an epoch of all trainings anew, also of finished ones."""
    output: Annotated[
        str | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/reproduction-SCALE)"),
    ] = None
    """Folder of jobs and report."""
    jobs: Annotated[JobFlags, tyro.conf.arg(name="")] = JobFlags()  # noqa: RUF009

    memory: ClassVar[tuple[str, ...]] = ("--workers",)

    def run(self) -> None:
        """Reproduce."""
        from directmax.tool.data.locate import Places
        from directmax.tool.jobs.engine_local import resources
        from directmax.tool.look.progress import make_console
        from directmax.tool.paper.item import Request
        from directmax.tool.paper.items import plan_items
        from directmax.tool.paper.reproduce import Reproduction, present_data

        quiet()
        jobs, data_dir = self.jobs, self.jobs.images
        jobs.check()
        resources(jobs.device, jobs.workers, 1)  # refused before images are read
        Places(jobs.data_dir)
        if self.output is not None and not self.output.strip():
            raise ValueError("--output must be a folder, got an empty name")
        present = present_data(data_dir)
        request = Request(self.scale, self.seeds, self.data, present, self.everything, self.epochs)
        work = Reproduction(
            plan_items(self.name, request, self.only),
            self.output or Path("runs") / f"reproduction-{self.scale}",
            known=self.known,
            data_dir=data_dir,
            console=make_console(),
        )
        share = work.measure(jobs.device, jobs.workers, also=work.unmeasured(), fresh=self.measure)
        work.announce(share.workers, jobs.where(share))
        if self.dry_run:
            return
        work.prepare(shlex.join(["directmax", "reproduce", *words_of(self)]), compiled=jobs.compile)
        failed: list[str] = []
        with work.reported(share.devices[0]):
            if work.left:
                with contextlib.closing(jobs.make_engine(share)) as engine:
                    failed = work.run(engine, retries=jobs.retries, compiled=jobs.compile)
        end_failed(failed)
