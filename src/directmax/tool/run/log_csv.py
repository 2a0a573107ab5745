"""`metrics.csv`: a row an epoch, for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from directmax.tool.config import ResolvedConfig
from directmax.tool.files import add_text, write_atomic
from directmax.tool.look.content import Picture
from directmax.tool.run.logger import Logger, numbers
from directmax.tool.run.run_folder import RunFolder


class CsvLogger(Logger):
    """The numbers of `metrics.jsonl`, of all starts, as columns; what is not there is empty."""

    def __init__(self, folder: RunFolder, config: ResolvedConfig) -> None:
        super().__init__(folder, config)
        self.file = folder.path / "metrics.csv"
        self._columns: list[str] = []

    def open(self, epochs_done: int) -> None:
        """Write all epochs that are kept: those after the checkpoint of a run cut off are gone."""
        rows = [_row(line) for line in self.folder.all_metrics()]
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        text = [_text(self._columns)] if rows else []
        text += [_text(row.get(name, "") for name in self._columns) for row in rows]
        write_atomic(self.file, "".join(text))

    def add(self, line: dict[str, Any]) -> None:
        """Add a row; one with new columns has all rows written again."""
        row = _row(line)
        if set(row) - set(self._columns):
            self.open(0)
            return
        add_text(self.file, _text(row.get(name, "") for name in self._columns))

    def restart(self, lines: list[dict[str, Any]]) -> None:
        """Nothing: rows name their start."""

    def finish(self, summary: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
        """Nothing: `summary.json` has the results."""

    def close(self) -> None:
        """Nothing is open."""


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    head = {name: line[name] for name in ("epoch", "start") if name in line}
    return head | {tag: json.dumps(number) for tag, number in numbers(line)}


def _text(values: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()
