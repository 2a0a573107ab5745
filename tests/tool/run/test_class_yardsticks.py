"""What is simpler than the mixed model, beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from command_line import read, succeed
from directmax.tool.run.class_yardsticks import class_yardsticks, worse_than_simple

DRAW = torch.Generator().manual_seed(0)


def clouds(count: int, shares: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of two classes, the second with more ones; they overlap."""
    labels = torch.multinomial(torch.tensor(shares), count, replacement=True, generator=DRAW)
    p = torch.where(labels[:, None] == 1, 0.6, 0.4).expand(count, 8)
    return torch.bernoulli(p, generator=DRAW), labels


def test_shares_of_the_labels_are_corrected() -> None:
    """As many of both are labelled, one in ten is of the second class."""
    known, images, labels = [], {}, {}
    for split in ("validation", "test"):
        images[split], labels[split] = clouds(2000, (0.9, 0.1))
    rows, classes = clouds(400, (0.5, 0.5))
    images["labelled"], labels["labelled"] = rows, classes
    for shares in ((0.5, 0.5), (0.9, 0.1)):
        found = class_yardsticks(images, labels, torch.tensor(shares))
        known.append(found["regression"]["accuracy"])
    assert known[0] < 0.8
    assert known[1] > 0.88
    labels["labelled"] = torch.zeros_like(classes)
    assert class_yardsticks(images, labels, torch.tensor([0.9, 0.1])) == {}
    labels["labelled"] = 2 * classes  # class 1 has no label: its images are wrong
    found = class_yardsticks(images, labels, torch.tensor([0.8, 0.1, 0.1]))
    assert found["regression"]["accuracy"] == pytest.approx(0.9, abs=0.03)


def test_a_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("directmax.tool.run.train.write_report", lambda *arguments: None)
    flags = ("--model", "mixed", "--labels", "40", "--epochs", "1", "--no-groups", "--hidden", "8")
    out = succeed("train", *flags, "--device", "cpu", "--run-dir", tmp_path).out
    summary = read(tmp_path / "summary.json")
    accuracy = summary["yardsticks"]["regression"]["accuracy"]
    assert accuracy > 0.6
    words = " ".join(out.split())
    assert f"Logistic regression on the labelled images: {100 * accuracy:.2f} % of the" in words
    line = worse_than_simple(summary)
    assert line in summary["advice"]
    assert line in words
    summary["test"]["accuracy"] = 1.0
    assert not worse_than_simple(summary)
