"""What several kinds of jobs share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def flags(settings: Mapping[str, Any], leave_out: Iterable[str] = ()) -> list[str]:
    """Settings as flags of a command, which have the same names.

    Example:
        >>> flags({"rao_blackwell": True, "epsilons": [0.1, "auto"], "seed": 0}, ["seed"])
        ['--rao-blackwell', '--epsilons', '0.1', 'auto']
    """
    arguments = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if name in leave_out or value in ([], ()):
            continue
        if isinstance(value, bool):
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            arguments += [
                f"--{flag}",
                *map(str, value if isinstance(value, list | tuple) else [value]),
            ]
    return arguments


def origin(record: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, machine and commit of what a file holds."""
    return {
        "versions": record.get("versions") or {},
        "machine": record.get("machine") or {},
        "git_commit": record.get("git_commit"),
    }


def small(metrics: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metrics without the confusion matrix, which the run's own report shows."""
    return {name: value for name, value in (metrics or {}).items() if name != "confusion"}
