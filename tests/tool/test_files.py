"""Files that may be anything: pipes, devices, other shapes of JSON, remains of a kill."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import read
from directmax.tool.files import (
    RunError,
    making_folder,
    read_bytes,
    read_json,
    write_atomic,
    write_json,
)
from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.state import Position

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["epoch", "train", "validation", "bound", "position", "config", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
READERS: dict[str, Callable[[RunFolder], Any]] = {
    "config.json": lambda folder: folder.config(),
    "metrics.jsonl": lambda folder: folder.all_metrics(),
    "checkpoints/best/state.json": lambda folder: load_checkpoint(folder.best),
    "checkpoints/last/state.json": lambda folder: Position.of(
        load_checkpoint(folder.last), folder.last
    ),
}


def put(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "deep", "link to itself"])
def test_what_is_no_file_is_one_line(tmp_path: Path, name: str, kind: str) -> None:
    path = put(tmp_path, name)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "deep":
        path.write_text("[" * 100_000)
    else:
        path.symlink_to(path)
    if (name, kind) == ("metrics.jsonl", "deep"):  # as a line that was broken off
        assert READERS[name](RunFolder(tmp_path)) == []
        return
    with pytest.raises(RunError) as caught:
        READERS[name](RunFolder(tmp_path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def refusal(name: str, folder: Path) -> str:
    """What is said of a file; nothing where it is taken."""
    try:
        READERS[name](RunFolder(folder))
    except RunError as error:
        return str(error)
    return ""


def signed(value: Any) -> Any:
    """With the digest that a state must have."""
    if not isinstance(value, dict):
        return value
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    return {**value, "state_sha256": digest}


@given(value=JSON, name=st.sampled_from(sorted(READERS)))
@settings(max_examples=150, deadline=None)
def test_json_of_any_shape(value: Any, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = put(folder, name)
    path.write_text(json.dumps(signed(value) if "state" in name else value))
    assert "\n" not in refusal(name, folder)


@given(content=st.binary(max_size=200), name=st.sampled_from(sorted(READERS)))
@settings(max_examples=200, deadline=None)
def test_any_bytes(content: bytes, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    put(folder, name).write_bytes(content)
    assert "\n" not in refusal(name, folder)


@pytest.mark.parametrize("line", ["[1]", '{"epoch": 1}', "3", '{"epoch": "1"}', "null"])
def test_a_line_that_is_no_epoch(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(RunError, match="line 1"):
        RunFolder(tmp_path).all_metrics()


def test_a_state_without_its_digest(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"file": "x", "sha256": "y"}')
    with pytest.raises(RunError, match="SHA-256"):
        load_checkpoint(tmp_path)


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(RunError, match="5 bytes"):
        read_bytes(path, 4)
    os.truncate(path, 2**40)  # a hole
    with pytest.raises(RunError, match="at most"):
        read_json(path)


def test_what_is_added_waits_for_nobody(tmp_path: Path) -> None:
    for name in ("metrics.jsonl", ".lock"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match="metrics"):
        RunFolder(tmp_path).append_metrics({"epoch": 1})
    with pytest.raises(RunError, match="lock"), RunFolder(tmp_path).lock():
        pass


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("é" * 125 + ".txt"), "whole")
    with pytest.raises(RunError, match="shorter name"):
        write_atomic(tmp_path / ("x" * 256), "whole")


def test_remains_of_a_kill_are_removed(tmp_path: Path) -> None:
    for name in (".", "checkpoints/last", "checkpoints/best"):
        put(tmp_path, f"{name}/.half-x.json.abc").write_bytes(b"half")
    write_atomic(tmp_path / "mine", "whole")
    with RunFolder(tmp_path).lock():
        assert not list(tmp_path.rglob(".half-*"))
    assert (tmp_path / "mine").read_text() == "whole"


def test_write_atomic_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        write_atomic(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_write_json_is_valid_json(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": [float("nan"), 1.5], "b": {"c": float("inf")}})
    assert read(tmp_path / "x.json") == {"a": [None, 1.5], "b": {"c": None}}


def test_no_folder_is_left_where_nothing_could_be_written(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()

    def write(folder: str, *, file: bool = False) -> None:
        with making_folder(tmp_path / folder):
            if file:
                (tmp_path / folder / "file").touch()
            raise KeyError

    for folder in ("a/b/c", "old/d", "old"):
        with pytest.raises(KeyError):
            write(folder)
    with pytest.raises(RunError):
        write("e/" + "x" * 300)
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]
    with pytest.raises(KeyError):
        write("f", file=True)
    assert (tmp_path / "f" / "file").exists()
