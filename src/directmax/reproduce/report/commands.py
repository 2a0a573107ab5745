"""The command line that makes a job by itself."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from directmax.reproduce.report.results import Outcome
from directmax.training.config import TrainConfig


def command_of(outcome: Outcome) -> str:
    """What to type for one job alone; nothing where there is no such command."""
    if outcome.kind == "train":
        return shlex.join(["directmax", "train", *train_flags(outcome.settings)])
    return ""


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
    return [part for name, value in kept.items() for part in _flag(name, value)]


def _flag(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]
