"""`directmax solvers`."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Solvers:
    """List the solvers of a structured encoder's argmax, time them and compare their answers."""

    variables: int = 15
    """Timed with this many variables, and with twice as many on fewer instances."""
    batch_size: int = 100
    """Instances at a time (highs, cplex: at most 5)."""
    seed: int = 0
    """Of the random instances."""
    timing: bool = True
    """Time and compare; without, only list."""
    json: bool = False
    """Print JSON instead of a table."""
    device: str = "auto"
    """Where the instances are: auto, cpu, cuda, cuda:N or mps."""

    def run(self) -> None:
        """List."""
        from directmax.tool.measure.solvers import command

        if not command(**vars(self)):
            sys.exit(1)
