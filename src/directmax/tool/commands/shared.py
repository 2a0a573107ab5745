"""What several commands have in common."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from directmax.tool.environment import imports_are_done

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


def end_failed(failed: Sequence[str]) -> None:
    """Say which jobs failed, if any did, and end with exit code 1."""
    if failed:
        jobs = "1 job" if len(failed) == 1 else f"{len(failed)} jobs"
        text = f"{jobs} failed; the same command tries again: {', '.join(failed)}"
        print(f"directmax: {text}", file=sys.stderr)
        sys.exit(1)
