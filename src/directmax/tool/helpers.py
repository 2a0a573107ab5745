"""Processes that this one started and waits for: those that do not run are named."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path

SILENCE = 60.0
"""Seconds after which a process that does not run is named."""


class StoppedProcesses:
    """Tells, once, of each process that has been stopped for a while, as by SIGSTOP."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def lines(self, processes: Mapping[int, str]) -> list[str]:
        """What to say now; to be asked every second or so.

        Args:
            processes: their names, by number.
        """
        found = []
        for number, name in processes.items():
            if not is_stopped(number):
                self._since.pop(number, None)
            elif self._since.setdefault(number, time.monotonic()) + SILENCE < time.monotonic():
                self._since[number] = math.inf  # said
                found.append(
                    f"{name} (PID {number}) has not answered for {SILENCE:.0f} s: it is stopped; "
                    f"continue it with: kill -CONT {number}"
                )
        return found


def is_stopped(number: int) -> bool:
    """Whether a process was stopped, as by SIGSTOP; False where that cannot be known."""
    try:
        text = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in ("T", "t")


def say(text: str) -> None:
    """Print a line of a program that goes on, or that ends without coming to its end."""
    print(f"directmax: {text}", file=sys.stderr, flush=True)
