"""What the tests of several commands begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser
from command_line import STARTED, TINY, succeed


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, without data folders of the user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIRECTMAX_DATA", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _no_program_stays() -> Iterator[None]:
    """Also where the test fails: it would slow the others down."""
    yield
    while STARTED:
        STARTED.pop().kill()


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; nobody changes it."""
    folder = tmp_path_factory.mktemp("run") / "run"
    succeed(*TINY, "--run-dir", folder)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium, for tests that are skipped where there is none."""
    with Browser() as opened:
        yield opened
