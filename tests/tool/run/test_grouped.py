"""Groups of training images: how long they take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from directmax.tool.config import TrainConfig
from directmax.tool.jobs.bench import Bench, Images
from directmax.tool.jobs.job import Job
from directmax.tool.kinds import train
from directmax.tool.run import grouped

MIXED = TrainConfig(model="mixed", epochs=2)


@pytest.mark.parametrize("count", [7, 9_000, 50_000, 120_000])
def test_the_time_of_many_images_follows_from_that_of_some(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(config: object, data: object, device: object, some: int) -> tuple[float, float]:
        assert some <= 10_000
        return 0.5 + 1e-8 * some**2, 0.01

    monkeypatch.setattr(grouped, "_timed", timed)
    data: Any = SimpleNamespace(train=range(count))
    start, step = grouped.time_groups(MIXED.resolve(), data, torch.device("cpu"))
    assert start == pytest.approx(0.5 + 1e-8 * count * min(count, 60_000))
    assert step == 0.01


def test_an_estimate_has_the_time_of_grouping(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        train, "time_training", lambda *a, **b: SimpleNamespace(step=1, validation=0)
    )
    found = []
    for groups in (False, True):
        config = TrainConfig(model="mixed", epochs=2, groups=groups).resolve()
        bench = Bench(Images(), device="cpu", threads=1)
        job = Job("a", "train", config.to_dict(), {})
        with monkeypatch.context() as patch:
            patch.setattr(train, "time_groups", lambda *arguments: (100.0, 7.0))
            found.append(train.Training().estimate(job, bench).total)
    assert found[1] == found[0] + 100 + 7 * 2 * 6  # epochs of 1,197 images, 200 at a time
    start, step = grouped.time_groups(config, bench.images.binary("digits"), torch.device("cpu"))
    assert 0 <= start < 60
    assert 0 < step < 10
