"""What a run says of the machine and the program that it comes from."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
import torch

import directmax
from command_line import TINY, read, succeed
from directmax.tool.run.provenance import _git_commit, environment, git_commit


@pytest.mark.usefixtures("no_report")
def test_the_card_is_the_one_that_was_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def name(device: torch.device | None = None) -> str:
        return f"card {0 if device is None else device.index}"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", name)
    succeed(*TINY, "--run-dir", tmp_path)
    for file in ("config.json", "summary.json"):
        assert read(tmp_path / file)["machine"]["cuda"] is None
    devices = [None, torch.device("cuda", 1), torch.device("mps")]
    found = [environment(device)["machine"]["cuda"] for device in devices]
    assert found == ["card 0", "card 1", None]


def test_the_commit_is_read_without_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this repository, whoever owns it, and not of that whose hook runs the command."""

    def git(*arguments: str) -> None:
        author = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True)

    assert _git_commit(tmp_path) is None
    file, index = tmp_path / "file", tmp_path / ".git" / "index"
    file.write_text("committed")
    git("init", "--quiet")
    git("add", "file")
    git("commit", "--quiet", "--message", "first")
    os.utime(file, (1, 1))  # git looks at it again, and would write down what it saw
    before = index.read_bytes()
    commit = _git_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 12
    file.write_text("changed")
    (tmp_path / "untracked").touch()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    with contextlib.suppress(PermissionError):  # not root
        os.chown(tmp_path, 1234, -1)
    assert _git_commit(tmp_path) == f"{commit}-dirty"
    assert index.read_bytes() == before


def test_a_package_inside_another_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `pip install -t lib`: it knows its own commit."""
    subprocess.run(["git", "-C", str(tmp_path), "init", "--quiet"], check=True)
    package = tmp_path / "lib" / "directmax"
    package.mkdir(parents=True)
    (package / "_commit.txt").write_text("0123456789ab\n")
    monkeypatch.setattr(directmax, "__file__", str(package / "__init__.py"))
    assert git_commit.__wrapped__() == "0123456789ab"
