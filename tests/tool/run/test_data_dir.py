"""A run knows where the data set lay that it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import drawn_faces
from command_line import read, refuse, succeed

FLAGS = (
    *("train", "--data", "celeba", "--model", "attributes", "--image-size", "8"),
    *("--labels", "8", "--gaussian", "2", "--hidden", "4", "--batch-size", "16"),
    *("--epochs", "1", "--workers", "0", "--device", "cpu"),
)


@pytest.mark.usefixtures("no_report")
def test_nothing_asks_for_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the folder has moved, or another is given."""
    monkeypatch.delenv("DIRECTMAX_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    drawn_faces.write(tmp_path / "faces", 40, seed=1, processes=1)
    run = tmp_path / "run"
    succeed(*FLAGS, "--data-dir", "faces", "--run-dir", run)
    assert read(run / "config.json")["data_dir"] == str(tmp_path / "faces")

    monkeypatch.chdir("/")
    found = json.loads(succeed("evaluate", run, "--json").out)
    assert found["test"] == read(run / "summary.json")["test"]
    succeed("sample", run, "--output", tmp_path / "faces.png")
    succeed("encode", run, "celeba", "--output", tmp_path / "codes.npz")
    succeed("train", "--resume", "--extend", "1", "--workers", "0", "--run-dir", run)

    (tmp_path / "faces").rename(tmp_path / "moved")
    assert "CelebA is in none of" in refuse("evaluate", run)
    succeed("evaluate", run, "--data-dir", tmp_path / "moved")


@pytest.mark.usefixtures("no_report")
def test_a_record_that_is_no_path_is_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    succeed("train", "--epochs", "1", "--hidden", "4", "--device", "cpu", "--run-dir", run)
    record = read(run / "config.json")
    assert "data_dir" not in record  # none was given
    (run / "config.json").write_text(json.dumps(record | {"data_dir": [1]}))
    assert "config.json is damaged" in refuse("evaluate", run)
