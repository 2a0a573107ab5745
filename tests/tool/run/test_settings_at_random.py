"""Settings in random company: refused in one line, or a run that ends, and is stored as it was."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import pytest

from damage import in_time
from directmax.tool.config import TrainConfig, stored_config
from directmax.tool.config.settings import SETTINGS
from directmax.tool.data import ImageData
from directmax.tool.run import train as run
from settings_in_use import USED

ELSEWHERE = ("data", "attributes", "image_size", "epochs", "batch_size", "hidden")
"""Not drawn as the others are: of images that are read, or of how long a run takes."""


def value(name: str, draw: random.Random) -> Any:
    """One that the setting has where it is used, or one that may be too much."""
    each, used = SETTINGS[name], USED.get(name, ({}, None))[1]
    if each.choices:
        return draw.choice([choice for choice in each.choices if choice != "attributes"])
    if each.kind == "bool":
        return draw.random() < 0.5
    if each.kind == "int":
        return draw.choice([used if isinstance(used, int) else 3, 1, 2, 3, 4, 5, 7])
    return draw.choice([used, 0.0, 0.1, 1.0, 2.5, "auto" if each.auto else 0.3])


def settings(draw: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"data": "own", "batch_size": draw.choice([40, 53, 7])}
    found |= {"hidden": draw.choice([1, 6]), "epochs": draw.choice([1, 2, 3])}
    names = [name for name in SETTINGS if name not in ELSEWHERE]
    found |= {name: value(name, draw) for name in draw.sample(names, draw.randrange(6))}
    if draw.random() < 0.6:
        found |= {"variables": draw.choice([1, 2, 3]), "values": draw.choice([2, 3])}
    return {name: each for name, each in found.items() if each is not None}


@pytest.mark.parametrize(
    ("count", "seed"), [(25, 0), *(pytest.param(800, n, marks=pytest.mark.slow) for n in (1, 2))]
)
def test_random_settings(
    tmp_path: Path, images: ImageData, monkeypatch: pytest.MonkeyPatch, count: int, seed: int
) -> None:
    monkeypatch.setattr(run, "write_report", lambda *arguments: None)
    draw, trained = random.Random(seed), 0
    for number in range(count):
        given, folder = settings(draw), tmp_path / str(number)
        with in_time(str(given), 100), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                config = TrainConfig(**given).resolve(len(images.train))
                same = stored_config(config.to_dict()) == config
                run.train(TrainConfig(**given), folder, images=images, device="cpu", log=())
            except ValueError as error:
                message = str(error)
            except Exception as error:
                raise AssertionError(f"{given}: {type(error).__name__}: {error}") from error
            else:
                message, trained = "", trained + 1
                assert same, given
        assert "\n" not in message, given
        assert message == "" or "--" in message or "estimator" in message, (given, message)
        diverged = "loss is NaN" in message and given.get("learning_rate", 0) >= 0.1
        assert folder.exists() == (message == "" or diverged), (given, "half a run is left")
    assert trained > count / 8
