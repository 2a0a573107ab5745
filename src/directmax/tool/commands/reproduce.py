"""`directmax reproduce`."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from directmax.tool.commands.shared import DataDir, check_engine, end_failed, make_engine, quiet
from directmax.tool.config.setting import either
from directmax.tool.paper import ITEMS

if TYPE_CHECKING:
    from directmax.tool.jobs.engine import Engine
    from directmax.tool.jobs.engine_local import Resources


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
    variables, table 1 by one start and without early stopping, table 2 without distorted images."""
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
    engine: str = "local"
    """local (processes of this machine) or ray (a cluster)."""
    address: Annotated[
        str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="(default: this machine)")
    ] = None
    """Of a Ray cluster that sees --output and the images under the same paths."""
    workers: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: cores, or 4 a GPU)")
    ] = None
    """Jobs at a time."""
    retries: int = 2
    """How often a job that dies is started again from its checkpoint."""
    data_dir: DataDir = None
    """Where to look for images first."""
    device: str = "auto"
    """auto, cpu, cuda (all cards), cuda:N or mps."""
    compile: bool = False
    """Compile the steps of trainings, as directmax train --compile does."""

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
        check_engine(self.engine, self.address, self.retries)
        resources(self.device, self.workers, 1)  # refused before images are read
        Places(self.data_dir)
        if self.output is not None and not self.output.strip():
            raise ValueError("--output must be a folder, got an empty name")
        # A worker on another machine has a working directory of its own.
        data_dir = None if self.data_dir is None else str(Path(self.data_dir).absolute())
        present = present_data(data_dir)
        request = Request(self.scale, self.seeds, self.data, present, self.everything, self.epochs)
        work = Reproduction(
            plan_items(self.name, request, self.only),
            self.output or Path("runs") / f"reproduction-{self.scale}",
            known=self.known,
            data_dir=data_dir,
            console=make_console(),
        )
        share = work.measure(self.device, self.workers, also=work.unmeasured(), fresh=self.measure)
        local = self.engine == "local"
        work.announce(share.workers, str(share) if local else "on this machine alone")
        if self.dry_run:
            return
        work.prepare(shlex.join(["directmax", "reproduce", *self._words()]), compiled=self.compile)
        failed: list[str] = []
        with work.reported(share.devices[0]):
            if work.left:
                with contextlib.closing(self._engine(share)) as engine:
                    failed = work.run(engine, retries=self.retries, compiled=self.compile)
        end_failed(failed)

    def _engine(self, share: Resources) -> Engine:
        return make_engine(self.engine, self.address, self.workers, share)

    def _words(self) -> list[str]:
        """The command line of what differs from the defaults, for the report."""
        arguments = [self.name]
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                arguments.append("--" + field.name.replace("_", "-"))
                values = value if isinstance(value, tuple) else (value,)
                arguments += [str(each) for each in values if each is not True]
        return arguments
