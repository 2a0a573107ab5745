"""Attributes that are made of columns of words and numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import refuse, succeed
from directmax.tool.data import DataError, load_attributes

GROUPS = ["0-2", "20-29", "more than 70"]
YEARS = [str(3 * i) if i % 5 else "" for i in range(40)]


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    rows = ["file,age,gender,years,a=b"]
    for i in range(40):
        Image.new("RGB", (9, 8), (6 * i, 3 * i, 90)).save(folder / f"{i}.png")
        gender = "?" if i % 8 == 7 else ["Male", "Female"][i % 2]
        rows.append(f"{i}.png,{GROUPS[i % 3]},{gender},{YEARS[i]},{i % 2}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder


def values_of(folder: Path, attribute: str) -> list[int]:
    """Of all images, in their order; they are drawn for parts, but their colours tell."""
    data = load_attributes(folder, [attribute], size=8)
    found = {}
    for part in (data.train, data.validation, data.test):
        for row, image in enumerate(part.images):
            found[int(image[0, 4, 4]) // 6] = int(part.attributes[row, 0])
    return [found[i] for i in range(40)]


def test_words(faces: Path) -> None:
    expected = [-1 if i % 8 == 7 else i % 2 for i in range(40)]
    assert values_of(faces, "gender=Female") == expected
    assert values_of(faces, "age=20-29") == [int(i % 3 == 1) for i in range(40)]
    assert values_of(faces, "age=more than 70") == [int(i % 3 == 2) for i in range(40)]
    assert values_of(faces, "a=b") == [i % 2 for i in range(40)]  # a column that is called so


@pytest.mark.parametrize(
    ("ends", "low", "high"),
    [("30..60", 30, 60), ("30..", 30, np.inf), ("..30", -np.inf, 30), ("-1.5..9e0", -1.5, 9)],
)
def test_ranges(faces: Path, ends: str, low: float, high: float) -> None:
    expected = [-1 if not year else int(low <= int(year) <= high) for year in YEARS]
    assert values_of(faces, f"years={ends}") == expected


def test_what_is_refused(faces: Path) -> None:
    for attribute, error, message in (
        ("gender", DataError, "Male', expected 1 or 0; .*--attributes gender=Male"),
        ("gender=female", DataError, "gender is never 'female'; expected one of Male, Female, or"),
        ("age=20..29", DataError, "line 2: age of 0.png is '0-2', expected a number"),
        ("years=60..30", ValueError, "has no number: its ends are turned"),
        ("years=..", DataError, "never '..'"),
        ("sex=Male", ValueError, "unknown attribute .sex.: choose from age, gender, years, a=b"),
    ):
        with pytest.raises(error, match=message):
            load_attributes(faces, [attribute], size=8)


def test_a_run(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("directmax.tool.run.train.write_report", lambda *arguments: None)
    run, names = tmp_path / "run", ("gender=Female", "years=30..60")
    flags = ("--model", "attributes", "--image-size", 8, "--labels", 8, "--epochs", 1)
    small = ("--hidden", 4, "--gaussian", 2, "--device", "cpu", "--run-dir", run)
    out = succeed("train", "--data", faces, *flags, *small, "--attributes", *names).out
    assert "of which gender=Female, years=30..60" in out
    assert "not known: gender=Female of 5, years=30..60 of 8 images" in out
    one = ("edit", run, faces / "3.png", "--output", tmp_path / "x.png", "--set")
    assert "gender=Female: " in succeed(*one, "gender=Female=0", "years=30..60=1").out
    assert "NAME=0 or NAME=1" in refuse(*one, "gender=Female")
