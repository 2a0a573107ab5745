"""Images of one's own: from arrays, and a run on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from command_line import read, refuse
from directmax.tool.config.train import TrainConfig
from directmax.tool.data import AttributeData, AttributeSplit, ImageData, ImagesInMemory
from directmax.tool.files import RunError
from directmax.tool.run.finished import evaluate_run, load_run, sample_run
from directmax.tool.run.train import train

GREY = torch.rand(60, 5, 9, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(60) % 3


@pytest.mark.parametrize(
    "values",
    [GREY, GREY.double().numpy(), GREY.tolist(), np.asfortranarray(GREY.numpy())],
    ids=["tensor", "array", "lists", "fortran"],
)
def test_any_kind_of_array(values: Any) -> None:
    data = ImageData.from_arrays(values, values, values)
    assert data.shape == (5, 9)
    for split in (data.train, data.validation, data.test):
        assert split.images.dtype == torch.float32
        assert torch.equal(split.images, GREY.reshape(60, 45))
    assert data.identity() == ImageData.from_arrays(GREY, GREY, GREY).identity()
    assert data.num_classes == 0


def test_rows_of_pixels_and_bool() -> None:
    bits = GREY.reshape(60, 45) > 0.5
    data = ImageData.from_arrays(bits, bits[:4], bits[:5], shape=(9, 5), name="bits")
    assert (data.name, data.shape, len(data.validation)) == ("bits", (9, 5), 4)
    assert data.train.images.unique().tolist() == [0, 1]


def test_a_tenth_is_held_out_always_the_same() -> None:
    data = ImageData.from_arrays(GREY, labels=LABELS, label_names="abcd")
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [48, 6, 6]
    assert (data.num_classes, data.label_names) == (4, ("a", "b", "c", "d"))
    rows = torch.cat([part.images for part in parts])
    assert torch.equal(rows.sort(0).values, GREY.reshape(60, 45).sort(0).values)
    for part in parts:  # labels stay with their images
        for image, label in zip(part.images, part.labels, strict=True):
            (index,) = (GREY.reshape(60, 45) == image).all(1).nonzero()[0].tolist()
            assert LABELS[index] == label
    again = ImageData.from_arrays(GREY, labels=LABELS)
    assert again.identity()["sha256"] == data.identity()["sha256"]
    other = ImageData.from_arrays(GREY, labels=LABELS.flip(0))
    assert other.identity()["sha256"] != data.identity()["sha256"]
    own = ImageData.from_arrays(GREY, test=GREY[:7])
    assert [len(part) for part in (own.train, own.validation, own.test)] == [54, 6, 7]


BAD = GREY.clone()
BAD[3, 2, 1] = float("nan")


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"train": GREY * 255}, ValueError, "train"),
        ({"train": BAD}, ValueError, "train"),
        ({"train": (GREY * 255).byte()}, TypeError, "255"),
        ({"train": GREY[0]}, ValueError, "shape"),
        ({"train": GREY[:0]}, ValueError, "(0, 5, 9)"),
        ({"train": GREY[:2]}, ValueError, "2 images"),
        ({"train": [[[0.5], [0.5, 1]]]}, TypeError, "train"),
        ({"train": "faces/"}, TypeError, "train"),
        ({"train": GREY, "test": GREY.mT}, ValueError, "test"),
        ({"train": GREY, "shape": (9, 5)}, ValueError, "9×5"),
        ({"train": GREY.reshape(60, 45), "shape": (9, 6)}, ValueError, "45 pixels"),
        ({"train": GREY, "test_labels": LABELS}, ValueError, "test"),
        ({"train": GREY, "test": GREY, "labels": LABELS}, ValueError, "test"),
        ({"train": GREY, "labels": LABELS[:-1]}, ValueError, "60 images"),
        ({"train": GREY, "labels": LABELS.float()}, TypeError, "labels"),
        ({"train": GREY, "labels": LABELS - 1}, ValueError, "labels"),
        ({"train": GREY, "labels": LABELS, "label_names": ["a"]}, ValueError, "label_names"),
    ],
)
def test_refused_in_one_line(arguments: dict[str, Any], error: type[Exception], named: str) -> None:
    with pytest.raises(error) as caught:
        ImageData.from_arrays(**arguments)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["discrete", "mixed"])
def test_a_run_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """Begun, resumed, evaluated and drawn; nothing goes on with others or without."""
    if model == "mixed":  # drawing takes longer than the rest
        monkeypatch.setattr("directmax.tool.run.train.write_report", lambda *arguments: None)
    labels = {"labels": LABELS} if model == "mixed" else {}
    given: dict[str, Any] = {"labels": 6, "values": 3} if model == "mixed" else {}
    config = TrainConfig(model=model, epochs=2, batch_size=20, hidden=5, **given)
    data = ImageData.from_arrays(GREY, name="stripes", **labels)
    folder = tmp_path / "run"
    summary = train(config, folder, images=data, device="cpu")
    assert read(folder / "config.json")["images"] == data.identity()
    if model == "discrete":
        assert "stripes" in (folder / "report.html").read_text()
    again = train(config, folder, images=data, device="cpu", resume=True)
    assert again["test"] == summary["test"]
    assert evaluate_run(folder, images=data, device="cpu")["test"] == summary["test"]
    sample_run(folder, tmp_path / "x.png", images=data, device="cpu")
    for images in (None, ImageData.from_arrays(1 - GREY, **labels)):
        for act in (
            lambda images=images: train(config, folder, images=images, device="cpu", resume=True),
            lambda images=images: load_run(folder, images=images),
        ):
            with pytest.raises(RunError, match="handed over in Python"):
                act()
    assert "handed over in Python" in refuse("evaluate", folder)


def test_the_mixed_model_without_classes(tmp_path: Path) -> None:
    config = TrainConfig(model="mixed", epochs=1, batch_size=20, hidden=5)
    data = ImageData.from_arrays(GREY)
    summary = train(config, tmp_path / "run", images=data, device="cpu")
    assert "accuracy" not in summary["test"]
    assert evaluate_run(tmp_path / "run", images=data, device="cpu")["test"] == summary["test"]
    sample_run(tmp_path / "run", tmp_path / "x.png", images=data, device="cpu")
    labelled = TrainConfig(model="mixed", labels=10, batch_size=20)
    with pytest.raises(ValueError, match="--labels"):
        train(labelled, tmp_path / "other", images=data, device="cpu")


def test_images_with_attributes(tmp_path: Path) -> None:
    bytes_ = (torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).byte()
    split = AttributeSplit(ImagesInMemory(bytes_), torch.arange(40)[:, None] % 2)
    data = AttributeData("mine", ("Odd",), (1, 8, 8), split, split, split, "none")
    config = TrainConfig(
        model="attributes",
        data="celeba",
        attributes=("Odd",),
        epochs=1,
        batch_size=20,
        hidden=4,
        gaussian=2,
    )
    summary = train(config, tmp_path / "run", images=data, device="cpu")
    assert evaluate_run(tmp_path / "run", images=data, device="cpu")["test"] == summary["test"]
    with pytest.raises(TypeError, match="ImageData"):
        train(TrainConfig(), tmp_path / "x", images=data, device="cpu")
    other = TrainConfig(model="attributes", data="celeba", attributes=("A", "B"), batch_size=20)
    with pytest.raises(ValueError, match="--attributes"):
        train(other, tmp_path / "x", images=data, device="cpu")
    assert not (tmp_path / "x").exists()
