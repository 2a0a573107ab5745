"""Runs of the mixed model: labels, accuracy, selection, pictures, evaluation, what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor

from command_line import TINY, Forked, call, metrics, read, refuse, succeed
from directmax.models import MixedVAE
from directmax.tool.config import TrainConfig
from directmax.tool.data import load_images
from directmax.tool.run import pictures
from directmax.tool.run.binary_task import BinaryTask
from directmax.tool.run.classes import confusion_of, counts_of, matched
from directmax.tool.run.finished import load_binary_run
from directmax.tool.run.grouped import load_groups, save_groups
from directmax.tool.run.labelled import LabelledBatches, labelled_indices

MIXED = (*TINY, "--model", "mixed", "--gaussian", "3")
LABELS = ("--labels", "50")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run with labels; not to be changed."""
    folder = tmp_path_factory.mktemp("mixed") / "run"
    succeed(*MIXED, *LABELS, "--run-dir", folder)
    return folder


# Labelled images


def test_labels_come_from_training_images_by_seed() -> None:
    data = load_images("digits")
    chosen = [
        labelled_indices(TrainConfig(model="mixed", labels=50, seed=s).resolve(), data)
        for s in (0, 1)
    ]
    assert not torch.equal(*chosen)
    for indices in chosen:
        assert data.train.labels[indices].bincount().tolist() == [5] * 10


@pytest.mark.parametrize(("labels", "batch_size"), [(50, 100), (50, 20), (50, 7)])
def test_batches_go_through_all_labels(labels: int, batch_size: int) -> None:
    config = TrainConfig(model="mixed", labels=labels, batch_size=batch_size).resolve()
    data = load_images("digits")
    indices = labelled_indices(config, data)
    batches = LabelledBatches(config, indices, data.train.labels[indices])
    size = min(labels, batch_size)
    steps = [batches.positions(step).tolist() for step in range(labels)]
    assert all(len(step) == size for step in steps)
    flat = list(itertools.chain(*steps))
    for start in range(0, len(flat), labels):  # each image once in every cycle
        assert sorted(flat[start : start + labels]) == list(range(labels))
    assert flat[:labels] != flat[labels : 2 * labels]
    # A resumed run asks for the batch of a step without the steps before.
    again = LabelledBatches(config, indices, batches.labels)
    assert again.positions(13).tolist() == steps[13]
    assert torch.equal(batches.labels, data.train.labels[batches.indices])


def batches_on(device: str) -> LabelledBatches:
    config = TrainConfig(model="mixed", labels=50, batch_size=20).resolve()
    data = load_images("digits")
    indices = labelled_indices(config, data)
    return LabelledBatches(config, indices, data.train.labels[indices], device)


def test_labels_and_their_order_are_on_the_device() -> None:
    batches = batches_on("meta")
    for step in range(5):
        found = (batches.positions(step), batches.indices, batches.labels)
        assert [tensor.device.type for tensor in found] == ["meta"] * 3


@pytest.mark.gpu
def test_batches_of_labels_do_not_wait_for_the_device() -> None:
    batches, expected = batches_on("cuda"), batches_on("cpu")
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = [batches.positions(step) for step in range(9)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [each.tolist() for each in found] == [expected.positions(s).tolist() for s in range(9)]


@pytest.mark.parametrize("first", [0, 3])
def test_labels_come_first_and_then_none(first: int) -> None:
    """What a step sees: its loss does not change with the images that it does not see."""
    config = TrainConfig(
        **{"model": "mixed", "gaussian": 3, "hidden": 20, "labels": 50, "labels_first": first},
        **{"epochs": 1, "shift": 0, "distortion": 0.0, "smoothness": 0.0, "kl_gradient": "off"},
    ).resolve()
    task = BinaryTask(config, load_images("digits"), Fabric(accelerator="cpu", devices=1))
    batches = list(task.batches(0))
    assert task.labelled is not None

    def loss_of(step: int, images: int, weight: float) -> Tensor:
        task.config = dataclasses.replace(config, label_weight=weight)
        generator = torch.Generator().manual_seed(0)
        return task.loss(task.model, batches[images], step, generator=generator).loss

    sees = []
    for step in (max(first, 1) - 1, max(first, 1)):
        loss = loss_of(step, 0, 1.0)
        sees.append((bool(loss != loss_of(step, 1, 1.0)), bool(loss != loss_of(step, 0, 2.0))))
    assert sees == ([(False, True), (True, False)] if first else [(True, True)] * 2)
    if first:  # f(label) and the loss of the labels, each a mean, with their whole weights
        terms = task.model(
            batches[0].images,
            generator=torch.Generator().manual_seed(0),
            labelled=task._images[task.labelled.indices[task.labelled.positions(0)]],
            labels=task.labelled.labels[task.labelled.positions(0)],
        )
        expected = terms.labelled.mean() + 2 * terms.supervision.mean()
        torch.testing.assert_close(loss_of(0, 0, 2.0), expected)


# Classes


def test_matching_is_the_best_of_all_permutations() -> None:
    g = torch.Generator().manual_seed(0)
    for _ in range(10):
        counts = torch.randint(20, (4, 4), generator=g)
        best = max(
            sum(int(counts[c, v]) for v, c in enumerate(order))
            for order in itertools.permutations(range(4))
        )
        classes = matched(counts)
        assert sorted(classes.tolist()) == [0, 1, 2, 3]
        matrix, accuracy = confusion_of(counts, classes)
        assert accuracy == best / int(counts.sum())
        assert [sum(row) for row in matrix] == counts.sum(1).tolist()


def test_more_values_than_classes_and_fewer() -> None:
    more = torch.tensor([[5, 0, 3, 0], [0, 4, 0, 1]])
    matrix, accuracy = confusion_of(more, matched(more))
    assert matrix == [[5, 0, 3], [0, 4, 1]]
    assert accuracy == 9 / 13
    fewer = more.T
    matrix, accuracy = confusion_of(fewer, matched(fewer))
    assert matrix == [[5, 0, 0, 0], [0, 4, 0, 0], [3, 0, 0, 0], [0, 1, 0, 0]]
    assert accuracy == 9 / 13


# A run


def test_what_a_run_leaves(run: Path) -> None:
    lines, summary = metrics(run), read(run / "summary.json")
    assert len(lines) == 2
    for line in lines:
        assert 0 <= line["validation"]["accuracy"] <= 1
        assert "confusion" not in line["validation"]
        assert line["validation"]["num_samples"] == 1
        assert line["train"]["kl"] > 0
    best = lines[summary["best_epoch"] - 1]
    highest = max((line["validation"] for line in lines), key=lambda each: each["accuracy"])
    least = highest["accuracy"] - highest["accuracy_error"]
    level = [line for line in lines if line["validation"]["accuracy"] >= least]
    assert best == min(level, key=lambda line: line["validation"]["bound"])
    data = load_images("digits")
    for split in ("validation", "test"):
        matrix = torch.tensor(summary[split]["confusion"])
        assert matrix.sum(1).tolist() == getattr(data, split).labels.bincount().tolist()
        assert summary[split]["accuracy"] == float(matrix.diagonal().sum() / matrix.sum().double())
        assert summary[split]["num_samples"] == 10
        assert summary[split]["nll"] is None
    assert summary["validation"]["accuracy"] == best["validation"]["accuracy"]
    page = (run / "report.html").read_text()
    assert "test: images by class and predicted class" in page
    assert "the best validation accuracy (of level epochs the bound), epoch" in page
    assert "A row a value, a column a Gaussian code" in page


def test_evaluate(run: Path) -> None:
    values = json.loads(succeed("evaluate", run, "--json").out)
    summary = read(run / "summary.json")
    for split in ("validation", "test"):
        assert values[split] == summary[split]
    assert sum(map(sum, values["train"]["confusion"])) == 1197
    table = succeed("evaluate", run, "--splits", "test").out
    assert "accuracy, %" in table
    assert "test: images by class and predicted class" in table
    assert f"{100 * summary['test']['accuracy']:.2f}" in table


def test_the_prediction_is_the_most_probable_label(run: Path) -> None:
    config, data, model = load_binary_run(run, device="cpu")
    assert isinstance(model, MixedVAE)
    images = (data.test.images > 0.5).float()
    predictions = model.encoder(images).logits.squeeze(1).argmax(-1)
    counts = counts_of(model, images, data.test.labels, 10)
    for label, value in itertools.product(range(10), range(10)):
        both = (data.test.labels == label) & (predictions == value)
        assert int(counts[label, value]) == int(both.sum())
    assert config.title == "digits · 1×10 · 3 Gaussian dimensions · 50 labels · direct"


def test_sample_draws_a_row_a_class(run: Path, tmp_path: Path) -> None:
    _, _, model = load_binary_run(run, device="cpu")
    assert isinstance(model, MixedVAE)
    images = pictures.analogies(model, 7, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    for row, column in [(0, 0), (4, 6), (9, 3)]:
        matrix = torch.zeros(10, 3)
        matrix[row] = noise[column]
        expected = model.decoder(matrix).sigmoid().detach()
        torch.testing.assert_close(images[7 * row + column], expected)
    turned = pictures.analogies(
        model, 7, order=torch.arange(9, -1, -1), generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(turned[:7], images[63:])
    with pytest.MonkeyPatch.context() as patch:  # of thousands of values
        patch.setattr(pictures, "CHUNK_NUMBERS", 7 * 10 * 3 * 4)
        patch.setattr(pictures, "MOST_VALUES", 9)
        few = pictures.analogies(model, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(few, images[:63])
    file = tmp_path / "figure.png"
    succeed("sample", run, "--output", file, "--columns", 5, "--reconstructions", 0)
    with Image.open(file) as picture:
        width, height = picture.size
    assert height > width  # ten rows of five


def test_without_labels_values_are_matched_on_validation_images(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    succeed(*MIXED, "--values", "12", "--run-dir", folder)
    lines, summary = metrics(folder), read(folder / "summary.json")
    best = min(lines, key=lambda line: line["validation"]["bound"])
    assert summary["best_epoch"] == best["epoch"]
    _, data, model = load_binary_run(folder, device="cpu")
    assert isinstance(model, MixedVAE)
    counts = {
        split: counts_of(
            model,
            (getattr(data, split).images > 0.5).float(),
            getattr(data, split).labels,
            10,
        )
        for split in ("validation", "test")
    }
    matrix, accuracy = confusion_of(counts["test"], matched(counts["validation"]))
    assert summary["test"]["confusion"] == matrix
    assert summary["test"]["accuracy"] == accuracy
    assert len(matrix[0]) == 11  # two values stand for no class
    assert "none" in succeed("evaluate", folder, "--splits", "test").out
    values = json.loads(succeed("evaluate", folder, "--json", "--splits", "test").out)
    assert values["test"] == summary["test"]


@pytest.mark.slow
def test_labels_help(tmp_path: Path) -> None:
    """With 100 labels of 1,197 digits and 600 steps most are found, in groups many, else few."""
    accuracy = []
    for number, flags in enumerate((("--no-groups",), (), ("--labels", "100"))):
        folder = tmp_path / str(number)
        succeed(
            *("train", "--device", "cpu", "--model", "mixed", "--hidden", "100", *flags),
            *("--epochs", "100", "--run-dir", folder),
        )
        accuracy.append(read(folder / "summary.json")["test"]["accuracy"])
    assert accuracy[2] > 0.85
    assert accuracy[1] > 0.7 > 0.5 > accuracy[0]


@pytest.mark.parametrize(
    "extra",
    [
        ("--binarize", "dynamic"),
        ("--labels-first", "5"),  # of six steps
        pytest.param(("--estimator", "gumbel-softmax"), marks=pytest.mark.slow),
        pytest.param(("--estimator", "exact"), marks=pytest.mark.slow),
    ],
)
def test_resumed_as_if_undisturbed(tmp_path: Path, extra: tuple[str, ...], no_report: None) -> None:
    import os
    import signal

    from directmax.tool.run.loop import Trainer

    def prepare() -> None:
        step, calls = Trainer._train_step, iter(range(100))

        def killed(*arguments: object) -> None:
            if next(calls) == 4:  # in the second epoch
                os.kill(os.getpid(), signal.SIGKILL)
            step(*arguments)  # type: ignore[arg-type]

        Trainer._train_step = killed  # type: ignore[method-assign,assignment]

    command = (*MIXED, *LABELS, *extra)
    succeed(*command, "--run-dir", tmp_path / "whole")
    child = Forked(*command, "--run-dir", tmp_path / "killed", prepare=prepare)
    assert child.wait().code == -signal.SIGKILL
    succeed("train", "--device", "cpu", "--resume", "--run-dir", tmp_path / "killed")
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    results = [read(tmp_path / name / "summary.json") for name in ("killed", "whole")]
    assert results[0]["test"] == results[1]["test"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model", "mxied"), "unknown model 'mxied'"),
        (
            ("--labels", "100"),
            "--labels 100 is for the mixed or the attributes model: add --model mixed or --model "
            "attributes",
        ),
        (("--gaussian", "10"), "--gaussian 10 is for the mixed or the attributes model"),
        (("--label-weight", "2"), "--label-weight 2.0 is for the mixed or the attributes model"),
        (("--model", "mixed", "--labels", "-1"), "--labels must be at least 0, got -1"),
        (("--model", "mixed", "--gaussian", "1"), "--gaussian must be at least 2, got 1"),
        (
            ("--model", "mixed", "--labels", "50", "--label-weight", "0"),
            "--label-weight must be a finite number",
        ),
        (
            ("--model", "mixed", "--labels", "50", "--labels-first", "6", "--epochs", "1"),
            "--labels-first 6 leaves none of the 6 steps of the training for images without labels",
        ),
        (
            ("--model", "mixed", "--no-groups", "--labels-first", "6"),
            "--labels-first 6 is for runs with labels: add --labels, or leave it out",
        ),
        (("--model", "mixed", "--variables", "2"), "--model mixed has one variable"),
        (("--model", "mixed", "--encoder", "pairwise"), "--model mixed has one variable"),
        (("--model", "mixed", "--labels", "9"), "--labels must be at least the 10 classes"),
        (("--model", "mixed", "--labels", "2000"), "more than the 1197 training images"),
        (
            ("--model", "mixed", "--labels", "50", "--values", "9"),
            "--labels gives every class a value: digits has 10 classes, got --values 9",
        ),
    ],
)
def test_refused(tmp_path: Path, flags: tuple[str, ...], message: str) -> None:
    line = refuse("train", "--device", "cpu", *flags, "--run-dir", tmp_path / "run")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_two_processes_train(tmp_path: Path) -> None:
    from command_line import two_processes

    first, second = two_processes(*MIXED, *LABELS, "--run-dir", tmp_path / "run")
    assert (first.code, second.code) == (0, 0), (first, second)
    assert sum(map(sum, read(tmp_path / "run" / "summary.json")["test"]["confusion"])) == 300


def test_help_names_the_model() -> None:
    assert "--label-weight" in call("train", "--help").out


def test_groups_stand_in_for_labels_and_are_kept(tmp_path: Path, no_report: None) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    succeed(*MIXED, "--run-dir", run)
    groups = load_groups(run / "checkpoints" / "groups", 1197, 10)
    assert -1 <= int(groups.min()) <= int(groups.max()) < 10

    shutil.copytree(run, again)  # stopped before its first checkpoint
    shutil.rmtree(again / "checkpoints" / "last")
    (again / "metrics.jsonl").unlink()
    succeed("train", "--device", "cpu", "--resume", "--run-dir", again)
    assert losses(again) == losses(run)

    save_groups(again / "checkpoints" / "groups", groups[:-1])
    refused = refuse("train", "--device", "cpu", "--resume", "--run-dir", again)
    assert "must hold a group from 0 to 9, or −1, for each of 1197 training images" in refused


def losses(folder: Path) -> list[float]:
    return [line["train"]["bound"] for line in metrics(folder)]


def test_groups_and_labels_first_exclude_each_other(tmp_path: Path) -> None:
    flags = ("--labels-first", "2", "--groups")
    assert "--groups adds to" in refuse(*MIXED, *LABELS, *flags, "--run-dir", tmp_path / "run")


def test_few_images_are_not_grouped(tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", x=np.random.default_rng(0).random((6, 16), dtype=np.float32))
    command = ("train", "--data", tmp_path / "few.npz", "--model", "mixed", "--batch-size", "2")
    for values, least in ((3, 6), (9, 9)):  # a group and its neighbours, and one a group
        refused = refuse(*command, "--values", values, "--run-dir", tmp_path / "run")
        assert f"--groups needs at least {least} training images, and few has 4" in refused
