"""`directmax sweep`: combinations, what is left out and refused, stopped and continued."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs import ForkEngine

from command_line import metrics, refuse, succeed
from directmax.tool.commands.jobs import JobFlags
from directmax.tool.jobs import bench
from directmax.tool.run.loop import Trainer
from directmax.tool.sweep.grid import make_grid

TINY = ("--epochs", "2", "--batch-size", "400", "--hidden", "12", "--starts", "1")


def names(axes: dict[str, Any], **options: Any) -> list[str]:
    """Of the trainings."""
    return [training.name for training in make_grid(axes, **options).trainings]


def test_every_combination_once() -> None:
    axes = {"values": [10, 20], "estimator": ["direct", "exact"], "epochs": [3]}
    found = make_grid(axes, seeds=2)
    assert len(found.trainings) == 8
    assert {each.config.epochs for each in found.trainings} == {3}
    assert found.trainings[-1].name == "values-20-exact-seed-1"
    assert names({"seed": [4, 7]}) == ["seed-4", "seed-7"]
    assert names({"seed": [4]}, seeds=2) == ["seed-4", "seed-5"]
    assert names({"values": [10, 10]}) == ["seed-0"]
    assert names({"values": [20]}, base={"epochs": 7}) == ["seed-0"]


def test_a_setting_is_left_out_where_nothing_uses_it() -> None:
    found = make_grid({"estimator": ["direct", "gumbel-softmax"], "temperature": [0.5, 2.0]})
    assert [training.name for training in found.trainings] == [
        "direct-seed-0",
        "gumbel-softmax-temperature-0.5-seed-0",
        "gumbel-softmax-temperature-2.0-seed-0",
    ]
    assert found.trainings[0].config.temperature is None
    assert found.notes == ("--temperature is left out where it is not used",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--estimator", "direct", "exact", "--temperature", "2"), "--temperature"),
        (("--estimator", "direct", "dirct"), "did you mean 'direct'?"),
        (("--values", "10", "x"), "--values must be an integer, got 'x'"),
        (("--values", "10", "1"), "(with --values 1)"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--seeds", "2", "--seed", "1", "2"), "leave one out"),
        (("--seeds", "10001"), "at most 10,000"),
        (("--retries", "-1"), "--retries must be 0 to 1000"),
        (("--valeus", "10"), "did you mean --values"),
        (("--config", "nowhere.toml"), "does not exist"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in refuse("sweep", *arguments, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_of_ones_own() -> None:
    """Defaults follow from their number; two paths are two trainings, whatever else is equal."""
    paths = {"a/mine.npz": (100, 1), "b/mine.npz": (50_000, 1)}
    found = make_grid({"data": [*paths, "digits"]}, sizes=paths).trainings
    assert [each.path for each in found] == [*paths, None]
    assert found[0].config.epochs > found[1].config.epochs
    assert [each.name.split("-seed")[0] for each in found] == ["mine", "mine", "digits"]
    assert len({each.name for each in found}) == 3


@pytest.mark.usefixtures("own", "quick")
def test_a_sweep_over_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed images are another training."""
    images = [tmp_path / "one.npy", tmp_path / "two.npy"]
    generator = np.random.default_rng(0)
    for path in images:
        np.save(path, generator.random((600, 4, 6)))
    monkeypatch.setattr(JobFlags, "make_engine", lambda command, share: ForkEngine())
    grid = ("sweep", *TINY, "--device", "cpu", "--output", tmp_path / "out", "--data", *images)
    assert f"{images[0]}: 600 grey images" in succeed(*grid).out
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert len(plan["jobs"]) == 2
    assert "everything is done" in succeed(*grid).out
    np.save(images[1], generator.random((600, 4, 6)))
    assert "1 of 2 jobs left" in succeed(*grid, "--list").out


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of measurements of its own."""
    monkeypatch.setattr(bench, "user_cache", lambda: tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.usefixtures("own", "quick")
def test_killed_stopped_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the interruption; a wider grid adds to the folder."""
    output = tmp_path / "out"
    grid = ("sweep", *TINY, "--device", "cpu", "--output", output, "--seeds", "2")
    text = succeed(*grid, "--estimator", "direct", "exact", "--list").out
    assert "4 of 4 jobs left" in text
    assert not output.exists()

    start_epoch = Trainer._start_epoch

    def die(trainer: Trainer) -> None:
        if trainer.position.epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        start_epoch(trainer)

    def kill(name: str, number: int) -> None:
        if name == "exact-seed-1" and number == 1:
            Trainer._start_epoch = die  # type: ignore[method-assign]

    first = ForkEngine()
    monkeypatch.setattr(JobFlags, "make_engine", lambda command, share: first)
    succeed(*grid, "--estimator", "direct")
    assert first.started == ["seed-0", "seed-1"]
    engine = ForkEngine(1, kill)
    monkeypatch.setattr(JobFlags, "make_engine", lambda command, share: engine)
    text = succeed(*grid, "--estimator", "direct", "exact").out
    assert "2 of 4 jobs left" in text  # the others were done under another name
    assert engine.started == ["exact-seed-0", "exact-seed-1", "exact-seed-1"]
    assert f"page: {output / 'compare.html'}" in text
    assert (output / "compare.html").exists()
    assert len((output / "compare.csv").read_text().splitlines()) == 5
    command = json.loads((output / "plan.json").read_text())["command"]
    assert "--estimator direct exact" in command.splitlines()[-1]
    assert "everything is done" in succeed(*grid, "--estimator", "direct", "exact").out
    (folder,) = output.glob("jobs/exact-seed-1-*")
    arguments = (
        "--seed",
        "1",
        "--estimator",
        "exact",
        "--device",
        "cpu",
        "--run-dir",
        tmp_path / "alone",
    )
    succeed("train", *TINY, *arguments)
    assert metrics(folder) == metrics(tmp_path / "alone")
