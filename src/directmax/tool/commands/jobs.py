"""Where and how jobs run: the flags that `sweep` and `reproduce` have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from directmax._choices import check_choice
from directmax.tool.commands.shared import DataDir
from directmax.tool.config.setting import flag_of, short

if TYPE_CHECKING:
    from directmax.tool.jobs.engine import Engine
    from directmax.tool.jobs.engine_local import Resources

ENGINES = ("local", "ray")
MOST_RETRIES = 1000


@dataclass(frozen=True)
class JobFlags:
    """Where and how jobs run."""

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

    def check(self) -> None:
        """Refuse what no engine takes.

        Raises:
            ValueError: the message names the flag.
        """
        check_choice("engine", self.engine, ENGINES)
        if not 0 <= self.retries <= MOST_RETRIES:
            raise ValueError(f"--retries must be 0 to {MOST_RETRIES}, got {short(self.retries)}")
        if self.address is not None and self.engine != "ray":
            raise ValueError("--address is for --engine ray: add it, or leave --address out")

    @property
    def images(self) -> str | None:
        """--data-dir for a worker on another machine, which has a working directory of its own."""
        return None if self.data_dir is None else str(Path(self.data_dir).absolute())

    def where(self, share: Resources) -> str:
        """In words."""
        return str(share) if self.engine == "local" else "on this machine alone"

    def make_engine(self, share: Resources) -> Engine:
        """What runs jobs; see `check`."""
        from directmax.tool.jobs.engine_local import LocalEngine
        from directmax.tool.jobs.engine_ray import RayEngine

        if self.engine == "local":
            return LocalEngine(share)
        return RayEngine(
            self.address,
            workers=self.workers if self.address else share.workers,
            threads=1 if self.address else share.threads,
            gpus=share.gpus,
        )


def words_of(command: Any, names: Mapping[str, str] | None = None) -> list[str]:
    """What was given to a command, as it may be typed: flags that are not at their default.

    Args:
        command: one of the dataclasses of this room.
        names: flags of fields that are called otherwise.
    """
    words: list[str] = []
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        if field.default is dataclasses.MISSING:  # by its place
            words.append(str(value))
        elif dataclasses.is_dataclass(value):
            words += words_of(value)
        elif value != field.default:
            words.append((names or {}).get(field.name) or flag_of(field.name))
            values = value if isinstance(value, tuple) else (value,)
            words += [str(each) for each in values if each is not True]
    return words
