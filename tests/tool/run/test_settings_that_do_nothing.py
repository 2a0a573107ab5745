"""A setting that is accepted changes the result: every estimator, model, encoder and setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from disturbances import weights

from directmax.distributions import DEFAULT_MAX_STATES
from directmax.estimators import ESTIMATORS
from directmax.objectives import _candidates
from directmax.tool.config import TrainConfig
from directmax.tool.config.rules import ENUMERATED
from directmax.tool.config.settings import SETTINGS
from directmax.tool.data import ImageData
from directmax.tool.run import train as run
from settings_in_use import USED

MODELS: dict[str, dict[str, Any]] = {
    "one variable": {"values": 4},
    "levels": {"values": 4, "likelihood": "logistic"},
    "binary": {"variables": 3, "values": 2},
    "several": {"variables": 3, "values": 3},
    "convolutions": {"variables": 2, "values": 3, "network": "conv"},
    "mixed": {"model": "mixed", "values": 4},
    "labels": {"model": "mixed", "values": 4, "labels": 12},
    "pairwise": {"encoder": "pairwise", "variables": 3},
    "states": {"encoder": "pairwise", "variables": 3, "perturbation": "states"},
    "supermodular": {"encoder": "supermodular", "variables": 3},
    "subset": {"encoder": "subset", "variables": 4},
    "chain": {"encoder": "chain", "variables": 3, "values": 3},
    "matching": {"encoder": "matching", "variables": 3},
    "tree": {"encoder": "tree", "variables": 3},
}
BASE: dict[str, Any] = {"data": "own", "batch_size": 40, "hidden": 6}
SIZES = ("data", "model", "encoder", "network", "likelihood", "variables", "values", "epochs")
"""What the models above differ in, and how long they are trained."""
ELSEWHERE = {
    "attributes": "of another model",
    "image_size": "of images that are read",
    "solver": "all find the best",
    "precision": "may round alike",
    "patience": "of runs that stop early",
    "starts": "the first may be the best",
    "anneal_rate": "after 1,000 steps, below",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without reports, and where bfloat16 is worth it."""
    monkeypatch.setattr(run, "write_report", lambda *arguments: None)
    monkeypatch.setattr(_candidates, "fast_bfloat16", lambda device: True)


def result(images: ImageData, folder: Path, settings: dict[str, Any]) -> Any:
    summary = run.train(TrainConfig(**BASE | settings), folder, images=images, log=())
    return weights(folder), {split: summary[split] for split in ("validation", "test")}


def others(name: str, now: Any) -> list[Any]:
    """Values of a setting that are not the one it has."""
    each = SETTINGS[name]
    if each.choices:
        return [choice for choice in each.choices if choice != now]
    if each.kind == "bool":
        return [not now]
    value = USED.get(name, ({}, None))[1]
    return [value if value not in (None, now) else 1 if now in (None, "auto") else now + 1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("model", MODELS)
def test_what_is_accepted_counts(
    tmp_path: Path, images: ImageData, model: str, estimator: str
) -> None:
    common = {**MODELS[model], "estimator": estimator, "epochs": 3}
    try:
        config = TrainConfig(**BASE | common).resolve(len(images.train))
    except ValueError:
        pytest.skip("they do not go together")
    plain, number, nothing = result(images, tmp_path / "plain", common), 0, []
    for name in sorted(set(SETTINGS) - {*SIZES, *ELSEWHERE} - set(MODELS[model])):
        for value in others(name, getattr(config, name)):
            try:
                TrainConfig(**BASE | common | {name: value})
                other = result(images, tmp_path / str(number := number + 1), common | {name: value})
            except ValueError:
                continue  # refused
            if other == plain:
                nothing.append(f"{name}: {getattr(config, name)} and {value}")
    assert not nothing


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [name for name, row in ESTIMATORS.items() if row.anneals])
@pytest.mark.parametrize("start", [0.5, 0.1])
def test_what_falls(tmp_path: Path, images: ImageData, estimator: str, start: float) -> None:
    """Where the rate counts it changes what a run of a thousand steps becomes."""
    settings = {"estimator": estimator, str(ESTIMATORS[estimator].anneals): start}
    settings |= {"values": 4, "batch_size": 1, "epochs": 9}
    if start == 0.1:
        with pytest.raises(ValueError, match="--anneal-rate"):
            TrainConfig(anneal_rate=1e-3, **BASE | settings)
        return
    rates = [settings | {"anneal_rate": rate} for rate in (0.0, 1e-3)]
    one, other = (result(images, tmp_path / str(i), each) for i, each in enumerate(rates))
    assert one != other


def test_the_states_of_an_exact_bound() -> None:
    assert ENUMERATED == DEFAULT_MAX_STATES
    for size in ({"values": 10}, {"variables": 16, "values": 2}):
        with pytest.raises(ValueError, match="--eval-samples"):
            TrainConfig(eval_samples=7, **size)
    TrainConfig(eval_samples=7, variables=17, values=2)
    TrainConfig(eval_samples=7, variables=12, values=2, likelihood="logistic")
    TrainConfig(eval_samples=7, encoder="pairwise", variables=4)
