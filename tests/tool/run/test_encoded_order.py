"""Codes of a table with a column of parts: in the order of its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
