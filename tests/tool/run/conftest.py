"""One thread, no picture drawing where the report is not what is tested, one finished run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from command_line import TINY, succeed
from directmax.tool.data import ImageData
from directmax.tool.run import loop
from directmax.tool.run import train as run
from directmax.tool.run.report import write_report


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in one order, and forks that do not wait for another process's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the report, which takes longer than the training here."""
    monkeypatch.setattr(run, "write_report", lambda *arguments: None)


@pytest.fixture
def every_epoch_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where an epoch takes longer than the seconds between two checkpoints."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_SAVES", 0.0)


@pytest.fixture(scope="module")
def images() -> ImageData:
    """160 rough pictures of four classes, 8×8."""
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(160) % 4
    rough = torch.rand(4, 8, 8, generator=g)[labels] + torch.rand(160, 8, 8, generator=g) / 2
    return ImageData.from_arrays(rough.clamp(0, 1), labels=labels)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of `TINY`; not to be changed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:  # whatever the first test that asks leaves out
        patch.setattr(run, "write_report", write_report)
        succeed(*TINY, "--run-dir", folder)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be damaged."""
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    return folder
