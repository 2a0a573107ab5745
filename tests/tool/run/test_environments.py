"""The real program in each surrounding: containers, schedulers, terminals, paths."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import TINY, read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * 1200)]

PATIENCE = 1200
"""Seconds: many times what a run takes, for machines that are busy."""
RUN = (*TINY, "--epochs", "1")
SLURM = {f"SLURM_{name}": "4" for name in ("NTASKS", "PROCID", "LOCALID", "JOB_ID", "NODEID")}
TORCHRUN = {
    **{"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"},
    **{"GROUP_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"},
}
MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "PMI_RANK": "1", "PMI_SIZE": "4"}

SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "ranks that are left over": {**TORCHRUN, **SLURM, **MPI},
    "the launcher of another process": {"DIRECTMAX_LAUNCHER": "1", "LOCAL_RANK": "1"},
    "cp1252 and 30 columns": {"PYTHONIOENCODING": "cp1252", "COLUMNS": "30"},
    "ascii without a home": {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "HOME": None},
    "a home that is no folder": {"HOME": "/dev/null", "XDG_CACHE_HOME": "/proc/none"},
}


def shell(line: str) -> tuple[str, ...]:
    """What runs a command by a line of the shell, in which "$@" is the command."""
    return ("sh", "-c", line, "sh")


def run(
    *arguments: object, wrapper: tuple[str, ...] = (), **variables: str | None
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    words = [sys.executable, "-m", "directmax", *map(os.fsencode, map(str, arguments))]
    return subprocess.run(
        [*wrapper, *words],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        timeout=PATIENCE,
    )


def succeeds(folder: Path, process: subprocess.CompletedProcess[bytes]) -> None:
    assert (process.returncode, process.stderr) == (0, b""), process
    assert process.stdout.rstrip().endswith(b"report.html")
    assert read(folder / "summary.json")["epochs"] == 1
    assert (folder / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_trains(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    succeeds(folder, run(*RUN, "--run-dir", folder, **SURROUNDINGS[name]))
    assert not (Path.cwd() / "~").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_trains_with_closed_streams(tmp_path: Path, closed: str) -> None:
    folder = tmp_path / "run"
    process = run(*RUN, "--run-dir", folder, wrapper=shell(f'exec "$@" {closed}'))
    assert (process.returncode, process.stderr) == (0, b"")
    assert read(folder / "summary.json")["epochs"] == 1
    assert (folder / "report.html").stat().st_size > 10_000


def test_nobody_reads_what_a_training_prints(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = run(
        *RUN, "--run-dir", folder, wrapper=shell('{ "$@"; echo $? >&2; } | true'), LC_ALL="C"
    )
    line, code = process.stderr.decode().splitlines()
    assert line.startswith("directmax: stopped")
    assert "--resume" in line
    assert code == "2"
    succeeds(folder, run("train", "--resume", "--device", "cpu", "--run-dir", folder))


@pytest.mark.parametrize("columns", ["0", "1", "7"])
def test_help_where_there_are_hardly_any_columns(columns: str) -> None:
    process = run("train", "--help", COLUMNS=columns)
    assert (process.returncode, process.stderr) == (0, b"")
    assert b"--epsilon" in process.stdout


def test_places_of_a_run_that_are_no_folder(tmp_path: Path) -> None:
    (tmp_path / "nothing").symlink_to("elsewhere")
    (tmp_path / "file").write_text("mine")
    for place, word in (("nothing", b"link"), ("file", b"file"), ("file/run", b"folder")):
        process = run(*RUN, "--run-dir", tmp_path / place)
        assert (process.returncode, process.stdout) == (2, b"")
        assert word in process.stderr
        assert b"space" not in process.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "nothing"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_user_without_a_name_or_a_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Who may read the installation, and not write to it; with a compiled kernel."""
    folder = Path("/tmp") / f"directmax-test-{os.getpid()}"
    number = 54321
    folder.mkdir()
    try:
        os.chown(folder, number, number)
        capability = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
        wrapper = ("setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups")
        structured = ("--encoder", "pairwise", "--variables", "4", "--run-dir", folder / "run")
        succeeds(
            folder / "run",
            run(
                *RUN,
                *structured,
                wrapper=(*wrapper, *capability),
                HOME=None,
                XDG_CACHE_HOME=None,
                TMPDIR=str(folder),
            ),
        )
        assert (folder / f"directmax-{number}" / "numba").is_dir()
    finally:
        shutil.rmtree(folder)


def test_without_the_compiler_of_numba(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    several = ("--variables", "3", "--values", "2", "--batch-size", "1197")
    succeeds(folder, run(*RUN, *several, "--run-dir", folder, NUMBA_DISABLE_JIT="1"))


@pytest.mark.parametrize("form", ["home", "relative", "link", "no text"])
def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Made, continued and evaluated by the path that the user writes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    written, folder = {
        "home": ("--run-dir=~/my run", tmp_path / "my run"),
        "relative": ("--run-dir=../" + tmp_path.name + "/a 'b'", tmp_path / "a 'b'"),
        "link": ("--run-dir=link/run", tmp_path / "elsewhere" / "run"),
        "no text": ("--run-dir=" + os.fsdecode(b"a\xff"), tmp_path / os.fsdecode(b"a\xff")),
    }[form]
    succeeds(folder, run(*RUN, written, HOME=str(tmp_path)))
    path = written.removeprefix("--run-dir=")
    evaluated = run("evaluate", path, "--splits", "test", HOME=str(tmp_path))
    assert (evaluated.returncode, evaluated.stderr) == (0, b"")
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith("~")] == []
