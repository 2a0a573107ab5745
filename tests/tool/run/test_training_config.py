"""The configuration: bounds, presets, and what is stored."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directmax.tool.config.rules import SOLVER_NAMES
from directmax.tool.config.train import PRESETS, TrainConfig
from directmax.tool.run.randomness import Stream, derive_seed

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("variables", (-1, -2)),
        ("values", (1, -1)),
        ("hidden", (-1,)),
        ("num_samples", (-1,)),
        ("epochs", (-1,)),
        ("batch_size", (-1,)),
        ("seed", (-1, 2**63)),
        ("eval_samples", (-1,)),
        ("epsilon", (0.0, -1.0, NAN, INF)),
        ("epsilon_scale", (0.0, -1.0, NAN, INF)),
        ("temperature", (0.0, -1.0, NAN, INF)),
        ("learning_rate", (0.0, -1.0, NAN, INF)),
        ("kl_start", (0.0, -1.0, NAN, INF)),
        ("anneal_rate", (-1.0, NAN, INF)),
        ("kl_fraction", (-0.1, 1.1, NAN)),
    ],
)
def test_out_of_range(name: str, values: tuple[float, ...]) -> None:
    for value in values:
        with pytest.raises(ValueError, match="--" + name.replace("_", "-")) as caught:
            TrainConfig(**{name: value})  # type: ignore[arg-type]
        assert str(value) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "data",
        "binarize",
        "estimator",
        "kl_gradient",
        "learning_rate_schedule",
        "precision",
        "epsilon",
        "kl_start",
    ],
)
def test_unknown_words(name: str) -> None:
    with pytest.raises(ValueError, match=r"'nonsense'"):
        TrainConfig(**{name: "nonsense"})  # type: ignore[arg-type]


def test_epochs_depend_on_the_data() -> None:
    assert TrainConfig(data="digits").epochs > TrainConfig(data="mnist").epochs > 1
    assert TrainConfig(data="mnist", epochs=3).epochs == 3


def test_samples_depend_on_the_estimator() -> None:
    assert TrainConfig().num_samples > 1
    assert TrainConfig(variables=2).num_samples == 1
    assert TrainConfig(estimator="gumbel-softmax").num_samples == 1
    assert TrainConfig(variables=2, num_samples=3).num_samples == 3


def test_the_paper() -> None:
    paper = PRESETS["paper"]
    assert (paper.data, paper.epochs, paper.batch_size) == ("mnist", 300, 100)
    assert (paper.estimator, paper.epsilon, paper.anneal_rate) == ("direct", 1.0, 1e-5)
    assert (paper.hidden, paper.learning_rate) == (300, 1e-3)
    assert paper.learning_rate_schedule == "constant"
    assert (paper.kl_start, paper.kl_fraction) == (1.0, 0.0)
    assert not paper.two_sided
    assert paper.num_samples == 1


@given(seed=st.integers(0, 2**63 - 1), rate=st.floats(1e-6, 1.0), epsilon=st.floats(1e-3, 10))
def test_stored_and_read_again(seed: int, rate: float, epsilon: float) -> None:
    config = TrainConfig(seed=seed, learning_rate=rate, epsilon=epsilon)
    again = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.digest() == config.digest()
    assert config.differences(again) == []


def test_names_are_those_of_the_solvers() -> None:
    """The configuration does not import torch, so it has them again."""
    from directmax.solvers import SOLVERS

    assert set(SOLVERS) == set(SOLVER_NAMES)


def test_every_field_counts() -> None:
    config = TrainConfig(variables=3, values=2, encoder="supermodular")
    other: dict[str, Any] = {
        "data": "mnist",
        "encoder": "pairwise",
        "solver": "exhaustive",
        "kl": "unary",
        "candidates": "full",
        "binarize": "static",
        "estimator": "exact",
        "epsilon": 0.5,
        "two_sided": not config.two_sided,
        "temperature": 0.5,
        "baseline": "none",
        "straight_through": not config.straight_through,
        "kl_gradient": "off",
        "kl_start": 3.0,
        "kl_fraction": 0.5,
        "learning_rate_schedule": "constant",
        "precision": "64-true",
    }
    mixed = {
        "model": "mixed",
        "labels": 10,
        "label_weight": 2.0,
        "smoothness": 1.0,
        "shift": 2,
        "gaussian": 5,
    }
    pictures: dict[str, Any] = {
        "attributes": ("Male",),
        "image_size": 32,
        "likelihood": "logistic",
        "distortion": 1.0,
        "label_weight": 3.0,
        "gaussian": 7,
    }
    for field in dataclasses.fields(TrainConfig):
        if field.name in ("values", "perturbation", "rao_blackwell", *mixed, *pictures):
            continue  # bound to others, below
        value = other.get(field.name)
        changed = dataclasses.replace(
            config, **{field.name: getattr(config, field.name) + 1 if value is None else value}
        )
        assert changed.digest() != config.digest()
        assert any(
            difference.startswith("--" + field.name.replace("_", "-") + ":")
            for difference in changed.differences(config)
        )
    assert dataclasses.replace(config, estimator="direct", perturbation="states").digest() != (
        dataclasses.replace(config, estimator="direct").digest()
    )
    plain = TrainConfig(model="mixed", labels=20)
    assert plain.digest() != TrainConfig().digest()
    for name, value in mixed.items():
        if name != "model":
            assert dataclasses.replace(plain, **{name: value}).digest() != plain.digest()
    faces = TrainConfig(data="celeba", model="attributes", labels=20)
    for name, value in pictures.items():
        more = {"variables": 1} if name == "attributes" else {}
        changed = dataclasses.replace(faces, **{name: value}, **more)
        assert changed.digest() != faces.digest()
        again = TrainConfig.from_dict(json.loads(json.dumps(changed.to_dict())))
        assert again == changed
    assert TrainConfig(values=11).digest() != TrainConfig().digest()
    assert TrainConfig(rao_blackwell=True).digest() != TrainConfig().digest()


def test_of_another_version() -> None:
    record = TrainConfig().to_dict()
    del record["hidden"]
    with pytest.raises(ValueError, match="hidden; it was written by another version"):
        TrainConfig.from_dict(record)
    with pytest.raises(ValueError, match="colour"):
        TrainConfig.from_dict({**TrainConfig().to_dict(), "colour": 3})


@given(seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 10**6))
def test_streams_of_randomness_are_apart(seed: int, epoch: int) -> None:
    seeds = {derive_seed(seed, stream, epoch) for stream in Stream}
    seeds |= {derive_seed(seed, Stream.NOISE, epoch, rank) for rank in range(1, 4)}
    assert len(seeds) == len(Stream) + 3
    assert all(0 <= value < 2**63 for value in seeds)
