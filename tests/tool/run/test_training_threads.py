"""A small model trains on one thread; what the user says of threads holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from command_line import TINY, succeed
from directmax.tool.config import TrainConfig
from directmax.tool.data import ImageData
from directmax.tool.run.binary_task import BinaryTask
from directmax.tool.run.threads import is_small


@pytest.mark.parametrize("said", [None, "2"])
@pytest.mark.usefixtures("no_report")
def test_threads_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    if said is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    seen, validate = [], BinaryTask.validate

    def noted(self: BinaryTask) -> object:
        seen.append(torch.get_num_threads())
        return validate(self)

    monkeypatch.setattr(BinaryTask, "validate", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        succeed(*TINY, "--run-dir", tmp_path / "run")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1 if said is None else 2}


@pytest.mark.parametrize(
    ("side", "flags", "small"),
    [
        (8, {}, True),
        (28, {}, False),  # two threads take 0.7 of the time of one
        (8, {"variables": 15, "values": 2}, False),  # 15 changes of each of 100 codes
        (8, {"network": "conv"}, False),
    ],
)
def test_what_is_small(side: int, flags: dict, small: bool) -> None:
    data = ImageData.from_arrays(torch.rand(300, side, side))
    config = TrainConfig(**flags).resolve(len(data.train), 1)
    assert is_small(config, data) == small
