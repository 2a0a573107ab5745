"""Encoders of subsets, chains, matchings and trees from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from disturbances import at_call, interrupt

from command_line import STEPS, TINY, call, metrics, read, refuse, succeed
from directmax.models import structured_encoder
from directmax.tool.config import TrainConfig
from directmax.tool.run import pictures
from directmax.tool.run.finished import evaluate_run, load_binary_run
from directmax.tool.run.loop import Trainer
from significance import assert_mean

pytestmark = pytest.mark.usefixtures("no_report")

SIZES = {
    "subset": ("--variables", "6", "--chosen", "2"),
    "chain": ("--variables", "4", "--values", "3"),
    "matching": ("--variables", "3"),
    "tree": ("--variables", "3"),
}
CODES = {"subset": 15, "chain": 81, "matching": 6, "tree": 16}
"""How many there are."""


@pytest.fixture(params=SIZES)
def encoder(request: pytest.FixtureRequest) -> str:
    return request.param


def test_learns_has_a_bound_and_draws_its_set(tmp_path: Path, encoder: str) -> None:
    folder, size = tmp_path / "run", ("--encoder", encoder, *SIZES[encoder], "--hidden", "60")
    succeed(*TINY, *size, "--batch-size", "100", "--run-dir", folder)
    lines = metrics(folder)
    assert lines[-1]["train"]["bound"] < lines[0]["train"]["bound"] - 1
    test = read(folder / "summary.json")["test"]
    assert test["valid"]
    assert test["num_samples"] is None
    assert test["nll"] <= test["bound"]
    assert test["authors"] is None
    assert json.loads(succeed("evaluate", folder, "--json").out)["test"] == test
    _, _, model = load_binary_run(folder, device="cpu")
    assert len(pictures.decoded_codes(model, 2000)) == CODES[encoder]
    assert len(pictures.decoded_codes(model, 5)) == 5
    succeed("sample", folder, "--images", "4", "--output", tmp_path / "codes.png")
    assert (tmp_path / "codes.png").stat().st_size > 100


def test_goes_on_as_if_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = (*TINY, "--encoder", "chain", *SIZES["chain"], "--run-dir")
    succeed(*command, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", Trainer._train_step)
        at_call(Trainer, "_train_step", STEPS + 1, interrupt, after=True)
        assert call(*command, tmp_path / "parts").code == 130
    succeed("train", "--device", "cpu", "--resume", "--run-dir", tmp_path / "parts")
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")


def test_samples_of_a_bound_are_of_its_set(tmp_path: Path) -> None:
    """With too many states for enumeration the bound is sampled, and is one."""
    folder = tmp_path / "run"
    size = ("--encoder", "chain", "--variables", "11", "--values", "4", "--epochs", "1")
    succeed(*TINY, *size, "--eval-samples", "20", "--run-dir", folder)
    test = evaluate_run(folder, device="cpu", splits=("test",))["test"]
    assert test == read(folder / "summary.json")["test"]
    assert test["valid"]
    assert test["num_samples"] == 20


def test_a_chain_learns_its_transitions_and_has_the_uniform_prior() -> None:
    encoder = structured_encoder("chain", 5, 3, 2, hidden=4)
    with torch.no_grad():
        encoder.transitions.normal_(generator=torch.Generator().manual_seed(0))
    q = encoder(torch.rand(2, 5))
    q.kl_to_uniform().sum().backward()
    assert bool((encoder.transitions.grad != 0).any())
    drawn = encoder.structure.sample(torch.zeros(1, 3, 2), 4000)
    assert_mean(drawn[:, 0, :, 1].double(), torch.full((3,), 0.5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--encoder", "subset", "--chosen", "15"), "--variables"),
        (("--chosen", "3"), "--encoder subset"),
        (("--encoder", "chain", "--chosen", "3"), "--encoder subset"),
        (("--encoder", "tree", "--values", "4"), "9 values"),
        (("--encoder", "matching", "--variables", "15"), "at most 14"),
        (("--encoder", "matching", "--values", "7"), "at least the 8"),
        (("--encoder", "chain", "--estimator", "clamped-argmax"), "score-function"),
        (("--encoder", "tree", "--estimator", "direct"), "score-function"),
        (("--encoder", "subset", "--solver", "max-flow"), "--encoder supermodular"),
        (("--encoder", "subset", "--model", "mixed"), "--model mixed"),
        (("--encoder", "tree", "--data", "celeba", "--model", "attributes"), "discrete model"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refuse("train", *arguments, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_encoder_alone_chooses_the_rest() -> None:
    config = TrainConfig(encoder="subset").resolve()
    assert (config.variables, config.values, config.chosen) == (15, 2, 7)
    assert (config.estimator, config.num_samples) == ("score-function", 4)
    assert TrainConfig(encoder="tree").resolve().values == 9
    assert "chosen" not in TrainConfig().resolve().to_dict()
