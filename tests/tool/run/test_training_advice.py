"""What a finished run tells its user, and the way on: --extend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from command_line import call, metrics, read, refuse, succeed
from directmax import Decoder, DiscreteVAE, Encoder, Exact, MixedEncoder, MixedVAE
from directmax.tool.run.advice import advice
from directmax.tool.run.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("no_report")

RUN = ("train", "--device", "cpu", "--batch-size", "400", "--hidden", "12", "--epochs", "6")


def lines_of(bounds: list[float], train: float | None = None) -> list[dict[str, Any]]:
    return [
        {
            "epoch": number,
            "train": {"bound": bound if train is None else train},
            "validation": {"bound": bound, "kl": 1.0},
            "kl_weight": 1.0,
        }
        for number, bound in enumerate(bounds, 1)
    ]


def given(bounds: list[float], train: float | None = None, **more: Any) -> list[str]:
    best = more.pop("best", bounds.index(min(bounds)) + 1)
    summary = {"best_epoch": best, "validation": {"bound": min(bounds), "nll": min(bounds) - 1}}
    model = DiscreteVAE(Encoder(6, 2, 2), Decoder(2, 2, 6), Exact())
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():  # far from uniform, and another for every image
        for parameter in model.parameters():
            parameter.copy_(4 * torch.randn(parameter.shape, generator=g))
    images = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).sigmoid().round()
    return advice(summary, lines_of(bounds, train), more.pop("model", model), images, **more)


def test_nothing_to_say() -> None:
    assert given([30.0, 20.0, 15.0, 14.0, 13.98, 13.97, 13.97, 13.97, 13.96, 13.96]) == []


def test_still_falling() -> None:
    (line,) = given([30.0, 28.0, 26.0, 24.0, 22.0, 20.0, 19.0, 18.0, 17.0, 16.0])
    assert "still fell, by 2.00 nats" in line
    assert "--resume --extend 10" in line


def test_a_longer_run_is_no_advice_where_an_early_epoch_is_kept() -> None:
    """With labels the bound may fall and fall, and accuracy with it."""
    assert given([30.0, 28.0, 26.0, 24.0, 22.0, 20.0, 19.0, 18.0, 17.0, 16.0], best=4) == []


def test_overfitting_names_the_encoders_share() -> None:
    (line,) = given([30.0, 20.0, 15.0, 14.0, 13.97, 13.97, 13.96, 13.96], train=10.0)
    assert "4.0 nats above" in line
    assert "1.0 of it q's" in line


def test_codes_that_say_nothing() -> None:
    model = DiscreteVAE(Encoder(6, 3, 2), Decoder(3, 2, 6), Exact())
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
    (line,) = given([14.0] * 6, model=model)
    assert line.startswith("Codes are alike: 3 of 3 variables")


def test_one_value_for_all_images() -> None:
    """As the mixed model may end without labels."""
    model = MixedVAE(MixedEncoder(6, 3, 2), Decoder(3, 2, 6), Exact())
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
    (line,) = given([14.0] * 6, model=model)
    assert "the variable says nothing" in line
    assert "--labels" in line


def mixed(bias: tuple[float, ...]) -> MixedVAE:
    """A model whose values are of any image as probable as these say."""
    model = MixedVAE(MixedEncoder(6, len(bias), 2), Decoder(len(bias), 2, 6), Exact())
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
        model.encoder.discrete[-1].bias.copy_(torch.tensor(bias))
    return model


def test_the_mixed_model_is_told_of_its_own_flags(tmp_path: Path) -> None:
    bounds = [30.0, 20.0, 15.0, 14.0, 13.97, 13.97, 13.96, 13.96]
    line, _ = given(bounds, train=10.0, model=mixed((0.0, 0.0)))
    assert "a smaller --hidden, or a smaller --gaussian." in line
    assert "--dreams" in refuse("train", "--model", "mixed", "--dreams", "1")


def test_with_labels_there_are_neither_fewer_values_nor_some_labels() -> None:
    (line,) = given([14.0] * 6, model=mixed((9.0, 0.0)), labelled=True)
    assert "hardly surer than a guess" in line
    assert "--" not in line


def test_less_right_at_the_end_where_classes_are_not_equally_frequent() -> None:
    lines = lines_of([14.0] * 6)
    for line in lines:
        line["validation"]["accuracy"] = 0.55
    g = torch.Generator().manual_seed(1)
    model, images = mixed((0.0, 0.0)), torch.rand(50, 6, generator=g)
    for parameter in model.parameters():
        parameter.data.copy_(4 * torch.randn(parameter.shape, generator=g))
    for confusion, count in (([[88, 2], [2, 8]], 1), ([[48, 2], [2, 48]], 0)):
        validation = {"bound": 14.0, "accuracy": 0.96, "confusion": confusion}
        summary = {"best_epoch": 1, "validation": validation}
        said = advice(summary, lines, model, images, labelled=True)
        assert [("55.0%" in line, "90% are of one" in line) for line in said] == [
            (True, True)
        ] * count
    assert not advice(summary | {"validation": validation}, lines, model, images)
    validation |= {"confusion": [[88, 2], [2, 8]]}
    assert advice(summary, lines, model, images, labelled=True)
    assert not advice(summary, lines, model, images, labelled=True, grouped=True)


def test_starts_that_were_level() -> None:
    other = lines_of([13.0, 12.001])
    (line,) = given([13.0, 12.0, 12.0, 12.0, 12.0], starts=[other], start_epochs=2)
    assert line.startswith("The 2 starts were level")


def test_an_extended_run_goes_on(tmp_path: Path) -> None:
    """α, and the weight of the KL term, stay as they were; interrupted, it is resumed as ever."""
    folder = tmp_path / "run"
    succeed(*RUN, "--run-dir", folder)
    before = metrics(folder)
    assert read(folder / "summary.json")["epochs"] == 6
    resume = ("train", "--device", "cpu", "--resume", "--run-dir", folder)
    succeed(*resume, "--extend", "3")
    lines = metrics(folder)
    assert lines[:6] == before
    assert [line["epoch"] for line in lines] == list(range(1, 10))
    assert [line["alpha"] for line in lines[4:]] == [0.0] * 5
    assert {line["kl_weight"] for line in lines[3:]} == {1.0}
    config = RunFolder(folder).config()
    assert (config.epochs, round(config.covering, 6)) == (9, round(2 / 3 * 6 / 9, 6))
    assert read(folder / "summary.json")["epochs"] == 9
    succeed(*resume)  # nothing is left to do
    assert metrics(folder) == lines


def test_extend_refuses(tmp_path: Path) -> None:
    refuse("--extend", *RUN, "--extend", "3", "--run-dir", tmp_path / "run")
    assert call(*RUN, "--run-dir", tmp_path / "run").code == 0
    for epochs in ("-2", "1000000"):
        refuse("--e", "train", "--resume", "--extend", epochs, "--run-dir", tmp_path / "run")
    config = (tmp_path / "run" / "config.json").read_bytes()
    other = ("--hidden", "99", "--extend", "2", "--run-dir", tmp_path / "run")
    refuse("--hidden", "train", "--resume", "--device", "cpu", *other)
    assert (tmp_path / "run" / "config.json").read_bytes() == config
