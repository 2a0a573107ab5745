"""The command line that makes a job by itself."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from directmax.tool.config.train import TrainConfig
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
        >>> train_flags(TrainConfig(data="mnist", values=20).to_dict())
        ['--data', 'mnist', '--values', '20']
    """
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    kept = {name: value for name, value in settings.items() if name in known}
    target = TrainConfig(**kept)
    for name in list(kept):
        fewer = {key: value for key, value in kept.items() if key != name}
        try:
            same = TrainConfig(**fewer) == target
        except ValueError:
            continue
        if same:
            kept = fewer
    return [word for name, value in kept.items() for word in _flag(name, value)]


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
