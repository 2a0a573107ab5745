"""What several commands have in common."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import tyro

from directmax._choices import check_choice
from directmax.tool.config.setting import short
from directmax.tool.environment import imports_are_done

if TYPE_CHECKING:
    from directmax.tool.jobs.engine import Engine
    from directmax.tool.jobs.engine_local import Resources

ENGINES = ("local", "ray")
MOST_RETRIES = 1000
DataDir = Annotated[str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
OtherData = Annotated[
    str | None, tyro.conf.arg(metavar="NAME|PATH", help_behavior_hint="(default: the run's)")
]
RunDir = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]


def quiet() -> None:
    """Imports are done: leave out Lightning's notes, and let signals end the command tidily."""
    from directmax.tool.run.interrupt import raise_interrupts

    raise_interrupts()
    imports_are_done()
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def check_engine(engine: str, address: str | None, retries: int) -> None:
    """Refuse what no engine takes.

    Raises:
        ValueError: the message names the flag.
    """
    check_choice("engine", engine, ENGINES)
    if not 0 <= retries <= MOST_RETRIES:
        raise ValueError(f"--retries must be 0 to {MOST_RETRIES}, got {short(retries)}")
    if address is not None and engine != "ray":
        raise ValueError("--address is for --engine ray: add it, or leave --address out")


def make_engine(engine: str, address: str | None, workers: int | None, share: Resources) -> Engine:
    """What runs jobs, from the flags; see `check_engine`."""
    from directmax.tool.jobs.engine_local import LocalEngine
    from directmax.tool.jobs.engine_ray import RayEngine

    if engine == "local":
        return LocalEngine(share)
    return RayEngine(
        address,
        workers=workers if address else share.workers,
        threads=1 if address else share.threads,
        gpus=share.gpus,
    )


def end_failed(failed: Sequence[str]) -> None:
    """Say which jobs failed, if any did, and end with exit code 1."""
    if failed:
        jobs = "1 job" if len(failed) == 1 else f"{len(failed)} jobs"
        text = f"{jobs} failed; the same command tries again: {', '.join(failed)}"
        print(f"directmax: {text}", file=sys.stderr)
        sys.exit(1)
