"""The command line that makes a job by itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from directmax.tool.config import shortest, stored_config
from directmax.tool.paper.report.results import Outcome


def command_of(outcome: Outcome, others: Sequence[Outcome] = ()) -> str:
    """What to type for one job alone; nothing where there is no such command.

    Args:
        outcome: of the job.
        others: among them is the run whose model a measurement takes.
    """
    if outcome.kind == "train":
        words = ["train", *train_flags(outcome.settings), "--run-dir", outcome.folder]
    elif outcome.kind == "gradients":
        words = ["gradients", *_gradient_words(outcome, others), "--output", outcome.folder]
    else:
        return ""
    return shlex.join(["directmax", *words])


def train_flags(settings: Mapping[str, Any]) -> list[str]:
    """The fewest flags that give a configuration.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> train_flags(TrainConfig(data="mnist", values=20).resolve().to_dict())
        ['--data', 'mnist', '--values', '20']
    """
    config = shortest(stored_config(settings))
    preset = ["--preset", config.preset] if config.preset != "default" else []
    return preset + [word for n, value in config.given().items() for word in _flag(n, value)]


def _gradient_words(outcome: Outcome, others: Sequence[Outcome]) -> list[str]:
    """The run, if a trained model is measured, and the flags; its settings have their names."""
    settings = dict(outcome.settings)
    trained = settings.pop("trained", None)
    words = []
    if trained is not None:  # the digest of a job, with which its folder ends
        words = [other.folder for other in others if other.folder.endswith(f"-{trained[:8]}")][:1]
    return words + [word for name, value in settings.items() for word in _flag(name, value)]


def _flag(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if isinstance(value, list | tuple):
        return [f"--{flag}", *map(str, value)] if value else []
    return [f"--{flag}", str(value)]
