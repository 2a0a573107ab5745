"""Every file of a run, damaged in many ways, read by those who need it: one line that names it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from damage import survives
from directmax.tool.files import RunError
from directmax.tool.run import train as run
from directmax.tool.run.finished import evaluate_run
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.train import train

pytestmark = pytest.mark.slow

WEIGHTS = "checkpoints/best/{}"


def evaluated(folder: Path) -> Any:
    return evaluate_run(folder, device="cpu", splits=("test",))


def listed(folder: Path) -> Any:
    return RunFolder(folder).metrics()


def resumed(folder: Path) -> Any:
    """A copy goes on, so that the folder itself stays as it is."""
    copy = folder.parent / "resumed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return train(RunFolder(copy).config(), copy, device="cpu", resume=True)["test"]


@pytest.mark.parametrize(
    ("name", "read", "count"),
    [
        ("config.json", evaluated, 250),
        ("checkpoints/best/state.json", evaluated, 150),
        ("checkpoints/best", evaluated, 150),
        ("checkpoints/last", resumed, 100),
        ("checkpoints/last/state.json", resumed, 100),
        ("metrics.jsonl", listed, 400),
        ("metrics.jsonl", resumed, 100),
    ],
)
def test_damaged_files(
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    read: Callable[[Path], Any],
    count: int,
) -> None:
    monkeypatch.setattr(run, "write_report", lambda *arguments: None)
    path = copy / name
    if path.is_dir():
        (path,) = path.glob("*.safetensors")
    expected = read(copy)
    checked = name.startswith("checkpoints")  # what has a digest is right, or refused
    survives(
        path,
        path.read_bytes(),
        lambda: read(copy),
        error=(RunError, ValueError),
        right=lambda found: found == expected or not checked,
        count=count,
        seen=0.1 if checked else 0.02,
        names=path.name if checked or read is listed else str(copy.parent)[:5],
    )
