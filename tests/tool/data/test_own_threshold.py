"""Images of one's own whose strokes are faint: half of the range would leave nothing of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import directmax
from command_line import read, refuse, succeed

FLAGS = ("--epochs", "1", "--hidden", "4", "--values", "3", "--device", "cpu")


@pytest.fixture
def faint(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    grey = np.where(draw.random((60, 8, 6)) < 0.2, 60, 0) + draw.integers(0, 9, (60, 8, 6))
    np.save(tmp_path / "faint.npy", grey.astype(np.uint8))
    return tmp_path / "faint.npy"


def test_a_run(faint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("directmax.tool.run.train.write_report", lambda *arguments: None)
    run = tmp_path / "run"
    out = succeed("train", "--data", faint, "--run-dir", run, *FLAGS).out
    threshold = read(run / "config.json")["config"]["threshold"]
    assert 8 / 255 < threshold < 60 / 255
    assert f"(--binarize threshold --threshold {threshold:g})" in out
    trained = directmax.load(run)
    assert f"threshold at {threshold:g}" in repr(trained)
    grey = torch.tensor(np.load(faint)[:5])
    binary = (grey >= 60).float()
    assert torch.equal(trained.encode(grey).probabilities, trained.encode(binary).probabilities)
    again = tmp_path / "again"
    succeed("train", "--data", faint, "--run-dir", again, *FLAGS, "--threshold", "0.5")
    assert "threshold" not in read(again / "config.json")["config"]
    assert directmax.load(again).encode(grey).code.unique().numel() == 1  # all black
    apart = succeed("compare", run, again, "--output", tmp_path / "compare.html").out
    assert f"compared apart, --threshold 0.5 and not {threshold:g}" in apart


def test_what_uses_none(faint: Path) -> None:
    for flags in (("--binarize", "dynamic"), ("--likelihood", "logistic")):
        line = refuse("train", "--data", faint, *flags, "--threshold", "0.3", *FLAGS)
        assert "--threshold" in line
    assert "--threshold must be" in refuse("train", "--data", faint, "--threshold", "2", *FLAGS)
