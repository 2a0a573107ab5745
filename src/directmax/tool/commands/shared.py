"""What several commands have in common."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import tyro

DataDir = Annotated[str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
RunDir = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]


def is_helper() -> bool:
    """Whether this is not the first of several processes: that one speaks for all."""
    return any(os.environ.get(name, "0") != "0" for name in ("LOCAL_RANK", "RANK"))


def quiet() -> None:
    """Leave out Lightning's notes on processes and precision."""
    import lightning_fabric  # sets the level when it is imported

    logging.getLogger(lightning_fabric.__name__).setLevel(logging.WARNING)
