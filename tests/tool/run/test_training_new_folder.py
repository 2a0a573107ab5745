"""A folder that is made for a run: by one process, and not left where nothing could be written."""

from __future__ import annotations

import contextlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from command_line import TINY, Forked
from directmax.tool.config import TrainConfig
from directmax.tool.files import RunError
from directmax.tool.run.run_folder import RunFolder


@pytest.mark.parametrize("there", [True, False])
def test_output_that_cannot_be_written_leaves_nothing(tmp_path: Path, there: bool) -> None:
    folder, full = tmp_path / "run", Path("/dev/full")
    if there:
        folder.mkdir()
        (folder / "mine").touch()

    def prepare() -> None:
        sys.stdout = full.open("w")

    outcome = Forked(*TINY, "--run-dir", folder, prepare=prepare).wait()
    assert outcome.code == 2
    assert "No space left on device" in outcome.message
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == (["run", "run/mine"] if there else [])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "full")])
def test_what_was_trained_is_not_taken_away(tmp_path: Path, error: BaseException) -> None:
    """Also where somebody removed the configuration meanwhile."""
    folder = RunFolder(tmp_path / "run")

    def train() -> None:
        with folder.create(TrainConfig().resolve(), torch.device("cpu")):
            folder.last.mkdir(parents=True)
            folder.config_file.unlink()
            raise error

    with pytest.raises(type(error)):
        train()
    assert folder.last.is_dir()


def test_of_those_who_come_at_once_one_makes_the_folder(tmp_path: Path) -> None:
    """The others are refused, and do not take its folder away."""
    config, device = TrainConfig().resolve(), torch.device("cpu")

    def make(folder: Path, start: threading.Barrier, end: threading.Barrier) -> str:
        start.wait()
        with contextlib.ExitStack() as stack:
            refusal = ""
            try:
                stack.enter_context(RunFolder(folder).create(config, device))
            except RunError as error:
                refusal = str(error)
            end.wait()
            assert (folder / "config.json").exists()
        return refusal

    with ThreadPoolExecutor(4) as pool:
        for number in range(5):
            start, end = threading.Barrier(4), threading.Barrier(4)
            folder = tmp_path / "runs" / str(number)
            tries = [pool.submit(make, folder, start, end) for _ in range(4)]
            made, *refused = sorted(each.result(timeout=60) for each in tries)
            assert made == ""
            assert all("another process is training" in each for each in refused)
