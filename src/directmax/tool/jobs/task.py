"""What a worker is told."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """What a worker is told.

    Attributes:
        folder: of the job, with its `job.json`.
        kinds: module whose `KINDS` has the job's kind.
        needs: folders of the jobs it comes after.
        data_dir: where to look for images first.
        device: cpu, cuda:N, …
        threads: of a CPU.
        compiled: whether the training step is compiled.
        engine: process that the worker ends with; 0: none.
    """

    folder: str
    kinds: str
    needs: tuple[str, ...] = ()
    data_dir: str | None = None
    device: str = "cpu"
    threads: int = 1
    compiled: bool = False
    engine: int = 0

    def command(self) -> list[str]:
        """The command line of the worker."""
        return [sys.executable, "-m", "directmax.tool.jobs.worker", json.dumps(vars(self))]

    def environment(self) -> dict[str, str]:
        """The environment of the worker."""
        threads = str(self.threads)
        return {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "MPLBACKEND": "Agg",
        }
