"""What the tests of several commands begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import TINY, succeed


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, without data folders of the user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIRECTMAX_DATA", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; nobody changes it."""
    folder = tmp_path_factory.mktemp("run") / "run"
    succeed(*TINY, "--run-dir", folder)
    return folder
