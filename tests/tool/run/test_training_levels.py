"""Pixels of 256 levels through the tool: what is chosen, files, a run with the real command."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import directmax
from command_line import main
from directmax.estimators import ESTIMATORS
from directmax.tool.config import TrainConfig
from directmax.tool.config.annealing import critical_weight_of_levels
from directmax.tool.config.build import build_model
from directmax.tool.config.train import shortest, stored_config
from directmax.tool.data.names import OWN


@pytest.mark.parametrize(
    ("given", "channels", "likelihood", "binarize"),
    [
        ({}, 1, "bernoulli", "threshold"),
        ({"binarize": "none"}, 1, "bernoulli", "none"),
        ({"likelihood": "gaussian"}, 1, "gaussian", "none"),
        ({}, 3, "logistic", "none"),
        ({"binarize": "none"}, 3, "logistic", "none"),
        ({"binarize": "dynamic"}, 3, "bernoulli", "dynamic"),
        ({"likelihood": "bernoulli"}, 3, "bernoulli", "threshold"),
        ({"model": "mixed"}, 3, None, "threshold"),
        ({"model": "attributes", "data": "celeba"}, 3, "gaussian", "threshold"),
    ],
)
def test_what_is_chosen_and_kept(
    given: dict[str, str], channels: int, likelihood: str | None, binarize: str
) -> None:
    """Files have what they had before; all else comes back from them."""
    config = TrainConfig(**given).resolve(1000, channels)  # type: ignore[arg-type]
    assert (config.likelihood, config.binarize) == (likelihood, binarize)
    assert dataclasses.replace(stored_config(config.to_dict()), epochs=1) == dataclasses.replace(
        config, epochs=1
    )
    if likelihood in ("bernoulli", None):
        assert config.to_dict()["likelihood"] == "gaussian"
    own = {} if config.model == "attributes" else {"data": OWN}
    config = dataclasses.replace(config, **own)
    again = shortest(config).resolve(1000, channels)
    assert (again.likelihood, again.binarize) == (likelihood, binarize)


@pytest.mark.parametrize(
    "given",
    [
        {"likelihood": "logistic", "binarize": "static"},
        {"likelihood": "logistic", "model": "mixed"},
        {"likelihood": "bernoulli", "model": "attributes", "data": "celeba"},
    ],
)
def test_what_does_not_go_together(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="--likelihood"):
        TrainConfig(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [30, 100])
def test_the_weight_at_which_codes_part(count: int) -> None:
    """Against all eigenvalues, with few images and with many."""
    images = torch.rand(count, 80, generator=torch.Generator().manual_seed(0))
    images[: count // 2] *= 0.5
    values = torch.linalg.eigvalsh(images.double().T.cov())
    expected = 80 * float(values[-1] / values.sum())
    assert critical_weight_of_levels(images) == pytest.approx(expected, rel=1e-6)
    assert critical_weight_of_levels(torch.full((5, 4), 0.5)) == 1


@pytest.mark.parametrize("name", [n for n, row in ESTIMATORS.items() if row.independent])
def test_every_estimator_trains_levels(name: str) -> None:
    """All that is learned has a gradient, also from what the prior says."""
    config = TrainConfig(estimator=name, variables=3, values=2, likelihood="logistic").resolve()
    model = build_model(config, (3, 2, 2))
    images = torch.rand(4, 12, generator=torch.Generator().manual_seed(0))
    terms, prior = model(images), model.prior_terms(images.mean(0))
    (terms.reconstruction + terms.kl).sum().backward()
    (prior.decoder + prior.encoder).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    for part in (model.encoder, model.decoder, model.pixels):
        assert all(bool(p.grad.any()) for p in part.parameters())


def test_a_folder_of_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained, continued, evaluated, encoded and decoded by the real command."""
    rng = np.random.default_rng(0)
    folder, run = tmp_path / "colours", str(tmp_path / "run")
    folder.mkdir()
    for number in range(60):
        colour = [(220, 30, 40), (30, 60, 200)][number % 2] + rng.normal(0, 5, (6, 5, 3))
        Image.fromarray(colour.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    flags = ["--data", str(folder), "--values", "4", "--batch-size", "12", "--device", "cpu"]
    assert main(["train", *flags, "--hidden", "16", "--epochs", "2", "--run-dir", run]) == 0
    assert "--likelihood logistic" in capsys.readouterr().out
    assert main(["train", "--resume", "--extend", "1", "--run-dir", run, "--device", "cpu"]) == 0
    assert main(["evaluate", run, "--splits", "test", "--device", "cpu"]) == 0
    trained = directmax.load(run, device="cpu")
    images = torch.rand(3, 6, 5, 3, generator=torch.Generator().manual_seed(0))
    bound = trained.bound(images)
    assert bound.nll is not None
    assert bool((bound.bound >= bound.nll - 1e-3).all())
    assert trained.decode(trained.encode(images).code).shape == (3, 3, 6, 5)
    assert (Path(run) / "report.html").exists()
