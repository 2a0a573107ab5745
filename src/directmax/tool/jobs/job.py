"""One independent piece of work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One independent piece of work.

    Attributes:
        name: unique and readable, such as `table1-mnist-10-direct-0`.
        kind: the name of a `Kind`, which knows what the settings mean.
        settings: decide the work; JSON-ready.
        cell: where the result belongs, such as `{"data": "mnist", "values": 10, "method": "direct",
            "seed": 0}`.
        after: names of jobs whose results it needs.

    Example:
        >>> job = Job("mine", "train", {"values": 20}, {"method": "direct"})
        >>> job.key() == f"mine-{job.digest()[:8]}"
        True
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    cell: Mapping[str, Any]
    after: tuple[str, ...] = ()

    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the work, whatever it is called."""
        text = json.dumps({"kind": self.kind, "settings": self.settings}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def key(self) -> str:
        """The name of its folder."""
        return f"{self.name}-{self.digest()[:8]}"

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return {**vars(self), "after": list(self.after)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """From such a dictionary; other entries do not matter.

        Raises:
            KeyError, TypeError: it is no such dictionary.
        """
        name, kind, settings, cell = (values[key] for key in ("name", "kind", "settings", "cell"))
        return cls(str(name), str(kind), dict(settings), dict(cell), tuple(values["after"]))
