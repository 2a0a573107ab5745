"""Codes as a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import drawn_faces
from command_line import refuse, succeed

SMALL = ("--epochs", "1", "--hidden", "4", "--device", "cpu")


@pytest.fixture(autouse=True)
def _no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("directmax.tool.run.train.write_report", lambda *arguments: None)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def both(run: Path, source: Any, folder: Path, *flags: str) -> tuple[list[dict[str, str]], Any]:
    for end in ("csv", "npz"):
        succeed("encode", run, source, "--output", folder / f"codes.{end}", *flags)
    return read(folder / "codes.csv"), np.load(folder / "codes.npz")


def test_several_variables(tmp_path: Path) -> None:
    succeed("train", "--variables", "3", "--values", "4", "--run-dir", tmp_path, *SMALL)
    rows, arrays = both(tmp_path, "digits", tmp_path)
    assert list(rows[0]) == [
        *("z1", "z2", "z3"),
        *(f"probability of z{i}" for i in (1, 2, 3)),
        *("labels", "split"),
    ]
    for row, code, p in zip(rows, arrays["codes"], arrays["probabilities"], strict=True):
        assert [int(row[f"z{i}"]) for i in (1, 2, 3)] == code.tolist()
        assert float(row["probability of z2"]) == pytest.approx(p[1, code[1]], rel=1e-5)
    assert "a table has one code an image" in refuse(
        "encode", tmp_path, "digits", "--samples", 2, "--output", tmp_path / "x.csv"
    )
    assert "must end in .npz or .csv" in refuse(
        "encode", tmp_path, "digits", "--output", tmp_path / "x.txt"
    )
    assert not (tmp_path / "x.csv").exists()


def test_classes_have_names(tmp_path: Path) -> None:
    lines = [f"{['elm', 'a,b'][i % 2]},{i % 2},{i % 3},{i}" for i in range(60)]
    for name, kind in (("a", "elm"), ("b", "fir")):
        text = "class,on,few,age\n" + "\n".join(lines).replace("elm", kind)
        (tmp_path / f"{name}.csv").write_text(text.replace("a,b", '"a,b"'))
    run = tmp_path / "run"
    flags = ("--model", "mixed", "--labels", "6", "--no-groups", "--run-dir", run)
    succeed("train", "--data", tmp_path / "a.csv", *flags, *SMALL)
    rows, arrays = both(run, tmp_path / "b.csv", tmp_path)
    assert {row["class"] for row in rows} <= {"elm", "a,b"}
    assert [["a,b", "elm"][code] for code in arrays["codes"][:, 0]] == [x["class"] for x in rows]
    assert {row["labels"] for row in rows} == {"", "a,b"}  # the model has no fir


def test_attributes_by_name(tmp_path: Path) -> None:
    drawn_faces.write(tmp_path / "data", 40, seed=1, processes=1)
    place = ("--data-dir", tmp_path / "data")
    flags = ("--data", "celeba", "--model", "attributes", "--labels", "8", "--image-size", "8")
    size = ("--batch-size", "16")
    run = tmp_path / "run"
    succeed("train", *flags, "--gaussian", "2", "--run-dir", run, *place, *size, *SMALL)
    rows, arrays = both(run, "celeba", tmp_path, "--data-dir", str(tmp_path / "data"))
    found = [[int(row[name]) for name in ("Eyeglasses", "Smiling", "Male")] for row in rows]
    assert found == arrays["codes"].tolist()
