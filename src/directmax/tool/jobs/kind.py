"""What jobs of one kind are: the only place that knows what a job computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directmax.tool.jobs.bench import Bench, Images
from directmax.tool.jobs.job import Job
from directmax.tool.jobs.task import Task


@dataclass(frozen=True)
class Estimate:
    """What a job takes, in seconds.

    Attributes:
        epoch: of a training, the steps of one epoch; None of other jobs.
        total: of the whole job in a process of its own.
    """

    epoch: float | None
    total: float


@dataclass(frozen=True)
class Stage:
    """How far a job is.

    Attributes:
        epoch: done so far.
        epochs: planned; 0 of a job without epochs.
        value: its latest validation bound or accuracy, in words.
        left: seconds to its end, as far as known.
    """

    epoch: int = 0
    epochs: int = 0
    value: str = ""
    left: float | None = None


class Kind(ABC):
    """What jobs of one kind compute, what that takes, and how it is read and typed."""

    @abstractmethod
    def run(self, job: Job, folder: Path, task: Task) -> None:
        """Do the job in its folder, or what is left of it.

        Raises:
            Exception: whatever ends it.
        """

    @abstractmethod
    def load(self, job: Job, images: Images) -> None:
        """Load what the job will look at.

        Raises:
            ValueError: it is missing or damaged.
        """

    @abstractmethod
    def estimate(self, job: Job, bench: Bench) -> Estimate:
        """What the job takes, from the parts that the bench measures."""

    @abstractmethod
    def result(self, folder: Path, *, done: bool) -> dict[str, Any]:
        """What came out, as far as it is there: fields of a reproduction's outcome.

        Raises:
            RunError: a file is missing or damaged.
        """

    def words(
        self, settings: Mapping[str, Any], folder: str, others: Sequence[str] = ()
    ) -> list[str]:
        """The command line that does a job alone, after `directmax`; nothing if there is none.

        Args:
            settings: of the job.
            folder: of the job.
            others: among them is the folder of the job that it needs.
        """
        return []

    def epochs(self, job: Job) -> int:
        """Epochs of a training; 0 of other jobs."""
        return 0

    def stage(self, job: Job, folder: Path) -> Stage:
        """How far it is."""
        return Stage()


Kinds = Mapping[str, Kind]
"""By the name that jobs have."""
