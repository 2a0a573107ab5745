"""`directmax reproduce`."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from directmax.tool.commands.shared import DataDir, quiet
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

    def run(self) -> None:
        """Reproduce."""
        from directmax.tool.jobs.command import command

        quiet()
        flags = vars(self).copy()
        if code := command(compiled=flags.pop("compile"), **flags, words=self._words()):
            sys.exit(code)

    def _words(self) -> list[str]:
        """The command line of what differs from the defaults, for the report."""
        words = [self.name]
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                words.append("--" + field.name.replace("_", "-"))
                values = value if isinstance(value, tuple) else (value,)
                words += [str(each) for each in values if each is not True]
        return words
