"""Every benchmark and example runs, with the flags that it calls tiny."""

from __future__ import annotations

import ast
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = sorted(
    path
    for folder in ("benchmarks", "examples")
    for path in (ROOT / folder).glob("*.py")
    if "__main__" in path.read_text()
)
"""The rest are what several programs share."""


def tiny(path: Path) -> list[list[str]]:
    """The flags in the program's constant `TINY`: a string, or one for each way to run it."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TINY":
            lines = ast.literal_eval(node.value)
            return [shlex.split(line) for line in ([lines] if isinstance(lines, str) else lines)]
    raise AssertionError(f"{path.name} has no constant TINY: flags with which it takes a second")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder without data; what a program changes in this process is undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIRECTMAX_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    threads, modules = torch.get_num_threads(), set(sys.modules)
    with torch.random.fork_rng():
        yield tmp_path
    torch.set_num_threads(threads)
    for name in set(sys.modules) - modules:  # "solvers" and the like
        if str(getattr(sys.modules[name], "__file__", "")).startswith(tuple(map(str, FOLDERS))):
            del sys.modules[name]


FOLDERS = (ROOT / "benchmarks", ROOT / "examples")


CALLED = ("denoising", "digit_maps", "drawn_faces", "hard_attention")
"""Examples whose `main` test_examples.py calls."""
CASES = [
    pytest.param(path, marks=[pytest.mark.slow] if path.stem in CALLED else [])
    if path.parent.name == "examples"
    else pytest.param(path, marks=pytest.mark.slow)
    for path in PROGRAMS
]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_it_runs(
    path: Path,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(path.parent))
    for flags in tiny(path):
        monkeypatch.setattr(sys, "argv", [str(path), *flags])
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            assert not stop.code, capsys.readouterr().err  # noqa: PT017
        out = capsys.readouterr().out
        assert out
        assert "nan" not in out


def test_every_folder_has_programs() -> None:
    assert {path.parent for path in PROGRAMS} == set(FOLDERS)
