"""What is dropped, where caches go, and how characters are written that a terminal lacks."""

from __future__ import annotations

import io
import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from directmax.tool import environment, start
from directmax.tool.data.locate import user_cache
from directmax.tool.files import RunError, user_path
from directmax.tool.run import processes

STRAY = {"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "8", "SLURM_NTASKS": "4"}


def prepared(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": os.environ["HOME"], **variables})
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "cp1252"))
    environment.prepare()


def test_what_others_left_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(monkeypatch, **STRAY, DIRECTMAX_LAUNCHER=str(os.getpid()), OMP_NUM_THREADS="2")
    assert not set(os.environ) & set(STRAY)
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert not environment.is_helper()


def test_what_is_started_later_was_not_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a run of several processes, or of one, a program may start others."""
    monkeypatch.setattr(os, "environ", {"RANK": "3"})
    with environment.launching():
        assert os.environ["DIRECTMAX_LAUNCHER"] == str(os.getpid())
        os.environ |= {"LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}  # as Fabric does
        del os.environ["RANK"]
    assert os.environ == {"RANK": "3"}
    with processes.joined(processes.Alone()):
        assert os.environ == {"RANK": "3"}


def test_a_build_time_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(monkeypatch, SOURCE_DATE_EPOCH="x")
    assert "SOURCE_DATE_EPOCH" not in os.environ


@pytest.mark.parametrize("value", ["", " ", "1", "4,2", "1024"])
def test_numbers_of_threads(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    prepared(monkeypatch, OMP_NUM_THREADS=value)
    assert os.environ.get("OMP_NUM_THREADS") == (value.strip() or None)


@pytest.mark.parametrize("value", ["abc", "0", "-1", "1.5", "1025", "9" * 5000, "4,", "²"])
def test_what_is_no_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "OMP_NUM_THREADS": value})
    monkeypatch.setattr(start.signal, "signal", lambda *_: None)
    monkeypatch.setattr(start.threading, "excepthook", None)
    assert start.main() == 2
    message = capfd.readouterr().err
    assert message.startswith("directmax: OMP_NUM_THREADS must be")
    assert message.count("\n") == 1
    assert len(message) < 200


@pytest.mark.parametrize(
    "own",
    [
        {"DIRECTMAX_LAUNCHER": str(os.getppid())},
        {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "MASTER_PORT": "1"},
    ],
    ids=["launched", "torchrun"],
)
def test_what_our_launcher_says_stays(monkeypatch: pytest.MonkeyPatch, own: dict[str, str]) -> None:
    prepared(monkeypatch, **STRAY, **own)
    assert set(STRAY) <= set(os.environ)
    assert environment.is_helper()


def test_characters_that_a_terminal_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(monkeypatch)
    print("−log p · ε 2.5 \udcff ∂", end="")
    sys.stdout.flush()
    assert isinstance(sys.stdout, io.TextIOWrapper)
    assert sys.stdout.buffer.getvalue() == b"-log p \xb7 epsilon 2.5 \\udcff \\u2202"  # type: ignore[attr-defined]


def test_caches_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(monkeypatch, HOME="/proc/none")
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"):
        assert Path(os.environ[name]).parent.name == f"directmax-{os.getuid()}"


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "MPLCONFIGDIR"])
@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/x", "x" * 300, "link"])
def test_caches_that_cannot_be_where_a_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("nothing")
    prepared(monkeypatch, **{variable: place})
    assert Path(os.environ[variable]).parent.name == f"directmax-{os.getuid()}"
    own = {variable: str(tmp_path / "new" / "cache")}
    prepared(monkeypatch, **own)
    assert own[variable] == os.environ[variable]


@pytest.mark.parametrize("name", [".cache", ".config"])
def test_a_home_in_which_a_folder_is_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    prepared(monkeypatch, HOME=str(tmp_path))
    assert "MPLCONFIGDIR" not in os.environ
    (tmp_path / name).touch()
    prepared(monkeypatch, HOME=str(tmp_path))
    assert "MPLCONFIGDIR" in os.environ


@pytest.mark.parametrize("kind", ["writable by all", "a link", "a file"])
def test_no_cache_is_kept_where_others_can_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    usual = tmp_path / f"directmax-{os.getuid()}"
    if kind == "writable by all":
        usual.mkdir()
        usual.chmod(0o777)
    elif kind == "a link":
        usual.symlink_to(tmp_path)
    else:
        usual.touch()
    prepared(monkeypatch, HOME="/proc/none")
    folder = Path(os.environ["NUMBA_CACHE_DIR"]).parent
    assert folder != usual
    assert folder.stat().st_mode & 0o777 == 0o700


def test_nowhere_to_keep_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    prepared(monkeypatch, HOME="/proc/none")
    assert "NUMBA_CACHE_DIR" not in os.environ


def test_no_user_of_that_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr("pooch.os_cache", lambda name: "~/.cache/directmax")
    assert user_cache().is_absolute()
    with pytest.raises(RunError, match="home directory"):
        user_path("~nobody-of-this-name/run")
    with pytest.raises(RunError, match="zero byte"):
        user_path("a\0b")


def test_variables_of_a_torchrun_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    values = {"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "MASTER_PORT": port}
    values |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="nobody answers"):
        processes._torchrun(1)
    with socket.create_server(("127.0.0.1", int(port))):
        assert processes._torchrun(1) == (2, 1)
