"""Groups of training images: how long they take, and how they add to labels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from directmax.tool.config import TrainConfig
from directmax.tool.data import load_images
from directmax.tool.jobs.bench import Bench, Images
from directmax.tool.jobs.job import Job
from directmax.tool.kinds import train
from directmax.tool.run import grouped
from directmax.tool.run.binary_task import BinaryTask
from directmax.tool.run.grouped import class_shares, find_groups
from directmax.tool.run.labelled import GroupedBatches, labelled_indices

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


def test_half_of_a_labelled_mini_batch_is_of_groups_until_half_of_the_training() -> None:
    config = TrainConfig(model="mixed", labels=20, epochs=4, batch_size=60).resolve()
    task = BinaryTask(config, load_images("digits"), Fabric(accelerator="cpu", devices=1))
    labelled = labelled_indices(config, task.data)
    groups = torch.full((1197,), -1)
    groups[200:700] = torch.arange(500) % 10
    groups[labelled] = -1
    task._label_by(groups)
    batches = task.labelled
    assert isinstance(batches, GroupedBatches)
    assert batches.until == 40  # of 80 steps
    seen: list[int] = []
    for step in range(80):
        indices, labels = batches.batch(step)
        known = torch.isin(indices, labelled)
        assert len(indices) == batches.size_of(step)
        assert (int(known.sum()), len(labels)) == ((20, 60) if step < 40 else (20, 20))
        assert torch.equal(labels[known], task.data.train.labels[indices[known]])
        assert torch.equal(labels[~known], groups[indices[~known]])
        seen += indices[~known].tolist()
    others = set(range(200, 700)) - set(labelled.tolist())
    assert set(seen) <= others
    assert len(set(seen)) > 0.9 * len(others)


def test_no_image_may_be_sure_of_its_group() -> None:
    config = TrainConfig(model="mixed", labels=20, epochs=4).resolve()
    task = BinaryTask(config, load_images("digits"), Fabric(accelerator="cpu", devices=1))
    task._label_by(find_groups(config, task.data, torch.device("cpu")).fill_(-1))
    assert task.labelled is not None
    assert len(task.labelled.batch(0)[1]) == 20


def test_groups_are_classes_and_labelled_images_need_none() -> None:
    config = TrainConfig(model="mixed", labels=50, epochs=80).resolve()
    data = load_images("digits")
    groups = find_groups(config, data, torch.device("cpu"))
    labelled = labelled_indices(config, data)
    assert (groups[labelled] == -1).all()
    sure = groups >= 0
    assert sure.sum() > 600
    assert (groups == data.train.labels)[sure].float().mean() > 0.9


def test_shares_of_classes_are_never_none() -> None:
    shares = class_shares(torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(shares, torch.tensor([7.0, 1.0, 4.0]) / 12)
