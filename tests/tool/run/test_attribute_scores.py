"""Scores, calibration and yardsticks of attributes, some of which are not known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import minimize

from command_line import read, succeed
from directmax.tool.config import TrainConfig
from directmax.tool.data import AttributeData, AttributeSplit, ImagesInMemory, labelled_rows
from directmax.tool.run.attribute_scores import score_sums, scores_of
from directmax.tool.run.attribute_yardsticks import attribute_advice, yardsticks
from directmax.tool.run.calibration import RIDGE, fitted_calibration


def test_scores_are_those_by_hand() -> None:
    p = torch.tensor([[0.95], [0.92], [0.15], [0.55], [0.3]])
    labels = torch.tensor([[1], [0], [0], [1], [-1]])
    parts = [score_sums(p[:2], labels[:2]), score_sums(p[2:], labels[2:])]
    found = scores_of(sum(parts[1:], parts[0]), ["Hat"])["Hat"]
    assert (found["accuracy"], found["balanced"], found["majority"]) == (0.75, 0.75, 0.5)
    expected = -np.log([0.95, 0.08, 0.85, 0.55]).mean()
    assert found["cross_entropy"] == pytest.approx(expected)
    error = (2 * abs(0.935 - 0.5) + 0.15 + 0.45) / 4
    assert found["calibration_error"] == pytest.approx(error)
    assert [row[2] for row in found["reliability"]] == [1, 1, 2]
    assert scores_of(score_sums(p, torch.full((5, 1), -1)), ["Hat"]) == {}


def test_calibration_is_the_optimum() -> None:
    g = torch.Generator().manual_seed(0)
    odds = 6 * torch.randn(400, 2, generator=g, dtype=torch.float64)
    labels = (torch.rand(400, 2, generator=g) < (odds / 3 - 1).sigmoid()).long()
    labels[:50, 0] = -1
    found = fitted_calibration(odds, labels).T
    for column, parts in enumerate(found.tolist()):
        known = labels[:, column] >= 0
        x, y = odds[known, column].numpy(), labels[known, column].numpy()

        def loss(w: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> float:
            z = w[1] * np.logaddexp(0, x) - w[0] * np.logaddexp(0, -x) + w[2]
            ridge = RIDGE / 2 * ((w[0] - 1) ** 2 + (w[1] - 1) ** 2 + w[2] ** 2)
            return float((np.logaddexp(0, z) - y * z).sum() + ridge)

        best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-6}).x
        np.testing.assert_allclose(parts, best, atol=1e-3)
    wrong = fitted_calibration(odds, (odds < 0).long())
    assert float(wrong[:2].max()) == 0  # never the other way round


def test_labelled_images_have_all_combinations_as_often_as_there_are() -> None:
    g = torch.Generator().manual_seed(0)
    attributes = torch.cat(
        [
            torch.tensor([[a, b]]).expand(count, 2)
            for a, b, count in ((0, 0, 50), (1, 0, 3), (1, 1, 20))
        ]
    )
    rows = labelled_rows(attributes, 30, g)
    assert len(set(rows.tolist())) == 30
    few = [labelled_rows(attributes, 1, g).item() for _ in range(20)]
    assert {tuple(attributes[row].tolist()) for row in few} == {(0, 0), (1, 0), (1, 1)}
    drawn = [tuple(bits) for bits in attributes[rows].tolist()]
    assert drawn.count((1, 0)) == 3  # all of them
    assert abs(drawn.count((0, 0)) - drawn.count((1, 1))) <= 1
    assert sorted(labelled_rows(attributes, 73, g).tolist()) == list(range(73))
    with pytest.raises(ValueError, match="--labels 74 is more than the 73 training images"):
        labelled_rows(attributes, 74, g)


def test_labels_are_drawn_by_the_seed() -> None:
    attributes = torch.zeros(50, 1, dtype=torch.int64)
    one, same, other = (
        labelled_rows(attributes, 5, torch.Generator().manual_seed(seed)).tolist()
        for seed in (0, 0, 1)
    )
    assert one == same != other


def test_images_without_labels_are_not_drawn() -> None:
    attributes = torch.tensor([[-1, -1]] * 20 + [[1, -1]] * 5 + [[0, 1]] * 5)
    rows = labelled_rows(attributes, 10, torch.Generator().manual_seed(0))
    assert sorted(rows.tolist()) == list(range(20, 30))
    with pytest.raises(ValueError, match=r"11 is more than the 10 .* anything is known"):
        labelled_rows(attributes, 11, torch.Generator())


def test_yardsticks_learn_what_is_plain_to_see() -> None:
    """Upright or lying stripes, fading to a side; one image in four is unlabelled."""
    g = torch.Generator().manual_seed(0)
    truth = torch.randint(2, (160, 2), generator=g)
    stripes = (torch.arange(16) % 4 < 2).float() * 200
    lying, left = truth.T[..., None, None] > 0
    images = torch.where(lying, stripes[None, :, None], stripes[None, None])
    images = images * torch.where(left == (torch.arange(16) < 8), 1.0, 0.3)
    images = (images + 50 * torch.rand(160, 16, 16, generator=g)).to(torch.uint8).unsqueeze(1)
    labels = truth.clone()
    labels[::4] = -1
    split = AttributeSplit(ImagesInMemory(images), labels)
    data = AttributeData("stripes", ("Lying", "Left"), (1, 16, 16), split, split, split, "")
    settings = {"data": "celeba", "model": "attributes", "attributes": ("Lying", "Left")}
    settings |= {"labels": 40}
    config = TrainConfig(**settings, image_size=16).resolve()
    from directmax.tool.config.build import build_attribute_model

    rows = labelled_rows(labels, 40, g)
    model = build_attribute_model(config, data.shape)
    found = yardsticks(config, data, model, rows, torch.zeros(4), distortion=0.5, steps=40)
    assert {name: each["Lying"]["accuracy"] for name, each in found.items()} == {
        "regression": 1.0,
        "network": 1.0,
    }
    assert found["regression"]["Left"]["balanced"] > 0.9
    assert found["regression"]["Left"]["mirrored"] < 0.1
    summary = {"test": {}, "yardsticks": {"regression": found["regression"]}}
    assert attribute_advice(summary, symmetric=False) == []
    (line,) = attribute_advice(summary)
    assert line.startswith("Left tells left from right: logistic regression on")
    assert found["network"]["Left"]["accuracy"] < 0.9
    config = TrainConfig(**settings, image_size=16, symmetric=False).resolve()
    assert not config.mirrored
    model = build_attribute_model(config, data.shape)
    found = yardsticks(config, data, model, rows, torch.zeros(4), distortion=0.5, steps=40)
    assert found["network"]["Left"]["accuracy"] > 0.95


def test_a_run_on_photographs_of_ones_own(tmp_path: Path) -> None:
    """One table of any name, values that are not known, a report and a judgement at the end."""
    draws = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    lines = ["image,Lying,age"]
    for index in range(60):
        lying = index % 2
        picture = draws.integers(0, 99, (16, 20), dtype=np.uint8)
        picture[(np.arange(16) // 3 % 2 == 0) if lying else slice(None)] += 100
        Image.fromarray(picture).save(tmp_path / "photos" / f"{index}.png")
        lines.append(f"{index}.png,{'' if index % 5 == 0 else lying},{index}")
    (tmp_path / "photos" / "list.csv").write_text("\n".join(lines))
    words = ["--image-size", "12", "--gaussian", "3", "--hidden", "8", "--batch-size", "24"]
    words += ["--model", "attributes", "--attributes", "Lying", "--labels", "12", "--epochs", "1"]
    folder, data = tmp_path / "run", tmp_path / "photos"
    done = succeed("train", "--device", "cpu", "--data", data, *words, "--run-dir", folder)
    assert "majority" in done.out
    summary = read(folder / "summary.json")
    assert set(summary["test"]["scores"]) == {"Lying"}
    assert (folder / "report.html").exists()
    printed = json.loads(succeed("evaluate", folder, "--device", "cpu", "--json").out)
    assert printed["test"] == summary["test"]
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["train"]["bound"] == pytest.approx(line["validation"]["bound"], rel=0.2)
