"""Runs on a path: trained, resumed, evaluated, moved, and refused where the data have changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from own_files import BITS, GREY, LABELS, by_class
from PIL import Image

from command_line import read, refuse, succeed
from directmax.models._mixed_vae import _Moved
from directmax.tool.config.train import TrainConfig
from directmax.tool.data import ImageData, load_attributes
from directmax.tool.data.names import is_path
from directmax.tool.files import RunError
from directmax.tool.run.finished import evaluate_run, load_run
from directmax.tool.run.train import train

TINY = ("--device", "cpu", "--epochs", "1", "--batch-size", "20", "--hidden", "4", "--values", "3")


@pytest.fixture
def bits(tmp_path: Path) -> Path:
    """A table of zeros and ones of a size that occurs nowhere else, in parts."""
    rows = BITS.reshape(40, -1)[:, :7]
    path = tmp_path / "bits.npz"
    np.savez(path, train_data=rows[:30], valid_data=rows[30:35], test_data=rows[35:])
    return path


def test_a_run(bits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("directmax.tool.run.train.write_report", lambda *arguments: None)
    run = tmp_path / "run"
    out = succeed("train", "--data", bits, "--run-dir", run, *TINY).out
    assert out.startswith(f"{bits}: 40 rows of 7 numbers, 0/1; no labels; 30 training (train_data)")
    record = read(run / "config.json")
    assert record["images"]["path"] == str(bits)
    assert record["images"]["understood"] in out
    assert str(tmp_path) not in str(record["config"])
    summary = read(run / "summary.json")
    assert evaluate_run(run, device="cpu")["test"] == summary["test"]
    succeed("train", "--resume", "--run-dir", run, "--device", "cpu")
    succeed("train", "--resume", "--run-dir", run, "--device", "cpu", "--data", bits)
    moved = bits.rename(tmp_path / "moved.npz")
    assert f"trained on {bits}, which is not there" in refuse("evaluate", run)
    assert evaluate_run(run, images=moved, device="cpu")["test"] == summary["test"]
    shutil.copy(moved, bits)
    np.savez(bits, train_data=1 - BITS.reshape(40, -1)[:, :7])
    assert "changed or are others" in refuse("evaluate", run)
    assert "changed or are others" in refuse("train", "--resume", "--run-dir", run)
    with pytest.raises(RunError, match="changed or are others"):
        load_run(run, images=bits)


def test_no_labels_for_a_run_with_labels(bits: Path, tmp_path: Path) -> None:
    run = ("--run-dir", tmp_path / "run")
    labelled = ("--model", "mixed", "--labels", "6")
    message = refuse("train", "--data", bits, *run, *TINY, *labelled)
    assert "--labels needs images with labels" in message
    np.savez(tmp_path / "one.npz", x=BITS.reshape(40, -1)[:, :7], y=np.ones(40, int))
    message = refuse("train", "--data", tmp_path / "one.npz", *run, *TINY, *labelled)
    assert "--labels needs two classes or more, and one has one: leave --labels out" in message
    assert not (tmp_path / "run").exists()


def test_colours_move_together() -> None:
    """A shift and a turn are the same for the three colours of an image."""
    grey = torch.rand(5, 24, generator=torch.Generator().manual_seed(0))
    images = torch.cat([grey, 0.5 * grey, grey], 1)
    for move in (_Moved((4, 6), 2, 0.0, None), _Moved((4, 6), 1, 0.7, None)):
        first, second, third = move(images).view(5, 3, 24).unbind(1)
        assert torch.allclose(second, 0.5 * first)
        assert torch.equal(third, first)


def test_labels_of_rows_and_of_colours(tmp_path: Path) -> None:
    """By default what is neither moved nor more than there is, a value a class."""
    flags = ("--model", "mixed", "--labels", "6", "--gaussian", "2", "--device", "cpu")
    flags = (*flags, "--epochs", "1", "--hidden", "4")
    np.savez(tmp_path / "rows.npz", x=BITS.reshape(40, -1)[:, :7], y=LABELS)
    run = ("--run-dir", tmp_path / "run")
    rows = ("train", "--data", tmp_path / "rows.npz", *flags)
    for name in ("shift", "distortion"):
        assert "add --shift 0 --distortion 0" in refuse(*rows, *run, f"--{name}", 1)
    assert "accuracy" in succeed(*rows, "--run-dir", tmp_path / "rows").out
    config = read(tmp_path / "rows" / "config.json")["config"]
    found = {name: config[name] for name in ("shift", "distortion", "values", "batch_size")}
    assert found == {"shift": 0, "distortion": 0, "values": 3, "batch_size": 32}
    message = refuse(*rows, *run, "--values", 4)
    assert message.endswith("has 3 classes, got --values 4; add --values 3")
    data = by_class(tmp_path)
    assert "accuracy" in succeed("train", "--data", data, *run, *flags, "--image-size", 8).out


def test_colours_and_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = by_class(tmp_path)
    run = tmp_path / "run"
    out = succeed("train", "--data", folder, "--image-size", 8, "--run-dir", run, *TINY).out
    assert "colour images of 8×8" in out
    assert "logistic" in out
    assert read(run / "config.json")["images"]["shape"] == [3, 8, 8]
    assert evaluate_run(run, device="cpu")["test"] == read(run / "summary.json")["test"]
    assert "for data of your own" in refuse("data", "digits", "--image-size", 8)
    message = refuse("train", "--image-size", 8, "--run-dir", tmp_path / "x")
    assert "--image-size 8 is for" in message


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_path("faces")
    (tmp_path / "faces").mkdir()
    (tmp_path / "digits").mkdir()
    assert is_path("faces")
    assert not is_path("digits")
    config = TrainConfig(data="own")
    with pytest.raises(ValueError, match="--data PATH"):
        train(config, tmp_path / "x", device="cpu")
    with pytest.raises(ValueError, match="--attributes"):
        TrainConfig(data="own", model="attributes")
    assert "digit" in refuse("train", "--data", "digit")


def test_gradients_of_a_path(bits: Path) -> None:
    flags = ("--estimators", "exact", "--draws", 4, "--images", 5, "--adapt", 1, "--values", 3)
    assert "exact" in succeed("gradients", "--data", bits, *flags).out


def faces(folder: Path, ending: str, attributes: str) -> Path:
    """Images with attributes as Kaggle has those of CelebA: nested, tables with a header."""
    inner = folder / "img_align_celeba" / "img_align_celeba"
    inner.mkdir(parents=True)
    for number, pixels in enumerate(GREY):
        Image.fromarray(pixels).save(inner / f"{number:06}.{ending}")
    on, off = attributes.split("/")
    rows = [f"{i:06}.jpg,{on if LABELS[i] else off},{off if i % 2 else on}" for i in range(40)]
    table = "\ufeffimage_id,Hat,Scarf\n" + "\n".join(rows) + "\n"
    (folder / "list_attr_celeba.csv").write_text(table, encoding="utf-8")
    parts = [f"{i:06}.jpg,{0 if i < 30 else 1 if i < 35 else 2}" for i in range(40)]
    (folder / "list_eval_partition.csv").write_text("image_id,partition\n" + "\n".join(parts))
    return folder


@pytest.mark.parametrize(("ending", "attributes"), [("png", "1/0"), ("jpg", "1/-1")])
def test_faces_as_they_lie_on_disks(tmp_path: Path, ending: str, attributes: str) -> None:
    """Below the data folder, as it, and without a list of parts as data of one's own."""
    folder = faces(tmp_path / "celeba", ending, attributes)
    for place in (tmp_path, folder):
        data = load_attributes("celeba", ["Hat"], data_dir=place, size=8)
        assert [len(part) for part in (data.train, data.validation, data.test)] == [30, 5, 5]
        assert data.train.attributes[:, 0].tolist() == [int(bool(x)) for x in LABELS[:30]]
        assert data.test.images[4].shape == (3, 8, 8)
    (folder / "list_eval_partition.csv").unlink()
    own = load_attributes(folder, ["Scarf"], size=8)
    assert [len(part) for part in (own.train, own.validation, own.test)] == [32, 4, 4]
    assert "drawn" in own.understood


def test_classes_of_other_images_are_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name: other images may lack a class, which the numbers of the others would take."""
    monkeypatch.setattr("directmax.tool.run.train.write_report", lambda *arguments: None)
    rows = np.random.default_rng(0).integers(2, size=(60, 7), dtype=np.uint8)
    names = np.array(["oak", "elm", "ash"])[np.arange(60) % 3]
    paths = {}
    for kind, kept in (("all", names != ""), ("some", names != "elm")):
        paths[kind] = tmp_path / f"{kind}.npz"
        np.savez(paths[kind], images=rows[kept], labels=names[kept])
    strange = tmp_path / "strange.npz"
    np.savez(strange, images=rows, labels=np.where(names == "elm", "fir", names))
    run = tmp_path / "run"
    flags = ("--model", "mixed", "--labels", "3", "--gaussian", "2", "--shift", "0")
    succeed("train", "--data", paths["all"], "--run-dir", run, *TINY, *flags, "--distortion", "0")
    out = succeed("evaluate", run, "--splits", "train").out
    assert all(f"│ {name} " in out for name in ("ash", "elm", "oak"))
    found = evaluate_run(run, data=str(paths["some"]), device="cpu")["train"]
    _, images, _ = load_run(run, data=str(paths["some"]), device="cpu")
    assert isinstance(images, ImageData)
    assert images.label_names == ("ash", "elm", "oak")
    assert [sum(row) > 0 for row in found["confusion"]] == [True, False, True]
    for kind, known in ((paths["some"], [0, 2]), (strange, [-1, 0, 2])):
        succeed("encode", run, kind, "--output", tmp_path / "codes.npz")
        assert np.unique(np.load(tmp_path / "codes.npz")["labels"]).tolist() == known
    line = refuse("evaluate", run, "--data", strange)
    assert "the model is for the classes ash, elm, oak, got strange with fir" in line
