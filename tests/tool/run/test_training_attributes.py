"""Runs of the model with attributes on drawn faces: whole, resumed, evaluated, drawn, edited."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from command_line import Forked, call, metrics, read, refuse, succeed, two_processes
from directmax.tool.config import TrainConfig
from directmax.tool.data import ImagesInMemory, load_attributes
from directmax.tool.run import attribute_pictures, attribute_task
from directmax.tool.run.attribute_task import AttributeTask
from directmax.tool.run.finished import edit_image, load_run, sample_run

EXAMPLES = Path(__file__).parents[3] / "examples"
FACES = 100  # 80 to train on
SMALL = (
    *("train", "--device", "cpu", "--data", "celeba", "--model", "attributes", "--workers", "0"),
    *("--image-size", "16", "--gaussian", "3", "--hidden", "8", "--batch-size", "40"),
    *("--epochs", "2"),
)
LABELS = ("--labels", "10")
NAMES = ("Male", "Smiling", "Eyeglasses", "Young", "Bald", "Bangs", "Blurry")


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with drawn faces; not to be changed."""
    folder = tmp_path_factory.mktemp("faces")
    script = EXAMPLES / "drawn_faces.py"
    words = [str(folder), "--count", str(FACES), "--processes", "1"]
    subprocess.run([sys.executable, script, *words], check=True, capture_output=True, cwd=EXAMPLES)
    return folder


@pytest.fixture(autouse=True)
def data_folder(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTMAX_DATA", str(faces))


@pytest.fixture(scope="module")
def run(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run with labels; not to be changed."""
    folder = tmp_path_factory.mktemp("attributes") / "run"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in every test: sums in one order
    succeed(*SMALL, *LABELS, "--data-dir", faces, "--run-dir", folder)
    torch.set_num_threads(threads)
    return folder


# A run


def test_what_a_run_leaves(run: Path) -> None:
    summary = read(run / "summary.json")
    for split in ("validation", "test"):
        found = summary[split]
        assert set(found["attributes"]) == {"Eyeglasses", "Smiling", "Male"}
        assert all(0.5 <= share <= 1 for share in found["majority"].values())
        mean = sum(found["attributes"].values()) / 3
        assert found["accuracy"] == pytest.approx(mean)
        assert found["bound"] == pytest.approx(found["reconstruction"] + found["kl"])
    found = [line["validation"] for line in metrics(run)]
    highest = max(found, key=lambda each: each["accuracy"])
    least = highest["accuracy"] - highest["accuracy_error"]
    level = [each for each in found if each["accuracy"] >= least]  # of ten images: often all
    best = min(level, key=lambda each: each["bound"])
    assert summary["best_epoch"] == found.index(best) + 1
    page = (run / "report.html").read_text()
    assert "accuracy of every attribute" in page
    smiling = [summary["test"][name]["Smiling"] for name in ("attributes", "majority")]
    assert "{:.2f}</span><small><span>majority {:.2f}".format(*(100 * x for x in smiling)) in page
    assert page.count("<img") == 2


def test_evaluate_gives_the_summary(run: Path) -> None:
    import json

    printed = json.loads(succeed("evaluate", run, "--device", "cpu", "--json").out)
    summary = read(run / "summary.json")
    assert printed["test"] == summary["test"]
    table = succeed("evaluate", run, "--device", "cpu", "--splits", "test").out
    assert "accuracy of every" in table
    assert "Eyeglasses" in table


def test_what_is_simpler_stands_beside_it(run: Path) -> None:
    summary = read(run / "summary.json")
    assert set(summary["yardsticks"]) == {"regression", "network"}
    page = (run / "report.html").read_text()
    for name, own in summary["test"]["scores"].items():
        others = [each[name]["accuracy"] for each in summary["yardsticks"].values()]
        assert all(f"{100 * value:.2f}" in page for value in [own["accuracy"], *others])
        said = any(line.startswith("Worse than the majority") for line in summary["advice"])
        assert said or own["accuracy"] >= own["majority"]


def test_a_judge_of_switched_images(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from directmax.tool.run import attribute_switching

    scores = attribute_switching.switching_scores
    monkeypatch.setattr(attribute_switching, "switching_scores", partial(scores, steps=3))
    found = json.loads(succeed("evaluate", run, "--device", "cpu", "--switched", "--json").out)
    assert found["images"] == 10
    assert set(found["attributes"]) == {"Eyeglasses", "Smiling", "Male"}
    for each in found["attributes"].values():
        assert all(0 <= each[key] <= 1 for key in ("switched", "kept", "near", "alike", "judge"))
    assert "recognised" in succeed("evaluate", run, "--device", "cpu", "--switched").out


def test_without_labels_there_is_no_accuracy(tmp_path: Path) -> None:
    succeed(*SMALL, "--epochs", "1", "--run-dir", tmp_path / "run")
    summary = read(tmp_path / "run" / "summary.json")
    assert "accuracy" not in summary["test"]
    assert metrics(tmp_path / "run")[0]["validation"]["bound"] > 0


# Inside the first epoch, inside the second.
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_resumed_as_if_undisturbed(run: Path, tmp_path: Path, no_report: None, step: int) -> None:
    from directmax.tool.run.loop import Trainer

    def prepare() -> None:
        one, calls = Trainer._train_step, iter(range(100))

        def interrupted(*arguments: object) -> None:
            one(*arguments)  # type: ignore[arg-type]
            if next(calls) + 1 == step:
                os.kill(os.getpid(), signal.SIGINT)

        Trainer._train_step = interrupted  # type: ignore[method-assign,assignment]

    folder = tmp_path / "stopped"
    assert Forked(*SMALL, *LABELS, "--run-dir", folder, prepare=prepare).wait().code == 130
    succeed("train", "--device", "cpu", "--resume", "--run-dir", folder)
    assert metrics(folder) == metrics(run)
    assert read(folder / "summary.json")["test"] == read(run / "summary.json")["test"]


def test_workers_do_not_matter(run: Path, tmp_path: Path, no_report: None) -> None:
    succeed(*SMALL, *LABELS, "--workers", "2", "--run-dir", tmp_path / "run")
    assert metrics(tmp_path / "run") == metrics(run)


@pytest.mark.parametrize(
    "flags",
    [
        ("--encoder", "pairwise"),
        ("--encoder", "supermodular", "--estimator", "direct"),
        ("--estimator", "direct", "--likelihood", "logistic"),
        ("--estimator", "gumbel-softmax", "--attributes", "Male"),
        ("--precision", "bf16-mixed", "--distortion", "0"),
    ],
)
def test_other_settings(tmp_path: Path, no_report: None, flags: tuple[str, ...]) -> None:
    folder = tmp_path / "run"
    succeed(*SMALL, *LABELS, *flags, "--epochs", "1", "--run-dir", folder)
    assert 0 <= read(folder / "summary.json")["test"]["accuracy"] <= 1


def test_two_processes_give_the_gradient_of_one(tmp_path: Path, no_report: None) -> None:
    """The Gaussian noise is another one; losses are close."""
    words = (*SMALL, "--epochs", "1", "--shift", "0", "--estimator", "exact")
    first, second = two_processes(*words, "--run-dir", tmp_path / "two")
    assert (first.code, second.code) == (0, 0), (first, second)
    succeed(*words, "--run-dir", tmp_path / "one")
    two, one = (metrics(tmp_path / name)[0] for name in ("two", "one"))
    for split in ("train", "validation"):
        assert two[split]["bound"] == pytest.approx(one[split]["bound"], rel=2e-3)


@pytest.mark.slow
def test_two_processes_with_an_odd_image_and_one_label(tmp_path: Path, no_report: None) -> None:
    """Batches of 38, 38 and 4; a single label: one process has none."""
    words = (*SMALL, "--labels", "1", "--epochs", "1", "--batch-size", "38", "--trials", "2")
    first, second = two_processes(*words, "--run-dir", tmp_path / "run")
    assert (first.code, second.code) == (0, 0), (first, second)


def test_too_few_last_images_for_all_processes(faces: Path) -> None:
    """81 images in batches of 40: the last one goes to the first process alone."""
    config = TrainConfig(data="celeba", model="attributes", image_size=16, batch_size=40).resolve()
    data = load_attributes("celeba", data_dir=faces, size=16)
    rows = [*range(80), 0]
    images = ImagesInMemory(torch.stack([data.train.images[row] for row in rows]))
    train = dataclasses.replace(data.train, images=images, attributes=data.train.attributes[rows])
    data = dataclasses.replace(data, train=train)
    steps = []
    for rank in range(2):
        fabric: Any = SimpleNamespace(global_rank=rank, world_size=2, device=torch.device("cpu"))
        task = AttributeTask(config, data, fabric)
        steps.append(list(task.batches(0)))
    assert [[len(b.images) for b in part] for part in steps] == [[20, 20, 1], [20, 20, 1]]
    assert [[b.weight for b in part] for part in steps] == [[1, 1, 1], [1, 1, 0]]
    assert [b.size for b in steps[0]] == [40, 40, 1]
    loss = task.loss(task.model, steps[1][-1], 2, generator=torch.Generator())
    assert [float(part.detach()) for part in loss] == [0, 0, 0]


def test_odd_batches_are_refused(tmp_path: Path) -> None:
    message = two_processes(*SMALL, "--batch-size", "39", "--run-dir", tmp_path / "odd")[0].message
    assert "must be a multiple of the 2 processes" in message


# Pictures


def test_switched_images(run: Path) -> None:
    _, data, model = load_run(run, device="cpu")
    grid = attribute_pictures.switched(model, data, 4, attributes=("Male", "Smiling"))
    assert grid.images.shape == (4, 2 + 4, 3, 16, 16)
    assert grid.columns == ((), ("Smiling",), ("Male",), ("Male", "Smiling"))
    assert torch.equal(grid.images[:, 0], torch.stack([data.test.images[i] for i in range(4)]))
    # The column that has an image's own attributes is its reconstruction.
    own = model.posterior(grid.images[:, 0]).mode()[..., 1]
    for row in range(4):
        names = ("Eyeglasses", "Smiling", "Male")
        on = {n for n, v in zip(names, own[row].tolist(), strict=True) if v} - {"Eyeglasses"}
        column = [set(each) for each in grid.columns].index(on)
        assert torch.equal(grid.images[row, 2 + column], grid.images[row, 1])


def test_sample_draws_them(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "figure5.png"
    succeed("sample", run, "--device", "cpu", "--columns", "3", "--output", out)
    whole = Image.open(out)
    succeed("sample", run, "--attributes", "Male", "--columns", "3", "--output", out)
    assert Image.open(out).width < whole.width
    assert "did you mean" in refuse("sample", run, "--attributes", "male", "--output", out)


def test_edit(run: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    face = faces / "celeba" / "img_align_celeba" / "000001.jpg"
    out = tmp_path / "edited.png"
    words = ("edit", run, face, "--set", "Smiling=1", "Eyeglasses=0", "--output", out)
    printed = succeed(*words).out
    assert "on now" in printed.split("Smiling")[1].split("\n")[0]
    assert "off now" in printed.split("Eyeglasses")[1].split("\n")[0]
    assert Image.open(out).size == (16, 16)
    plain = np.array(Image.open(out))
    monkeypatch.chdir(tmp_path)
    succeed(*words[:-2])  # into a name of its own
    assert np.array_equal(np.array(Image.open("000001-edited.png")), plain)
    succeed(*words, "--keep-detail")
    assert not np.array_equal(np.array(Image.open(out)), plain)


def test_keeping_detail_without_a_change_gives_the_image(run: Path) -> None:
    _, data, model = load_run(run, device="cpu")
    image = data.test.images[0]
    found = model.posterior(image.unsqueeze(0)).mode()[0, :, 1] > 0.5
    changes = dict(zip(data.attribute_names, found.tolist(), strict=True))
    same = attribute_pictures.edited(model, data, image, changes, keep_detail=True)
    assert torch.equal(same.image, image)


def test_images_that_are_read() -> None:
    square = attribute_pictures.read_image(EXAMPLES.parent / "docs/_static/figure4.png", 8)
    grey = attribute_pictures.in_colours(square, 1)
    assert (grey.shape, grey.dtype) == ((1, 8, 8), torch.uint8)


# Refusals


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--data", "mnist"), "and mnist has none: add --data celeba or --data fashion-mnist"),
        (("--attributes", "Smilling"), "did you mean 'Smiling'"),
        (("--variables", "2"), "--model attributes has a variable with two values for each"),
        (("--binarize", "static"), "--binarize static is for the discrete or the mixed model"),
        (("--smoothness", "1"), "--smoothness 1.0 is for the mixed model"),
        (("--labels", "0", "--distortion", "2"), "--distortion 2.0 is for runs with labels"),
        (("--labels", "0", "--average", "0.5"), "--average 0.5 is for runs with labels"),
        (
            ("--labels", "9", "--encoder", "pairwise", "--calibration", "validation"),
            "--calibration validation is for independent attributes",
        ),
        (("--labels", "81"), "--labels 81 is more than the 80 training images"),
        (("--batch-size", "81"), "--batch-size 81 is more than the 80 training images"),
        (("--image-size", "4"), "--image-size must be at least 8, got 4"),
        (("--workers", "-1"), "--workers must be an integer of at least 0"),
        (("--encoder", "pairwise", "--kl", "unary"), "--kl unary is for the discrete model"),
        (
            ("--estimator", "exact", "--attributes", *NAMES),
            "--estimator exact decodes all 2^7 combinations of attributes",
        ),
        (("--likelihood", "laplace"), "unknown likelihood 'laplace'"),
        (("--model", "discrete"), "--data celeba is for the model of attributes"),
    ],
)
def test_refused(tmp_path: Path, flags: tuple[str, ...], message: str) -> None:
    line = refuse(*SMALL, *flags, "--run-dir", tmp_path / "run")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_too_many_attributes_are_refused(tmp_path: Path) -> None:
    names = load_all_names()
    line = refuse(*SMALL, "--attributes", *names[:17], "--run-dir", tmp_path / "run")
    assert "--attributes may name at most 16, got 17" in line


def load_all_names() -> list[str]:
    listed = Path(os.environ["DIRECTMAX_DATA"]) / "celeba" / "list_attr_celeba.txt"
    return listed.read_text().split("\n")[1].split()


def test_a_broken_image_stops_with_one_line(faces: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(faces, tmp_path / "data")
    (broken / "celeba" / "img_align_celeba" / "000007.jpg").write_bytes(b"\xff\xd8 no image")
    line = refuse(*SMALL, "--data-dir", broken, "--run-dir", tmp_path / "run")
    assert "000007.jpg" in line


def test_other_commands_name_the_model(run: Path, finished: Path, tmp_path: Path) -> None:
    assert "is a run of --model attributes" in refuse("gradients", run)
    out = tmp_path / "out.png"
    line = refuse("edit", finished, out, "--set", "Smiling=1", "--output", out)
    assert "is a run of --model discrete, which has no attributes" in line
    line = refuse("sample", finished, "--attributes", "Smiling", "--output", out)
    assert "--attributes is for runs of --model attributes" in line
    with pytest.raises(ValueError, match="must end in"):
        sample_run(run, "picture.jpg")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--set", "Smiling=2"),
            "--set needs NAME=0 or NAME=1, such as Smiling=1, got 'Smiling=2'",
        ),
        (("--set", "Smile=1"), "unknown attribute 'Smile'"),
        (("--set",), "--set needs at least one attribute"),
        (("--set", "Smiling=1", "Smiling=0"), "--set names Smiling twice"),
    ],
)
def test_edit_refuses(run: Path, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    out = tmp_path / "out.png"
    assert message in refuse("edit", run, "image.png", *words, "--output", out)
    assert not out.exists()


def test_edit_of_a_missing_and_of_a_broken_image(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    with pytest.raises(ValueError, match="does not exist"):
        edit_image(run, tmp_path / "nothing.png", out, changes={"Male": True})
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match="is no image of a known format"):
        edit_image(run, tmp_path / "text.png", out, changes={"Male": True})


def test_help_names_the_model() -> None:
    assert "--distortion" in call("train", "--help").out
    assert "--keep-detail" in call("edit", "--help").out


def test_evaluation_in_chunks_is_the_same(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, data, model = load_run(run, device="cpu")
    whole = attribute_task.evaluate_attributes(config, model, data, "train")
    monkeypatch.setattr(attribute_task, "READ", 30)  # of 80: other noise, the same images
    again = attribute_task.evaluate_attributes(config, model, data, "train")
    assert again.attributes == whole.attributes
    assert again.bound == pytest.approx(whole.bound, rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_per_cent_of_the_labels_is_enough(tmp_path: Path) -> None:
    """Six thousand drawn faces, 48 of the 4,800 training images labelled: about six minutes."""
    script = EXAMPLES / "drawn_faces.py"
    subprocess.run([sys.executable, script, tmp_path, "--count", "6000"], check=True, cwd=EXAMPLES)
    succeed(
        *("train", "--device", "cpu", "--data", "celeba", "--model", "attributes"),
        *("--labels", "48", "--epochs", "12", "--precision", "bf16-mixed", "--workers", "0"),
        *("--data-dir", tmp_path, "--run-dir", tmp_path / "run"),
    )
    assert read(tmp_path / "run" / "summary.json")["test"]["accuracy"] >= 0.95
