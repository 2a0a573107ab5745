"""What a log of a run is: told of every epoch, it never changes what is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from directmax.tool.config import ResolvedConfig
from directmax.tool.config.rules import unused
from directmax.tool.look.content import Picture
from directmax.tool.run.run_folder import RunFolder

SPLITS = ("validation", "test")


class Logger(ABC):
    """Writes a run somewhere beside `metrics.jsonl`.

    Args:
        folder: of the run.
        config: of the run; the hyper-parameters.
    """

    remote = False
    """Whether it may fail while the run goes on: then it is left out, with a warning."""

    def __init__(self, folder: RunFolder, config: ResolvedConfig) -> None:
        self.folder, self.config = folder, config

    @staticmethod
    def missing() -> str | None:
        """What must be installed for it; None if nothing."""
        return None

    @abstractmethod
    def open(self, epochs_done: int) -> None:
        """Begin, or go on after so many epochs of the present start."""

    @abstractmethod
    def add(self, line: dict[str, Any]) -> None:
        """Write the line of an epoch, which is the last one of `metrics.jsonl`."""

    @abstractmethod
    def restart(self, lines: list[dict[str, Any]]) -> None:
        """A start has ended: these are the epochs so far of the one that goes on."""

    @abstractmethod
    def finish(self, summary: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
        """Write results and pictures of the finished run."""

    @abstractmethod
    def close(self) -> None:
        """End, also after an error."""


def numbers(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of an epoch by name.

    Example:
        >>> list(numbers({"epoch": 1, "train": {"bound": 2.0, "nll": None}, "seconds": 0.5}))
        [('train/bound', 2.0), ('seconds', 0.5)]
    """
    for name, value in line.items():
        entries = value.items() if isinstance(value, dict) else [(None, value)]
        for key, number in entries:
            if isinstance(number, int | float) and name not in ("epoch", "start"):
                yield f"{name}/{key}" if key else name, number


def results(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a finished run by name."""
    metrics = {split: summary[split] for split in SPLITS}
    found = {f"final/{tag}": number for tag, number in numbers(metrics)}
    return {**found, "final/best_epoch": summary["best_epoch"]}


def hyperparameters(config: ResolvedConfig) -> dict[str, Any]:
    """Settings that something uses, by name: words, numbers and truth values."""
    used = {
        name: value
        for name, value in vars(config).items()  # files have words for what is not used
        if value is not None and not unused(name, config)
    }
    return {n: " ".join(v) if isinstance(v, tuple) else v for n, v in used.items()}
