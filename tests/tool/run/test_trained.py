"""A trained run in use: without its images, with any that fit, and what does not fit."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import directmax
from command_line import TINY, read, refuse, succeed
from directmax.tool.config import TrainConfig
from directmax.tool.data import (
    AttributeData,
    AttributeSplit,
    ImageData,
    ImagesInMemory,
    load_images,
)
from directmax.tool.run.finished import evaluate_run, sample_run
from directmax.tool.run.fitting_images import unit_images
from directmax.tool.run.images import split_images
from directmax.tool.run.train import train
from wrong_values import Call, WrongCall, always, fault, wrong_values


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "mixed"
    succeed(*TINY, "--model", "mixed", "--gaussian", "3", "--run-dir", folder)
    return folder


@pytest.fixture(scope="module")
def coupled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "coupled"
    size = ("--encoder", "pairwise", "--variables", "4", "--no-refine")
    succeed(*TINY, *size, "--run-dir", folder)
    return folder


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "attributes"
    torch.manual_seed(0)
    images = ImagesInMemory(torch.randint(256, (40, 3, 16, 16), dtype=torch.uint8))
    split = AttributeSplit(images, torch.randint(2, (40, 2)))
    data = AttributeData("mine", ("Hat", "Scarf"), (3, 16, 16), split, split, split, "none")
    config = TrainConfig(
        data="celeba",
        model="attributes",
        attributes=("Hat", "Scarf"),
        epochs=1,
        batch_size=40,
        gaussian=4,
        hidden=8,
    )
    train(config, folder, images=data, device="cpu")
    return folder


@pytest.fixture
def no_data(
    finished: Path,
    mixed: Path,
    coupled: Path,
    attributes: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Images cannot be read."""

    def fail(*arguments: object, **named: object) -> None:
        raise AssertionError("images were read")

    monkeypatch.setattr("directmax.tool.run.make.load_images", fail)
    monkeypatch.setattr("directmax.tool.run.make.load_attributes", fail)


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("kind", ["finished", "mixed", "coupled", "attributes"])
def test_all_models_without_images(kind: str, request: pytest.FixtureRequest) -> None:
    model = directmax.load(request.getfixturevalue(kind), device="cpu")
    shape = model.images.shape
    images = (torch.rand(7, *shape) * 255).to(torch.uint8)
    n, k = model.config.variables, model.config.values
    g = torch.Generator().manual_seed(0)
    found = model.encode(images, num_samples=5, generator=g)
    assert found.probabilities.shape == (7, n, k)
    assert found.samples.shape == (5, 7, n)
    torch.testing.assert_close(found.probabilities.sum(-1), torch.ones(7, n))
    if kind != "coupled":  # then a variable's most probable value is that of the code
        assert torch.equal(found.code, found.probabilities.argmax(-1))
    drawn = model.decode(found.samples, gaussian=found.gaussian)
    assert drawn.shape == (5, 7, *shape)
    decoded = model.decode(found.code, gaussian=found.gaussian)
    one_hot = torch.nn.functional.one_hot(found.code, k).float()
    torch.testing.assert_close(model.decode(one_hot, gaussian=found.gaussian), decoded)
    assert 0 <= decoded.min() < decoded.max() <= 1
    assert model.sample(3, generator=g).shape == (3, *shape)
    bound = model.bound(images, generator=g)
    assert bound.bound.shape == (7,)
    assert bool((bound.bound > 0).all())
    assert isinstance(model.model, torch.nn.Module)
    assert model.binarization in repr(model)


def test_the_most_probable_code_of_coupled_variables(coupled: Path) -> None:
    model = directmax.load(coupled, device="cpu")
    torch.manual_seed(1)
    for parameter in model.model.encoder.parameters():  # couplings that matter
        parameter.data.mul_(4)
    images = torch.rand(20, 8, 8).round()
    table = model.model.posterior(images.flatten(1)).log_prob_table()
    best = table.argmax(-1)
    bits = torch.stack([(best >> (3 - i)) & 1 for i in range(4)], -1)
    found = model.encode(images)
    assert torch.equal(found.code, bits)
    assert not torch.equal(found.code, found.probabilities.argmax(-1))


def test_bounds_are_those_of_evaluate(finished: Path) -> None:
    model = directmax.load(finished, device="cpu")
    test = split_images(model.config, load_images("digits"), "test")
    bound = model.bound(test)
    assert bound.num_samples is None
    expected = read(finished / "summary.json")["test"]["bound"]
    assert float(bound.bound.double().mean()) == pytest.approx(expected, rel=1e-6)


def test_images_of_any_shape_are_the_same(finished: Path) -> None:
    model = directmax.load(finished, device="cpu")
    rows = torch.rand(6, 64)
    same: list[Any] = [rows.view(6, 8, 8), rows.view(6, 1, 8, 8).double(), rows.view(6, 8, 8, 1)]
    same += [rows.view(6, 8, 8).numpy(), rows.tolist(), rows > 0.5]
    expected = model.encode(rows).probabilities
    for images in same:
        torch.testing.assert_close(model.encode(images).probabilities, expected)
    torch.testing.assert_close(model.encode(rows[0].view(8, 8)).probabilities, expected[:1])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(5, 7), r"^images must have shape \(N, 8, 8\), .* got \(5, 7\)$"),
        (torch.zeros(0, 8, 8), "^images must be at least one"),
        (torch.full((2, 64), 2.0), "^images must be from 0 to 1, or 8-bit"),
        (torch.full((2, 64), torch.nan), "^images must be from 0 to 1, or 8-bit"),
        (torch.full((2, 64), 7), "^images must be 8-bit"),
        (["a"], "^images must be a tensor or an array of numbers"),
        (None, "^images must be a tensor or an array of numbers"),
    ],
)
def test_images_that_do_not_fit(finished: Path, images: Any, words: str) -> None:
    model = directmax.load(finished, device="cpu")
    for call in (model.encode, model.bound):
        with pytest.raises((TypeError, ValueError), match=words):
            call(images)


@pytest.mark.parametrize(
    "z", [torch.tensor([10]), torch.tensor([[0, 1]]), torch.rand(2, 1, 10), torch.zeros(2, 10), "x"]
)
def test_codes_that_do_not_fit(finished: Path, z: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^(rows of )?(one-hot )?z must"):
        directmax.load(finished, device="cpu").decode(z)


def test_wrong_calls_of_a_trained_model(finished: Path, mixed: Path, attributes: Path) -> None:
    """One line that names the argument, or says what was expected."""
    draw = random.Random(0)
    drawn = {"generator": always(None)}
    load = partial(directmax.load, os.fsencode(mixed))
    calls = [Call("load", load, {"device": always("cpu")})]
    for run in (finished, mixed, attributes):
        model = directmax.load(run, device="cpu")
        images = partial(torch.zeros, 2, *model.images.shape)
        z = {"z": partial(torch.zeros, 2, model.config.variables, dtype=torch.int64)}
        wide = {"gaussian": partial(torch.zeros, 2, model.config.gaussian)}
        several = {"images": images, "num_samples": always(1), **drawn}
        calls += [
            Call("encode", model.encode, {**several, "progress": always(None)}),
            Call("bound", model.bound, several),
            Call("sample", model.sample, {"num_images": always(2), **drawn}),
            Call("decode", model.decode, z if run == finished else {**z, **wide}),
        ]
    for call in calls:
        call.function(**{name: make() for name, make in call.good.items()})
    wrong = [
        WrongCall(call, name, wrong_values(make(), draw))
        for call in calls
        for name, make in call.good.items()
        for _ in range(8)
    ]
    assert [found for each in wrong if (found := fault(each))] == []


def test_a_gaussian_that_is_no_number(mixed: Path) -> None:
    model = directmax.load(mixed, device="cpu")
    gaussian = torch.full((1, model.config.gaussian), torch.nan)
    with pytest.raises(ValueError, match="gaussian must be finite"):
        model.decode(torch.zeros(1, 1, dtype=torch.int64), gaussian=gaussian)


def test_a_folder_of_an_earlier_version(copy: Path) -> None:
    expected = directmax.load(copy, device="cpu").images
    record = read(copy / "config.json")
    assert record.pop("data")["shape"] == [8, 8]
    (copy / "config.json").write_text(json.dumps({**record, "version": 2}))
    found = directmax.load(copy, device="cpu").images
    assert (found.name, found.shape) == (expected.name, (8, 8))
    (copy / "config.json").write_text(json.dumps({**record, "data": {"shape": "wide"}}))
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        directmax.load(copy, device="cpu")


def test_without_the_packages_of_the_tool(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "directmax.tool.run.trained"
    if name in sys.modules:
        monkeypatch.delattr(name)
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jaxtyping", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"^directmax\.load needs pip install"):
        directmax.load(finished)


# Pictures and evaluation


@pytest.mark.usefixtures("no_data")
def test_pictures_without_images(mixed: Path, attributes: Path, here: Path) -> None:
    for run in (mixed, attributes):
        lacking = None
        if run == attributes:
            lacking = sample_run(run, here / "x.png", columns=3, device="cpu")
            assert lacking is not None
            assert "handed over in Python" in lacking
            with pytest.raises(ValueError, match="handed over in Python"):
                sample_run(run, here / "x.png", num_reconstructions=5, device="cpu")
        else:
            sample_run(run, here / "x.png", num_reconstructions=0, device="cpu")
        assert (here / "x.png").stat().st_size > 1000
    face = here / "face.png"
    from PIL import Image

    Image.new("RGB", (20, 30), "red").save(face)
    succeed("edit", attributes, face, "--set", "Hat=1", "--output", here / "e.png")


def test_the_order_of_classes_is_kept(mixed: Path, here: Path) -> None:
    copied = here / "copied"
    shutil.copytree(mixed, copied)
    summary = read(copied / "summary.json")
    assert sorted(summary.pop("classes")) == list(range(10))
    (copied / "summary.json").write_text(json.dumps(summary))  # as of an earlier version
    for run, name in ((mixed, "a.png"), (copied, "b.png")):
        sample_run(run, here / name, num_reconstructions=0, device="cpu")
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()


def test_other_data_must_fit(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = evaluate_run(finished, data="digits", splits=("test",), device="cpu")
    assert by_name == evaluate_run(finished, splits=("test",), device="cpu")
    assert "unknown data set" in refuse("evaluate", finished, "--data", "digitz")
    narrow = directmax.tool.data.ImageData.from_arrays(torch.rand(30, 4, 6))
    monkeypatch.setattr("directmax.tool.run.make.load_images", lambda *a, **k: narrow)
    assert refuse("evaluate", finished, "--data", "mnist") == (
        "the model is for images of 8×8, got images of 4×6"
    )


# Encode


def test_encode(finished: Path, here: Path) -> None:
    out = here / "codes.npz"
    succeed("encode", finished, "digits", "--output", out, "--samples", "2", "--device", "cpu")
    data = load_images("digits")
    with np.load(out, allow_pickle=False) as found:
        assert found["codes"].shape == (1797, 1)
        assert found["probabilities"].shape == (1797, 1, 10)
        assert found["samples"].shape == (2, 1797, 1)
        test = found["split"] == "test"
        assert np.array_equal(found["labels"][test], data.test.labels.numpy())
        codes = found["codes"][test]
    model = directmax.load(finished, device="cpu")
    images = data.test.images.view(-1, 8, 8)
    assert np.array_equal(model.encode(images).code.numpy(), codes)
    np.save(here / "x.npy", (images.numpy() * 255).astype(np.uint8))
    succeed("encode", finished, here / "x.npy", "--output", out, "--device", "cpu")
    with np.load(out, allow_pickle=False) as found:
        assert set(found) == {"codes", "probabilities"}
        assert np.array_equal(found["codes"], codes)


def test_encode_attributes(attributes: Path, here: Path) -> None:
    out = here / "codes.npz"
    np.savez(here / "x.npz", images=np.zeros((3, 16, 16, 3), np.uint8), labels=[1, 0, 1])
    succeed("encode", attributes, here / "x.npz", "--output", out)
    with np.load(out, allow_pickle=False) as found:
        assert found["codes"].shape == (3, 2)
        assert found["gaussian"].shape == (3, 4)
        assert found["labels"].tolist() == [1, 0, 1]


def test_what_a_trained_model_refuses(finished: Path) -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="device must be"):
        directmax.load(finished, device=wrong)
    model, images = directmax.load(finished, device=torch.device("cpu")), torch.zeros(2, 8, 8)
    for call in (model.encode, model.bound):
        with pytest.raises(TypeError, match="generator must be"):
            call(images, generator=wrong)
    with pytest.raises(TypeError, match="generator must be"):
        model.sample(2, generator=wrong)
    with pytest.raises(TypeError, match="progress must be"):
        model.encode(images, progress=wrong)


def test_encode_refuses(finished: Path, here: Path) -> None:
    np.save(here / "bad.npy", np.array([{}]))
    np.save(here / "wide.npy", np.zeros((2, 9, 9)))
    (here / "text.npy").write_text("no array")
    for source, words in (
        ("nothing.npy", "does not exist"),
        ("digit", "does not exist"),
        ("bad.npy", "bad.npy"),
        ("text.npy", "text.npy"),
        ("wide.npy", "the model is for images of 8×8"),
    ):
        assert words in refuse("encode", finished, source, "--output", "codes.npz")
    assert "must end in .npz" in refuse("encode", finished, "digits", "--output", "codes.npy")
    assert not list(here.glob("*.npz"))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.float64])
def test_zeros_and_ones_are_what_they_are(dtype: torch.dtype) -> None:
    """Of any type: a table of 0/1 in bytes is not a picture in which all is black."""
    bits = torch.tensor([[0, 1, 1, 0]])
    assert unit_images(bits.to(dtype), (2, 2)).tolist() == [[0, 1, 1, 0]]
    assert unit_images(torch.tensor([[0, 2, 0, 0]], dtype=torch.uint8), (2, 2))[0, 1] == 2 / 255


def test_a_picture_that_is_no_square(tmp_path: Path) -> None:
    """It is taken whole where it fits, and is not cut where it does not."""
    rows = torch.rand(40, 6, 4, generator=torch.Generator().manual_seed(0)).round()
    config = TrainConfig(epochs=1, batch_size=20, hidden=4, values=3)
    run = tmp_path / "run"
    train(config, run, images=ImageData.from_arrays(rows), device="cpu")
    for name, size in (("fits.png", (4, 6)), ("turned.png", (6, 4))):
        picture = rows[0].view(size[1], size[0]).mul(255).byte().numpy()
        Image.fromarray(picture).save(tmp_path / name)
    out = tmp_path / "codes.npz"
    succeed("encode", run, tmp_path / "fits.png", "--output", out, "--device", "cpu")
    expected = directmax.load(run, device="cpu").encode(rows[:1]).probabilities
    with np.load(out) as found:
        np.testing.assert_allclose(found["probabilities"], expected.numpy(), atol=1e-6)
    turned = ("encode", run, tmp_path / "turned.png", "--output", out, "--device", "cpu")
    assert "turned.png of 4×6" in refuse(*turned)
