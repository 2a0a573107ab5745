"""The loop: every estimator and binarisation, precisions, NaN, and the discipline of the test."""

from __future__ import annotations

import gc
import json
import math
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from command_line import STEPS, TINY, metrics, read, refuse, succeed
from directmax.distributions import DEFAULT_MAX_STATES
from directmax.estimators import ESTIMATORS
from directmax.tool.config import TrainConfig
from directmax.tool.config.build import build_estimator, build_model
from directmax.tool.data import Split, load_images
from directmax.tool.run import binary_task, classes, evaluation, images, make, report, state
from directmax.tool.run.checkpoint import load_checkpoint
from directmax.tool.run.evaluation import (
    QUICK_SAMPLES,
    Validation,
    epoch_validation,
    validation_subset,
)
from directmax.tool.run.finished import evaluate_run
from directmax.tool.run.images import split_images
from directmax.tool.run.loop import Trainer
from directmax.tool.run.progress import Progress
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.task import Batch
from directmax.tool.run.train import make_fabric, train

pytestmark = pytest.mark.usefixtures("no_report")

BINARY = sorted(name for name, row in ESTIMATORS.items() if row.binary)
INDEPENDENT = sorted(set(ESTIMATORS) - {"clamped-argmax", *BINARY})
"""Those of independent variables; `test_training_structured.py` has the others."""
LONGER = ("--epochs", "3", "--batch-size", "100", "--hidden", "100")


def bounds(folder: Path, split: str = "train") -> list[float]:
    return [line[split]["bound"] for line in metrics(folder)]


SOON = ("direct", "gumbel-softmax", "local-search")
"""Looked at by default; the others are alike to the loop, and slow together."""
CASES = [
    pytest.param(name, marks=[] if name in SOON else [pytest.mark.slow]) for name in INDEPENDENT
]


@pytest.mark.parametrize("estimator", CASES)
def test_every_estimator_learns(tmp_path: Path, estimator: str) -> None:
    """Of one variable in two precisions, of several in the third; evaluated as in the run."""
    for precision in ("32-true", "bf16-mixed"):
        learns(tmp_path / precision, estimator, 1, 10, precision)
    single, mixed = bounds(tmp_path / "32-true"), bounds(tmp_path / "bf16-mixed")
    assert mixed == pytest.approx(single, rel=0.03)
    weights = load_checkpoint(tmp_path / "bf16-mixed" / "checkpoints" / "best").part("model")
    assert all(w.dtype != torch.bfloat16 for w in weights.values())
    learns(tmp_path / "64-true", estimator, 4, 3, "64-true")
    weight = load_checkpoint(tmp_path / "64-true" / "checkpoints" / "best").part("model")
    weight = weight["decoder.last.weight"]
    assert weight.dtype == torch.float64
    assert bool((weight.float() != weight).any())


@pytest.mark.parametrize("estimator", BINARY)
def test_every_binary_estimator_learns(tmp_path: Path, estimator: str) -> None:
    learns(tmp_path, estimator, 6, 2, "32-true")


def learns(folder: Path, estimator: str, variables: int, values: int, precision: str) -> None:
    size = ("--variables", variables, "--values", values, "--estimator", estimator)
    succeed(*TINY, *size, *LONGER, "--precision", precision, "--run-dir", folder)
    training, validation = bounds(folder), bounds(folder, "validation")
    assert training[-1] < training[0] - 1
    assert validation[-1] < validation[0] - 1
    summary = read(folder / "summary.json")
    assert summary["test"]["nll"] is not None
    results = evaluate_run(folder, device="cpu")
    assert results["test"] == summary["test"]
    assert results["validation"] == summary["validation"]


@pytest.mark.parametrize("estimator", ["direct", "local-expectation", "relax"])
def test_many_variables_are_sampled(tmp_path: Path, estimator: str) -> None:
    folder = tmp_path / "run"
    size = ("--variables", "21", "--values", "2", "--estimator", estimator)
    out = succeed(*TINY, *size, "--eval-samples", "7", "--run-dir", folder).out
    assert "7 samples an image" in out
    assert "–" in out
    summary = read(folder / "summary.json")
    for split in ("validation", "test"):
        assert summary[split]["nll"] is None
        assert summary[split]["num_samples"] == 7
    assert metrics(folder)[-1]["validation"]["num_samples"] == 7
    assert json.loads(succeed("evaluate", folder, "--json").out)["test"] == summary["test"]
    again = evaluate_run(folder, device="cpu", num_samples=9, seed=5)
    assert again["test"]["num_samples"] == 9
    assert again["test"]["bound"] == pytest.approx(summary["test"]["bound"], rel=0.02)


def test_with_many_states_every_epoch_looks_at_fewer_images() -> None:
    images = torch.zeros(10_000, 3)
    assert len(validation_subset(images, 50, 2**16)) == 10_000
    assert len(validation_subset(images, 2**15, 2**16)) == 512
    assert len(validation_subset(images, 2**20, 2**20)) == 32  # never fewer
    assert len(validation_subset(images, 2**17, 2**16)) == 10_000  # sampled


def test_an_epoch_is_not_validated_for_longer_than_it_trained() -> None:
    images = torch.zeros(10_000, 784)

    def looked_at(count: int, **settings: Any) -> Validation:
        config = TrainConfig(data="mnist", **settings).resolve(count)
        return epoch_validation(config, images, count)

    every = (len(images), DEFAULT_MAX_STATES, 100)
    few, *sampled = looked_at(1_000, variables=15, values=2)
    assert (len(few), *sampled) == (15_000 // 58 + 17, 2**15 - 1, QUICK_SAMPLES)  # sampled
    exact, *_ = looked_at(50_000, variables=15, values=2)
    assert len(exact) == 512  # of 32,768 states each
    found, *rest = looked_at(1_000, values=50)
    assert (len(found), *rest) == every
    found, *rest = looked_at(1_000, variables=8, values=2)
    assert (len(found), *rest) == (1_000 // 3, *every[1:])  # three searches cost what a step does
    found, *rest = looked_at(1_000, variables=20, values=10, refine=False)
    assert (len(found), *rest) == every  # as ever


def test_evaluation_enumerates_more_than_training(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    size = ("--variables", "17", "--values", "2", "--epochs", "1", "--batch-size", "1197")
    succeed(*TINY, *size, "--hidden", "5", "--run-dir", folder)
    assert metrics(folder)[0]["validation"]["num_samples"] == QUICK_SAMPLES
    sampled = read(folder / "summary.json")["test"]
    assert sampled["num_samples"] == 100
    exact = evaluate_run(folder, device="cpu", splits=("test",))
    assert set(exact) == {"test"}
    assert exact["test"]["num_samples"] is None
    assert exact["test"]["nll"] <= exact["test"]["bound"]
    assert exact["test"]["bound"] == pytest.approx(sampled["bound"], rel=0.01)


@pytest.mark.parametrize("mode", ["threshold", "static", "dynamic", "none"])
def test_every_binarisation(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "run"
    succeed(*TINY, "--binarize", mode, "--run-dir", folder)
    assert bounds(folder)[-1] < bounds(folder)[0]
    results = json.loads(succeed("evaluate", folder, "--json").out)
    summary = read(folder / "summary.json")
    assert results["test"] == summary["test"]
    assert results["validation"] == summary["validation"]


def test_dynamic_images_change_with_the_epoch_and_others_do_not() -> None:
    data = load_images("digits")
    for mode, changes in (("dynamic", True), ("static", False)):
        config = TrainConfig(binarize=mode).resolve()
        epochs = [0, 1] if mode == "dynamic" else [0, 0]
        first, second = (split_images(config, data, "train", epoch=epoch) for epoch in epochs)
        assert torch.equal(first, second) != changes
        assert set(first.unique().tolist()) == {0.0, 1.0}
    seeds = [
        split_images(TrainConfig(binarize="static", seed=seed).resolve(), data, "test")
        for seed in (0, 1)
    ]
    assert not torch.equal(*seeds)


@pytest.mark.parametrize(("mode", "epochs"), [("dynamic", {0, 1}), ("static", {0})])
def test_images_are_drawn_for_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, epochs: set[int]
) -> None:
    asked: set[int] = set()

    def recording(config: Any, data: Any, split: str, *, epoch: int = 0) -> torch.Tensor:
        if split == "train":
            asked.add(epoch)
        return split_images(config, data, split, epoch=epoch)

    monkeypatch.setattr(binary_task, "split_images", recording)
    succeed(*TINY, "--binarize", mode, "--run-dir", tmp_path / "run")
    assert asked == epochs


def test_seeds_differ_and_the_same_seed_repeats(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        succeed(*TINY, "--seed", seed, "--run-dir", tmp_path / name)
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert metrics(tmp_path / "a") != metrics(tmp_path / "c")


# Precision


def test_float64_and_float32_agree_for_the_exact_gradient(tmp_path: Path) -> None:
    for precision in ("32-true", "64-true"):
        arguments = ("--estimator", "exact", "--precision", precision)
        succeed(*TINY, *arguments, "--run-dir", tmp_path / precision)
    assert bounds(tmp_path / "32-true") == pytest.approx(bounds(tmp_path / "64-true"), rel=1e-5)


class WithoutFloat64(TorchDispatchMode):
    """Refuses float64, as MPS does."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            raise TypeError(f"{func}: float64 is not supported")
        return result


@pytest.mark.parametrize("model", ["discrete", "mixed"])
def test_a_device_without_float64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    more = {"discrete": ("--kl-start", "1"), "mixed": ("--labels", "50")}  # auto looks on the CPU
    command = (*TINY, "--model", model, *more[model], "--run-dir")
    succeed(*command, tmp_path / "float64")
    for module in (state, evaluation, classes):
        monkeypatch.setattr(module, "sum_dtype", lambda device: torch.float32)
    with WithoutFloat64():
        succeed(*command, tmp_path / "float32")
    wide = bounds(tmp_path / "float64")
    assert bounds(tmp_path / "float32") == pytest.approx(wide, rel=1e-6)


# NaN


def poison(monkeypatch: pytest.MonkeyPatch, epoch: int, step: int) -> None:
    """Make the loss NaN at a step (both counted from 1)."""
    train_step = Trainer._train_step

    def poisoned(self: Trainer, batch: Batch, now: int) -> None:
        if (self.position.epoch + 1, now + 1) == (epoch, step):
            with torch.no_grad():
                self.model.decoder.last.bias.fill_(math.nan)
        train_step(self, batch, now)

    monkeypatch.setattr(Trainer, "_train_step", poisoned)


@pytest.mark.parametrize("step", [1, 2, STEPS])
def test_nan_keeps_the_last_good_checkpoint(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        poison(patch, 2, step)
        message = refuse(*TINY, "--run-dir", folder)
    assert f"NaN or infinite at step {STEPS + step} (epoch 2, step {step})" in message
    assert f"the checkpoint of epoch 1 is kept in {folder / 'checkpoints' / 'last'}" in message
    for name in ("best", "last"):
        kept = load_checkpoint(folder / "checkpoints" / name)
        assert kept.state["position"]["epoch"] == 1
        assert all(bool(tensor.isfinite().all()) for tensor in kept.tensors.values())
    assert len(metrics(folder)) == 1
    assert not (folder / "summary.json").exists()
    succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)
    assert metrics(folder) == metrics(finished)


def test_nan_in_a_long_epoch_stops_inside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, 1, 7)
    message = refuse(*TINY, "--batch-size", "12", "--run-dir", tmp_path / "run")
    assert "step 7 (epoch 1, step 7): no checkpoint was written yet" in message


def test_weights_that_diverge_in_the_very_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_step = Trainer._train_step

    def poisoned(self: Trainer, batch: Batch, now: int) -> None:
        train_step(self, batch, now)
        if (self.position.epoch + 1, now + 1) == (2, STEPS):
            with torch.no_grad():
                self.model.encoder.layers[0].weight.fill_(math.inf)

    monkeypatch.setattr(Trainer, "_train_step", poisoned)
    message = refuse(*TINY, "--run-dir", tmp_path / "run")
    assert "the validation bound is NaN or infinite" in message
    assert (
        load_checkpoint(tmp_path / "run" / "checkpoints" / "last").state["position"]["epoch"] == 1
    )


# The test set


def test_test_images_are_not_touched_before_the_end(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(*arguments: Any, **options: Any) -> Any:
        data = load_images(*arguments, **options)
        bad = torch.full_like(data.test.images, math.nan)
        return replace(data, test=Split(bad, data.test.labels))

    monkeypatch.setattr(make, "load_images", poisoned)
    folder = tmp_path / "run"
    message = refuse(*TINY, "--run-dir", folder)
    assert "images must be finite" in message  # of the test set, after the training
    assert metrics(folder) == metrics(finished)
    assert not (folder / "summary.json").exists()


def test_test_images_are_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def recording(config: Any, data: Any, split: str, **options: Any) -> torch.Tensor:
        asked.append(split)
        return split_images(config, data, split, **options)

    for module in (binary_task, report):
        monkeypatch.setattr(module, "split_images", recording)
    succeed(*TINY, "--run-dir", tmp_path / "run")
    assert asked.count("test") == 1
    assert asked[-1] == "test"
    assert images.split_images is split_images


# As a library


def test_train_returns_the_summary_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    summary = train(TrainConfig(epochs=1, hidden=5).resolve(), tmp_path / "run", device="cpu")
    assert summary == read(tmp_path / "run" / "summary.json")
    assert capfd.readouterr() == ("", "")


def test_a_trainer_ends_with_its_last_reference(tmp_path: Path) -> None:
    """Its images too, without a collection of garbage."""
    config = TrainConfig(hidden=5).resolve()
    fabric = make_fabric("cpu", 1, config.precision)
    task = make.make_task(config, load_images("digits"), fabric)
    trainer = Trainer(task, RunFolder(tmp_path), Progress())
    trainer.train_steps(2)
    trainer.train_steps(2)
    alive = [weakref.ref(each) for each in (trainer, task)]
    gc.disable()
    try:
        del trainer, task
        assert [each() for each in alive] == [None, None]
    finally:
        gc.enable()


def test_weights_are_of_the_seed_alone() -> None:
    config = TrainConfig(hidden=5).resolve()
    torch.manual_seed(1)
    first = build_model(config, (8, 8)).state_dict()
    torch.manual_seed(2)
    second = build_model(config, (8, 8)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_by_name(name: str) -> None:
    structured = {"encoder": "pairwise", "variables": 3, "values": 2}
    fitting = {"clamped-argmax": structured, **{binary: {"values": 2} for binary in BINARY}}
    config = TrainConfig(estimator=name, **fitting.get(name, {})).resolve()
    flat = type(build_estimator(config)).__name__.lower()
    assert flat == name.replace("-", "")
