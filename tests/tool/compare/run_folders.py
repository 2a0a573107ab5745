"""Folders of runs as training leaves them, written at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from directmax.tool.config import TrainConfig

MACHINE = {"platform": "here", "processor": "x86_64", "threads": 1, "cuda": None}


def write_run(
    folder: Path,
    bound: float,
    *,
    finished: bool = True,
    seconds: float = 2.0,
    accuracy: float | None = None,
    images: dict[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """A run of three epochs that ends with a bound."""
    config = TrainConfig(**{"epochs": 3, "starts": 1, "estimator": "direct", **settings}).resolve()
    folder.mkdir(parents=True)
    record = {"version": 2, "config": config.to_dict(), "digest": config.digest()}
    if images:
        record["images"] = images
    (folder / "config.json").write_text(json.dumps(record))
    metrics: dict[str, Any] = {
        "bound": bound, "reconstruction": bound - 2, "kl": 2.0, "nll": bound - 1,
        "num_samples": None, "authors": None, "valid": True,
    }  # fmt: skip
    if accuracy is not None:
        metrics["accuracy"] = accuracy
    lines = [
        {
            "epoch": epoch,
            "train": {"bound": bound, "reconstruction": bound - 2, "kl": 2.0},
            "validation": {**metrics, "bound": bound + 3 - epoch},
            "seconds": seconds,
        }
        for epoch in (1, 2, 3)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = {
        "validation": metrics, "test": {**metrics, "bound": bound + 1}, "best_epoch": 3,
        "epochs": 3, "stopped_early": False, "seconds_per_epoch": seconds, "seed": config.seed,
        "versions": {"directmax": "1", "torch": "2"}, "machine": MACHINE, "git_commit": "abc",
    }  # fmt: skip
    if finished:
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder
