"""Settings from files: what is read, what wins, what is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest

from command_line import TINY, refuse
from directmax.tool import cli
from directmax.tool.config import PRESETS, TrainConfig, stored_config
from settings_in_use import USED

FILES = {
    "mine.toml": 'data = "mnist"\nbatch-size = 200\nlearning_rate = 1e-4\ntwo-sided = false\n',
    "mine.yaml": "data: mnist\nbatch-size: 200\nlearning_rate: 1e-4\ntwo-sided: no\n",
    "mine.json": '{"data": "mnist", "batch-size": 200, "learning_rate": 1e-4, "two-sided": false}',
}
WANTED = {"data": "mnist", "batch_size": 200, "learning_rate": 1e-4, "two_sided": False}


def parsed(*arguments: object) -> Any:
    """The configuration of `train`."""
    command = cli._parse(["train", *map(str, arguments)])
    assert isinstance(command, cli.Train)
    return command.config()


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path: Path, name: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    file = tmp_path / name
    file.write_text(FILES[name])
    assert TrainConfig.from_file(file).given() == WANTED
    assert parsed("--config", file) == TrainConfig(**WANTED).resolve()
    other = parsed("--config", file, "--data", "digits", "--values", "20")
    assert (other.data, other.values, other.batch_size) == ("digits", 20, 200)


@pytest.mark.parametrize("name", FILES)
def test_data_of_ones_own_are_a_path(tmp_path: Path, name: str) -> None:
    """The images decide as they do after --data; a flag wins; a wrong path is one line."""
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    images, file, run = tmp_path / "mine.npy", tmp_path / name, tmp_path / "run"
    np.save(images, np.random.default_rng(0).random((60, 4, 6)))
    file.write_text(FILES[name].replace("mnist", str(images)))
    assert (TrainConfig.from_file(file).data, TrainConfig.data_path(file)) == ("own", str(images))
    assert parsed("--config", file, "--data", "digits").data == "digits"
    assert "48 training images" in refuse("train", "--config", file, "--run-dir", run)
    file.write_text(FILES[name].replace("mnist", str(tmp_path / "nowhere.npy")))
    for command in (("train", "--run-dir", run), ("sweep", "--output", run)):
        assert "nowhere.npy" in refuse(*command, "--config", file)
    assert not run.exists()


def test_what_is_given_twice(tmp_path: Path) -> None:
    """Of flags the last counts, so that a script may append some; a file would be lost whole."""
    assert parsed("--values", 3, "--values", 4, "--refine", "--no-refine").values == 4
    assert "--config is given twice" in refuse("train", "--config", "a.toml", "--config=b.toml")


def test_words_of_yaml_that_are_no_words(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "mine.yml"
    file.write_text("kl-gradient: off\npreset: paper\n")
    assert TrainConfig.from_file(file) == TrainConfig(kl_gradient="off", preset="paper")


def test_the_configuration_of_a_run(tmp_path: Path) -> None:
    """Whatever was given, its file gives the same again."""
    given = [{**others, name: value} for name, (others, value) in USED.items()]
    for config in (PRESETS["paper"], *(TrainConfig(**each) for each in given)):
        stored = config.resolve().to_dict()
        record = {"version": 2, "config": stored, "digest": config.resolve().digest()}
        (tmp_path / "config.json").write_text(json.dumps(record))
        assert TrainConfig.from_file(tmp_path).resolve() == stored_config(stored)


def test_changes_of_a_run_drop_what_nothing_uses_then(tmp_path: Path) -> None:
    config = TrainConfig(estimator="gumbel-softmax", temperature=0.5, values=20).resolve()
    record = {"version": 2, "config": config.to_dict(), "digest": config.digest()}
    (tmp_path / "config.json").write_text(json.dumps(record))
    found = parsed("--config", tmp_path, "--estimator", "exact")
    assert found == TrainConfig(estimator="exact", values=20).resolve()


ALIASES = f"[&a [x, x], {', '.join(f'&{b} [*{a}, *{a}]' for a, b in pairwise(ascii_lowercase))}]"
"""A short text of 2^26 words."""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", 'epochs = "12"', "a.toml: epochs must be an integer, got '12'"),
        ("a.toml", "batch-size = 1.5", "a.toml: batch-size must be an integer, got 1.5"),
        ("a.toml", "epochs = 0", "a.toml: epochs must be at least 1, got 0"),
        ("a.toml", "epoch = 3", "unknown setting 'epoch'; did you mean epochs?"),
        ("a.toml", "[train]\nepochs = 3", "unknown setting 'train'"),
        ("a.toml", "epochs = ", "a.toml is no TOML"),
        ("a.toml", "batch-size = 3\nbatch_size = 3", "twice"),
        ("a.json", '{"epochs": 3, "epochs": 4}', "a.json is no JSON: it has epochs twice"),
        ("a.yaml", "epochs: 3\nepochs: 4\n", "a.yaml is no YAML: it has epochs twice"),
        ("a.toml", 'estimator = "dirct"', "did you mean 'direct'?"),
        ("a.toml", "temperature = 2.0", "a.toml"),
        ("a.toml", f"epsilon = 0x{'f' * 6000}", "a.toml: epsilon must be a finite number"),
        ("a.yaml", f"epochs: {ALIASES}", "a.yaml: epochs must be an integer, got [["),
        ("a.json", "[3]", "must hold settings by name, got list"),
        ("a.json", "{", "a.json is no JSON"),
        ("a.json", '{"config": {"epochs": 3}, "digest": "x"}', "is damaged"),
        ("a.txt", "", "must end in .toml, .yaml or .json"),
        ("a.toml", None, "does not exist"),
    ],
)
def test_refusals(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    assert message in refuse(*TINY[:3], "--config", file, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()
