"""A measurement as a file: its configuration, the machine, and a row after the other."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union

from directmax.tool.files import RunError, making_folder, read_json, write_json


class Record:
    """A JSON file that is whole after every row, and can be continued.

    Args:
        path: of the file; its folder is made when it is first written. None keeps nothing.
        kind: class of the rows, a dataclass with `to_dict` and `from_dict`.
        configuration: decides the rows; JSON-ready.
        environment: versions and machine; JSON-ready.
        resume: continue what the file holds.

    Attributes:
        rows: what was measured so far.
        summary: what belongs to all rows; JSON-ready.

    Raises:
        RunError: the file exists and `resume` is not set; or it is missing, damaged or of another
            configuration and `resume` is set.
    """

    def __init__(
        self,
        path: Path | None,
        kind: Any,
        configuration: dict[str, Any],
        environment: dict[str, Any],
        *,
        resume: bool = False,
    ) -> None:
        self.path, self.configuration, self.environment = path, configuration, environment
        self.summary: dict[str, Any] = {}
        self.rows: list[Any] = []
        if path is None:
            return
        if not resume:
            if path.exists():
                raise RunError(
                    f"{path} exists: add --resume to continue it, or choose another --output"
                )
            return
        content = read_record(path)
        stored = content["configuration"]
        if different := [k for k, value in configuration.items() if stored.get(k) != value]:
            raise RunError(
                f"cannot resume {path} with another configuration: {', '.join(different)} "
                "differ; use the same flags, or choose another --output"
            )
        self.rows = [parse(kind, row, path) for row in content["rows"]]

    def add(self, row: Any) -> None:
        """Append a row, and write the file."""
        self.rows.append(row)
        self.write()

    def write(self) -> None:
        """Write the file, and its folder.

        Raises:
            RunError: it cannot be written.
        """
        if self.path is None:
            return
        with making_folder(self.path.parent):
            write_json(self.path, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "configuration": self.configuration,
            **self.environment,
            **self.summary,
            "rows": [row.to_dict() for row in self.rows],
        }


def read_record(path: Path) -> dict[str, Any]:
    """The content of a record; its rows are lists of dictionaries that `parse` understands.

    Raises:
        RunError: the file is missing, unreadable, or not of this form.
    """
    content = read_json(path)
    for name, kind in (("configuration", dict), ("rows", list)):
        if not isinstance(content.get(name), kind):
            raise RunError(f"{path} is damaged: expected {name} to be a {kind.__name__}")
    return content


def parse(kind: Any, values: Any, path: Path) -> Any:
    """A dataclass from a dictionary, its types checked.

    Raises:
        RunError: the dictionary is not of this form; names `path`.
    """
    try:
        found = kind.from_dict(values)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise RunError(f"{path} is damaged: {kind.__name__}: {error!r}") from error
    if wrong := _wrong(found, kind):
        raise RunError(f"{path} is damaged: {kind.__name__} has {wrong}")
    return found


def _wrong(value: Any, hint: Any) -> str | None:
    """Where a value is not of its type, dataclasses field by field; None: nowhere."""
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        found = [_wrong(value, choice) for choice in choices]
        fits = None in found
    elif origin is Literal:
        fits = value in choices
    elif origin is tuple:  # of any number of the same
        return next((w for entry in value if (w := _wrong(entry, choices[0]))), None)
    elif dataclasses.is_dataclass(hint) and isinstance(value, hint):  # type: ignore[arg-type]
        hints = typing.get_type_hints(hint)
        entries = ((name, _wrong(getattr(value, name), hints[name])) for name in vars(value))
        return next((f"{name}: {wrong}" for name, wrong in entries if wrong), None)
    else:
        numbers = (int, float) if hint is float else origin or hint
        fits = isinstance(value, numbers) and (hint is bool or not isinstance(value, bool))
    return None if fits else f"{value!r:.40} of type {type(value).__name__}"
