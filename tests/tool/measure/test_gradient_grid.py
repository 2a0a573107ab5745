"""Which settings are measured, with which seeds, and what learns before."""

from __future__ import annotations

from typing import Any

import torch

from directmax.laboratory import Setting
from directmax.tool.config import TrainConfig
from directmax.tool.measure.gradient_grid import build, setting_seed, settings_of
from directmax.tool.measure.gradient_model import load_model
from directmax.tool.measure.gradient_request import GradientRequest


def request(**settings: Any) -> GradientRequest:
    """With one value of everything."""
    one: dict[str, Any] = {"epsilons": (1.0,), "temperatures": (0.5,), "sides": ("one",)}
    return GradientRequest(**{**one, "images": 3, "hidden": 8, **settings})


def test_a_request_as_a_dictionary() -> None:
    for asked in (request(), request(estimators=("direct",), data="mnist")):
        assert GradientRequest.from_dict(asked.to_dict()) == asked
    assert GradientRequest().to_dict()["estimators"] == []  # all


def test_settings_of_the_runs_own_estimator_do_not_matter() -> None:
    run = TrainConfig(estimator="direct", rao_blackwell=True, epsilon=0.3).resolve()
    plain = TrainConfig(estimator="direct").resolve()
    assert settings_of(run, request()) == settings_of(plain, request())


def test_settings() -> None:
    grid, notes = settings_of(
        TrainConfig().resolve(), request(epsilons=(0.1, "auto"), sides=("one", "two"))
    )
    labels = [setting.label for setting in grid]
    assert len(set(labels)) == len(labels)
    direct = [label for label in labels if label.startswith("direct")]
    assert direct == [
        "direct ε=0.1",
        "direct ε=auto",
        "direct two-sided ε=0.1",
        "direct two-sided ε=auto",
    ]
    config = grid[Setting("direct two-sided", epsilon=0.1)]
    assert (config.epsilon, config.two_sided, config.num_samples) == (0.1, True, 1)
    assert config.anneal_rate == 0
    assert len(notes) == 3
    only, _ = settings_of(TrainConfig().resolve(), request(sides=("two",), estimators=("direct",)))
    assert [setting.label for setting in only] == ["direct two-sided ε=1"]
    summed, _ = settings_of(
        TrainConfig().resolve(),
        request(estimators=("direct", "gumbel-softmax"), rao_blackwell=True),
    )
    assert [setting.label for setting in summed] == [
        "direct ε=1",
        "direct Rao-Blackwell ε=1",
        "gumbel-softmax τ=0.5",
        "gumbel-softmax straight-through τ=0.5",
    ]


def test_seeds() -> None:
    settings = [Setting("direct", epsilon=1.0), Setting("direct", epsilon=2.0), Setting("exact")]
    seeds = {
        setting_seed(seed, setting, purpose)
        for seed in (0, 1)
        for setting in settings
        for purpose in ("draws", "adapt")
    }
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_adapting() -> None:
    model = load_model(request(), device="cpu")
    for name, learns in (("rebar", True), ("relax", True), ("direct", False)):
        estimator = build(TrainConfig(estimator=name).resolve())
        before = [p.detach().clone() for p in estimator.parameters()]
        model.adapt(estimator, 3, seed=0)
        assert estimator.step == (3 if learns else 0)
        moved = [not torch.equal(p, q) for p, q in zip(estimator.parameters(), before, strict=True)]
        assert any(moved) == learns
    mean = build(TrainConfig(estimator="score-function", num_samples=1).resolve())
    model.adapt(mean, 3, seed=0)
    assert mean.step == 3
    assert mean.latest()["baseline"] > 0
    assert all(parameter.grad is None for parameter in model.vae.parameters())
