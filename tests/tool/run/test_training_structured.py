"""Structured encoders from the command line: what they learn, report and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from command_line import TINY, call, metrics, read, refuse, succeed
from directmax.tool.config import TrainConfig
from directmax.tool.config.build import build_encoder
from directmax.tool.run.finished import evaluate_run, load_binary_run
from directmax.tool.run.images import split_images

pytestmark = pytest.mark.usefixtures("no_report")

SIZE = ("--variables", "6", "--values", "2", "--batch-size", "100", "--hidden", "60")


@pytest.mark.parametrize("encoder", ["pairwise", "supermodular"])
@pytest.mark.parametrize("estimator", ["auto", "direct", "exact"])
def test_learns_and_reports_the_gibbs_bound(tmp_path: Path, encoder: str, estimator: str) -> None:
    folder = tmp_path / "run"
    choice = ("--encoder", encoder, *(() if estimator == "auto" else ("--estimator", estimator)))
    out = succeed(*TINY, *SIZE, *choice, "--epochs", "3", "--run-dir", folder).out
    assert "no bound" in out
    assert "Gibbs" in out
    lines = metrics(folder)
    assert lines[-1]["train"]["bound"] < lines[0]["train"]["bound"] - 1
    assert lines[-1]["validation"]["bound"] < lines[0]["validation"]["bound"] - 0.5
    test = read(folder / "summary.json")["test"]
    assert test["valid"]
    assert test["num_samples"] is None
    assert test["nll"] <= test["bound"]
    assert test["authors"] != test["bound"]
    assert json.loads(succeed("evaluate", folder, "--json").out)["test"] == test


def test_the_bound_is_that_of_the_enumerated_gibbs_distribution(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    succeed(*TINY, *SIZE, "--encoder", "pairwise", "--run-dir", folder)
    config, data, model = load_binary_run(folder, device="cpu")
    images = split_images(config, data, "test")
    with torch.no_grad():
        q = model.posterior(images)
        states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6)
        pairs = torch.stack(
            [states[:, i] * states[:, j] for i in range(6) for j in range(i + 1, 6)]
        )
        scores = q.unary[..., 0].sum(-1)[:, None]
        scores = (scores + q.field @ states.T + q.pairwise @ pairs).double()
        log_q = scores - scores.logsumexp(-1, keepdim=True)
        logits = model.decoder(torch.stack([1 - states, states], -1)).double()
        losses = (
            torch.nn.functional.softplus(logits, threshold=40).sum(-1) - images.double() @ logits.T
        )
        kl = (log_q.exp() * log_q).sum(-1) + 6 * torch.log(torch.tensor(2.0))
        bound = ((log_q.exp() * losses).sum(-1) + kl).mean()
        nll = (6 * torch.log(torch.tensor(2.0)) - (-losses).logsumexp(-1)).mean()
    test = evaluate_run(folder, device="cpu", splits=("test",))["test"]
    assert test["amortized"] == pytest.approx(float(bound), abs=1e-3)
    assert test["nll"] == pytest.approx(float(nll), abs=1e-3)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_precisions(tmp_path: Path, precision: str) -> None:
    folder = tmp_path / "run"
    size = (*SIZE, "--epochs", "3", "--encoder", "supermodular", "--solver", "max-flow")
    succeed(*TINY, *size, "--precision", precision, "--run-dir", folder)
    lines = metrics(folder)
    assert lines[-1]["train"]["bound"] < lines[0]["train"]["bound"] - 1
    summary = read(folder / "summary.json")
    assert evaluate_run(folder, device="cpu", splits=("test",))["test"] == summary["test"]


@pytest.mark.parametrize(
    ("encoder", "solvers"),
    [
        ("pairwise", ("auto", "exhaustive", "branch-and-bound")),
        ("supermodular", ("auto", "max-flow", "pymaxflow")),
    ],
)
def test_exact_solvers_train_the_same_model(
    tmp_path: Path, encoder: str, solvers: tuple[str, ...]
) -> None:
    if "pymaxflow" in solvers:
        pytest.importorskip("maxflow")
    for name in solvers:
        choice = ("--encoder", encoder, "--solver", name, "--epochs", "1")
        succeed(*TINY, *SIZE, *choice, "--run-dir", tmp_path / name)
    first, *others = (metrics(tmp_path / name)[-1]["train"]["bound"] for name in solvers)
    assert others == pytest.approx([first, first], rel=1e-4)


def test_exact_gibbs_samples(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    choice = ("--encoder", "pairwise", "--perturbation", "states", "--epochs", "3")
    succeed(*TINY, *SIZE, *choice, "--run-dir", folder)
    assert read(folder / "config.json")["config"]["estimator"] == "local-search"
    lines = metrics(folder)
    assert lines[-1]["train"]["bound"] < lines[0]["train"]["bound"] - 1


def test_many_variables_have_no_bound_and_say_so(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    size = ("--variables", "24", "--values", "2", "--encoder", "supermodular", "--kl", "unary")
    out = succeed(*TINY, *size, "--eval-samples", "3", "--run-dir", folder).out
    assert "no bound" in out
    test = read(folder / "summary.json")["test"]
    assert not test["valid"]
    assert test["nll"] is None
    assert test["authors"] == pytest.approx(test["bound"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--encoder", "pairwise", "--values", "3"), "binary variables"),
        (("--encoder", "pairwse"), "did you mean 'pairwise'"),
        (("--encoder", "pairwise", "--solver", "max-flow"), "--encoder supermodular"),
        (("--encoder", "pairwise", "--solver", "maxflow"), "did you mean 'max-flow'"),
        (("--encoder", "supermodular", "--estimator", "rebar"), "independent variables"),
        (("--estimator", "clamped-argmax"), "local-expectation"),
        (("--encoder", "pairwise", "--variables", "21"), "--kl unary"),
        (
            ("--encoder", "pairwise", "--perturbation", "states", "--estimator", "clamped-argmax"),
            "--perturbation unary",
        ),
        (("--encoder", "pairwise", "--kl", "exact"), "choose from gibbs, unary"),
        (("--solver", "max-flow"), "--encoder supermodular"),
        (("--kl", "unary"), "--encoder supermodular"),
        (
            ("--encoder", "pairwise", "--estimator", "local-search", "--kl", "unary"),
            "choose clamped-argmax or direct",
        ),
        (
            ("--encoder", "pairwise", "--variables", "17", "--estimator", "exact"),
            "choose clamped-argmax or direct",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    values = () if "--values" in arguments else ("--values", "2")
    line = refuse("train", *values, *arguments, "--run-dir", tmp_path / "run")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_missing_solver_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from directmax.solvers import Highs

    monkeypatch.setattr(Highs, "missing", classmethod(lambda cls: "highspy is not installed: …"))
    choice = ("--encoder", "pairwise", "--solver", "highs")
    line = refuse(*TINY, *SIZE, *choice, "--run-dir", tmp_path / "run")
    assert "highspy is not installed" in line
    assert not (tmp_path / "run").exists()


def test_a_structured_encoder_alone_chooses_the_rest() -> None:
    config = TrainConfig(encoder="pairwise").resolve()
    assert (config.variables, config.values, config.estimator) == (15, 2, "local-search")
    assert (config.kl_start, config.refine) == (1.0, True)
    config = TrainConfig(encoder="pairwise", kl="unary").resolve()
    assert (config.estimator, config.refine) == ("clamped-argmax", False)
    config = TrainConfig().resolve()
    assert (config.variables, config.values, config.estimator) == (1, 10, "local-divergence")


def test_evaluate_one_split(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    succeed(*TINY, *SIZE, "--encoder", "pairwise", "--run-dir", folder)
    results = json.loads(succeed("evaluate", folder, "--splits", "test", "--json").out)
    assert set(results) == {"test"}
    outcome = call("evaluate", folder, "--splits", "tset")
    assert outcome.code == 2
    assert "did you mean 'test'" in outcome.message


def test_couplings_of_a_supermodular_encoder_are_not_negative() -> None:
    config = TrainConfig(encoder="supermodular", variables=5, values=2).resolve()
    q = build_encoder(config, (8, 8))(torch.randn(10, 64))
    assert q.pairwise.min() > 0
    # Centred: at the start the couplings alone push no variable on or off.
    assert q.marginals()[..., 1].mean().item() == pytest.approx(0.5, abs=0.15)
