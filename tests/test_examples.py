"""The examples run and print what they promise."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ESTIMATORS = [
    "direct",
    "gumbel-softmax",
    "straight-through",
    "local-expectation",
    "exact",
    "blind",
]


@pytest.fixture
def hard_attention() -> Iterator[ModuleType]:
    name = "example_hard_attention"
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / "hard_attention.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    with torch.random.fork_rng():
        specification.loader.exec_module(module)
        yield module
    del sys.modules[name]


def rows(output: str) -> dict[str, list[str]]:
    """First word of a row of the table → its other cells."""
    cells = [line.replace("±", " ").replace("%", " ").split() for line in output.splitlines()]
    return {row[0]: row[1:] for row in cells if row and row[0] in ESTIMATORS}


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
