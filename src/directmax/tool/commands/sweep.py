"""`directmax sweep`."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from directmax.tool.commands.jobs import JobFlags, words_of
from directmax.tool.commands.shared import end_failed, quiet
from directmax.tool.commands.train import flag_help
from directmax.tool.config import TrainConfig
from directmax.tool.config.resolved import Traits
from directmax.tool.config.setting import Setting
from directmax.tool.config.settings import SETTINGS

if TYPE_CHECKING:
    from directmax.tool.jobs.bench import Images
    from directmax.tool.sweep.grid import Grid


def _axis(each: Setting) -> tuple[str, Any, Any]:
    """The field of a flag that takes several words."""
    kind = Annotated[tuple[str, ...], flag_help(each, several=True)]
    return each.name, kind, dataclasses.field(default=())


Axes: Any = dataclasses.make_dataclass("Axes", map(_axis, SETTINGS.values()), frozen=True)
"""The flags that are settings, each with any number of values."""


@dataclass(frozen=True)
class Sweep:
    """Train every combination of settings, and compare them.

    A flag of train may have several values. Called again, it does what is left.
    """

    jobs: Annotated[JobFlags, tyro.conf.arg(name="")] = JobFlags()  # noqa: RUF009
    axes: Annotated[Axes, tyro.conf.arg(name="")] = Axes()  # noqa: RUF009
    seeds: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 1)")
    ] = None
    """How many seeds for each: from --seed, or 0, on."""
    config_file: Annotated[
        str | None,
        tyro.conf.arg(name="config", metavar="FILE", help_behavior_hint="(default: none)"),
    ] = None
    """Settings of all, as of directmax train --config. Flags beside it win."""
    preset: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: default)")
    ] = None
    """Starting point of all: default, or paper."""
    output: Annotated[str, tyro.conf.arg(metavar="DIR")] = "sweeps/sweep"
    """Folder of the runs and of their comparison; a sweep that it holds goes on."""
    list_only: Annotated[bool, tyro.conf.arg(name="list")] = False
    """Print the trainings and how long they would take, measured from a few steps; run nothing."""

    def run(self) -> None:
        """Sweep."""
        self.jobs.check()
        grid = self.grid()  # before torch, which takes seconds

        from directmax.tool.jobs.engine_local import resources
        from directmax.tool.look.progress import make_console
        from directmax.tool.sweep import work

        quiet()
        jobs, data_dir = self.jobs, self.jobs.images
        resources(jobs.device, jobs.workers, 1)  # refused before images are read
        grid, images = self._with_own(grid, data_dir)
        sweep = work.Sweep(
            grid, self.output, data_dir=data_dir, images=images, console=make_console()
        )
        share = sweep.measure(jobs.device, jobs.workers)
        sweep.announce(share.workers, jobs.where(share))
        for note in grid.notes:
            print(note)
        if self.list_only:
            return
        words = words_of(self, {"config_file": "--config"})
        sweep.prepare(shlex.join(["directmax", "sweep", *words]), compiled=jobs.compile)
        failed: list[str] = []
        with sweep.compared():
            if sweep.left:
                with contextlib.closing(jobs.make_engine(share)) as engine:
                    failed = sweep.run(engine, retries=jobs.retries, compiled=jobs.compile)
        end_failed(failed)

    def _with_own(self, grid: Grid, data_dir: str | None) -> tuple[Grid, Images]:
        """The grid, of which defaults follow from images of one's own, and these."""
        from directmax.tool.jobs.bench import Images
        from directmax.tool.run.make import traits_of

        images, sizes = Images(data_dir), {}
        for each in grid.trainings:
            if each.path is not None and each.path not in sizes:
                data = images.of(each.config, each.path)
                sizes[each.path] = traits_of(data)
                print(f"{each.path}: {data.understood}")
        return (self.grid(sizes) if sizes else grid), images

    def grid(self, sizes: Mapping[str, Traits] | None = None) -> Grid:
        """What the flags mean.

        Args:
            sizes: of images of one's own; see `make_grid`.
        """
        from directmax.tool.sweep.grid import make_grid

        axes = {}
        for name, words in vars(self.axes).items():
            each = SETTINGS[name]
            if each.kind == "tuple":  # a list a word
                values: Any = [tuple(word.split(",")) for word in words]
            else:
                values = [word if each.unset(word) else each.read(word) for word in words]
            if values:
                axes[name] = values
        base, preset = {}, self.preset or "default"
        if self.config_file is not None:
            config = TrainConfig.from_file(self.config_file, preset=self.preset)
            base, preset = config.given(), config.preset
            if (path := TrainConfig.data_path(self.config_file)) is not None:
                base["data"] = path
        return make_grid(axes, seeds=self.seeds, base=base, preset=preset, sizes=sizes)
