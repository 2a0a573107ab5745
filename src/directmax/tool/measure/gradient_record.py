"""The file that holds a measurement, for the command and for reproductions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from directmax.laboratory import Point
from directmax.tool.files import RunError, cannot_write, read_json, write_json
from directmax.tool.run.interrupt import Interrupted
from directmax.tool.run.run_folder import environment

if TYPE_CHECKING:
    import torch


class Stopped(Interrupted):
    """The measurement was stopped by the user."""

    def __init__(self, done: int, total: int, saved: bool) -> None:
        text = f"stopped after {done} of {total} estimators"
        if saved:
            text += "; they are saved: the same command with --resume continues"
        Exception.__init__(self, text)


class Record:
    """`gradients.json`, whole after every setting.

    Args:
        folder: where to write; None for nowhere.
        configuration: of the measurement.
        resume: continue what the folder holds.
        device: that measures.

    Raises:
        RunError: the folder holds a measurement and `resume` is not set, or one of another
            configuration, or it cannot be written.
    """

    def __init__(
        self,
        folder: str | None,
        configuration: dict[str, Any],
        resume: bool,
        device: torch.device,
    ) -> None:
        self.path = None if folder is None else Path(folder) / "gradients.json"
        self.configuration, self.environment = configuration, environment(device)
        self.points: list[Point] = []
        if self.path is None:
            return
        if resume:
            self._read(self.path)
        elif self.path.exists():
            raise RunError(
                f"{self.path} exists: add --resume to continue it, or choose another --output"
            )

    def _read(self, path: Path) -> None:
        record = read_json(path)
        stored = record.get("configuration")
        if not isinstance(stored, dict):
            raise RunError(f"{path} is damaged: it has no configuration")
        if different := [
            name for name, value in self.configuration.items() if stored.get(name) != value
        ]:
            raise RunError(
                f"cannot resume {path} with another configuration: {', '.join(different)} "
                "differ; use the same flags, or choose another --output"
            )
        try:
            self.points = [Point.from_dict(row) for row in record["rows"]]
        except (KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged: {error!r}") from error

    def to_dict(self) -> dict[str, Any]:
        """The configuration and the machine, as a JSON-ready dictionary."""
        return {"configuration": self.configuration, **self.environment}

    def rows(self) -> list[dict[str, Any]]:
        """The settings with what was measured, as JSON-ready dictionaries."""
        return [point.to_dict() for point in self.points]

    def write(self, content: dict[str, Any]) -> None:
        """Write the file, and its folder."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path.parent, error) from error
        write_json(self.path, content)


def read_points(path: str | Path) -> tuple[list[Point], float]:
    """What a `gradients.json` holds, and the norm of its exact gradient, for `figure_one`.

    Raises:
        RunError: the file cannot be read.
    """
    record = read_json(Path(path))
    try:
        return [Point.from_dict(row) for row in record["rows"]], float(record["norm"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged: {error!r}") from error
