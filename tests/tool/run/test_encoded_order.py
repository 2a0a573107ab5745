"""Codes of a table with a column of parts: in the order of its rows."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from command_line import succeed

TINY = ("--device", "cpu", "--epochs", "1", "--batch-size", "8", "--hidden", "4", "--values", "3")


def test_rows_keep_their_places(tmp_path: Path) -> None:
    """Training rows stood first, so that the codes beside the table belonged to other rows."""
    bits = np.random.default_rng(0).integers(0, 2, (24, 6))
    parts = ["test", "train", "valid", "train"]
    rows = [f"{','.join(map(str, row))},{parts[i % 4]}" for i, row in enumerate(bits)]
    whole, plain = tmp_path / "a.csv", tmp_path / "plain.npy"
    whole.write_text("\n".join(["a,b,c,d,e,f,split", *rows]))
    np.save(plain, bits)
    run, output = tmp_path / "run", tmp_path / "codes.npz"
    succeed("train", "--data", whole, "--run-dir", run, *TINY)
    succeed("encode", run, plain, "--output", output)
    expected = np.load(output)["probabilities"]
    succeed("encode", run, whole, "--output", output, "--samples", 2)
    found = np.load(output)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    assert found["split"].tolist() == ["test", "train", "validation", "train"] * 6
    assert found["samples"].shape == (2, 24, 1)


def test_images_of_a_folder_are_named(tmp_path: Path) -> None:
    """Which code was whose could not be said."""
    folder = tmp_path / "images"
    for number in range(12):
        path = folder / ("train" if number % 4 else "test") / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((5, 7), 20 * number, np.uint8)).save(path)
    run, output = tmp_path / "run", tmp_path / "codes"
    succeed("train", "--data", folder, "--run-dir", run, *TINY)
    succeed("encode", run, folder, "--output", f"{output}.npz")
    files = np.load(f"{output}.npz")["files"].tolist()
    assert sorted(files) == [
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))
    ]
    found = np.load(f"{output}.npz")["probabilities"]
    succeed("encode", run, folder / files[3], "--output", f"{output}.npz")
    np.testing.assert_allclose(np.load(f"{output}.npz")["probabilities"][0], found[3], atol=1e-5)
    succeed("encode", run, folder, "--output", f"{output}.csv")
    with Path(f"{output}.csv").open(newline="") as text:
        assert [row["files"] for row in csv.DictReader(text)] == files
