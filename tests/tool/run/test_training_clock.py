"""A clock that is set back: only differences of a clock that cannot be are used."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path

import pytest

from command_line import TINY, read, succeed


@pytest.mark.usefixtures("no_report")
def test_the_clock_is_set_back_while_a_run_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, clock = tmp_path / "run", itertools.count(2e9, -1000.0)
    monkeypatch.setattr(time, "time", lambda: next(clock))
    succeed(*TINY, "--run-dir", folder, "--log", "csv")
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        assert 0 < json.loads(line)["seconds"] < 100
    assert 0 < read(folder / "summary.json")["seconds_per_epoch"] < 100


def test_a_run_of_the_future(copy: Path) -> None:
    before = (copy / "metrics.jsonl").read_bytes()
    for path in (copy, *copy.rglob("*")):
        os.utime(path, (2**33, 2**33))
    succeed("evaluate", copy, "--device", "cpu")
    succeed("train", "--resume", "--run-dir", copy, "--device", "cpu")
    assert (copy / "metrics.jsonl").read_bytes() == before
