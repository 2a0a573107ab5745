"""Folders of jobs: locks between processes, and damage."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest
from jobs import bound, tiny

from directmax.tool.files import RunError
from directmax.tool.jobs.store import JobFolder, State, Store


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    found = bound(tmp_path, tiny("a"))
    found.create()
    return found


def test_a_state_is_read_as_written(folder: JobFolder) -> None:
    assert folder.state() == State()
    state = State("failed", 3, "was killed", 12.5)
    folder.write_state(state)
    assert folder.state() == state
    assert JobFolder.read(folder.path).job == tiny("a")


def test_a_lock_ends_with_its_process(folder: JobFolder) -> None:
    assert not folder.is_taken()
    pid = os.fork()
    if pid == 0:
        with folder.claim(wait=20):  # the other process looks at the lock at the same time
            time.sleep(60)
        os._exit(0)
    end = time.monotonic() + 30
    while not folder.is_taken():
        assert time.monotonic() < end
        time.sleep(0.01)
    with folder.claim() as mine:
        assert not mine
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with folder.claim() as mine:
        assert mine
        assert folder.is_taken()
    assert not folder.is_taken()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"state": "dreaming", "attempts": 1, "error": null, "seconds": 1}', "\xff"],
)
def test_a_damaged_state(folder: JobFolder, text: str) -> None:
    folder.state_file.write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match=r"state\.json is damaged"):
        folder.state()


def test_a_damaged_job(folder: JobFolder) -> None:
    record = json.loads(folder.job_file.read_text())
    record["settings"]["epochs"] = 4
    folder.job_file.write_text(json.dumps(record))
    with pytest.raises(RunError, match="its digest is that of other settings"):
        JobFolder.read(folder.path)
    folder.job_file.write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        JobFolder.read(folder.path)


def test_a_full_disk_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {"command": "c", "scale": "smoke", "items": [], "jobs": []}

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="No space left"):
            Store(tmp_path / "new" / "out").add_plan(plan)
    assert list(tmp_path.iterdir()) == []
    Store(tmp_path / "out").add_plan(plan)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="No space left"):
            Store(tmp_path / "out").add_plan({**plan, "command": "d"})
    kept = Store(tmp_path / "out").plan()
    assert kept is not None
    assert kept["command"] == "c"


def test_a_damaged_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"command": "x", "scale": "smoke", "items": {}}')
    with pytest.raises(RunError, match="'items' is missing or of another type"):
        Store(tmp_path).check("smoke")
