"""The examples run and print what they promise."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from directmax.data import Split

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ESTIMATORS = [
    "direct",
    "gumbel-softmax",
    "straight-through",
    "local-expectation",
    "exact",
    "blind",
]
DENOISERS = ["logistic", "independent", "direct", "clamped-argmax"]


def load(name: str) -> Iterator[ModuleType]:
    """The example as a module; torch's random state is as before afterwards."""
    module_name = f"example_{name}"
    specification = importlib.util.spec_from_file_location(module_name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[module_name] = module  # dataclasses look their module up
    with torch.random.fork_rng():
        specification.loader.exec_module(module)
        yield module
    del sys.modules[module_name]


@pytest.fixture
def hard_attention() -> Iterator[ModuleType]:
    yield from load("hard_attention")


@pytest.fixture
def denoising() -> Iterator[ModuleType]:
    yield from load("denoising")


def rows(output: str) -> dict[str, list[str]]:
    """First word of a row of the table → its other cells."""
    cells = [line.replace("±", " ").replace("%", " ").split() for line in output.splitlines()]
    names = {*ESTIMATORS, *DENOISERS, "noisy"}
    return {row[0]: row[1:] for row in cells if row and row[0] in names}


def test_every_estimator_has_a_row(hard_attention, capsys, tmp_path):
    picture = tmp_path / "glimpses.png"
    flags = ["--epochs", "1", "--seeds", "0", "--picture", str(picture)]
    assert hard_attention.main([*flags, "--estimators", *ESTIMATORS]) == 0
    table = rows(capsys.readouterr().out)
    assert list(table) == ESTIMATORS
    # A sample, its value again and 8 changes without gradient; one relaxed sample; all 9 states.
    evaluations = {name: int(cells[2]) for name, cells in table.items()}
    assert evaluations["direct"] == evaluations["local-expectation"] == 10
    assert evaluations["gumbel-softmax"] == evaluations["straight-through"] == 1
    assert evaluations["exact"] == evaluations["blind"] == 9
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_choice_is_learned(hard_attention, capsys):
    flags = ["--epochs", "40", "--seeds", "0", "--estimators", "direct", "exact", "blind"]
    assert hard_attention.main(flags) == 0
    accuracy = {name: float(cells[0]) for name, cells in rows(capsys.readouterr().out).items()}
    assert min(accuracy["direct"], accuracy["exact"]) > 90 > 75 > accuracy["blind"]


def test_the_same_seed_gives_the_same_result(hard_attention, capsys):
    tables = []
    for _ in range(2):
        hard_attention.main(["--epochs", "1", "--seeds", "3", "--estimators", "direct"])
        tables.append(rows(capsys.readouterr().out)["direct"][:3])
    assert tables[0] == tables[1]


def test_places_hold_the_image_and_nothing_else(hard_attention):
    split = hard_attention.Split(torch.rand(50, 64), torch.arange(50))
    placed = hard_attention.place(split, (8, 8), seed=0)
    model = hard_attention.HardAttention((8, 8), 10)
    windows = model.glimpses(placed.images)  # (50, 9, 64)
    assert placed.images.shape == (50, 256)
    assert torch.allclose(placed.images.sum(-1), split.images.sum(-1))
    same = (windows == split.images.unsqueeze(1)).all(-1)
    assert (same.sum(-1) == 1).all()
    assert same.any(0).all()  # all nine places occur


def test_a_misspelt_estimator_is_one_line(hard_attention, capsys):
    assert hard_attention.main(["--estimators", "dirct"]) == 2
    assert capsys.readouterr().err.startswith("hard_attention: unknown estimator dirct: choose")


def test_every_denoiser_has_a_row(denoising, capsys, tmp_path, monkeypatch):
    data = denoising.load_images("digits")
    few = dataclasses.replace(data, train=Split(data.train.images[:100], data.train.labels[:100]))
    monkeypatch.setattr(denoising, "load_images", lambda name: few)
    picture = tmp_path / "restored.png"
    flags = ["--epochs", "1", "--seeds", "0", "--picture", str(picture)]
    assert denoising.main([*flags, "--rows", *DENOISERS]) == 0
    table = rows(capsys.readouterr().out)
    assert list(table) == ["noisy", *DENOISERS]
    assert all(0.6 < float(cells[0]) < 0.8 for cells in table.values())
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_couplings_help(denoising, capsys):
    assert denoising.main(["--epochs", "15", "--seeds", "0"]) == 0
    overlap = {name: float(cells[0]) for name, cells in rows(capsys.readouterr().out).items()}
    assert overlap["noisy"] < overlap["logistic"] < overlap["direct"] - 0.02
    assert overlap["independent"] < overlap["direct"] - 0.02


def test_the_same_seed_restores_the_same(denoising, capsys):
    tables = []
    flags = ["--epochs", "1", "--seeds", "3", "--rows", "direct", "--network", "image"]
    for _ in range(2):
        denoising.main(flags)
        tables.append(rows(capsys.readouterr().out)["direct"][0])
    assert tables[0] == tables[1]


def test_only_neighbours_are_coupled(denoising):
    q = denoising.Restorer("pixel", coupled=True)(torch.ones(2, 64))
    first, second = torch.triu_indices(64, 64, 1)[:, q.pairwise[0] != 0]
    assert len(first) == 2 * 8 * 7 + 2 * 7 * 7  # along rows and columns, and both diagonals
    assert ((first // 8 - second // 8).abs() <= 1).all()
    assert ((first % 8 - second % 8).abs() <= 1).all()
    assert (q.pairwise >= 0).all()


def test_overlap_counts_pixels(denoising):
    clean = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    restored = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]])
    assert torch.allclose(denoising.overlap(restored, clean), torch.tensor([[1 / 3, 1.0]]))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows", "logistc"], "unknown row logistc: choose from logistic"),
        (["--network", "pixels"], "unknown network pixels: choose from pixel, image"),
        (["--flips", "2"], "--flips must be between 0 and 1, got 2.0"),
    ],
)
def test_bad_settings_of_denoising_are_one_line(denoising, capsys, flags, message):
    assert denoising.main(flags) == 2
    assert capsys.readouterr().err.startswith(f"denoising: {message}")
