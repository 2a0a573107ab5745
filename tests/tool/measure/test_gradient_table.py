"""The command `directmax gradients`: what it measures, saves, resumes, draws and refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from command_line import TINY, Outcome, call, read, refuse, succeed
from directmax.estimators import ESTIMATORS
from directmax.laboratory import Point, Setting, _timing
from directmax.tool.config import TrainConfig
from directmax.tool.measure import gradients as gradient_table
from directmax.tool.measure.gradient_grid import build, setting_seed, settings_of
from directmax.tool.measure.gradients import (
    Request,
    adapt,
    draw_figure_one,
    load_model,
    read_points,
)
from directmax.tool.measure.pictures import gradient_figure, svg

SMALL = ("gradients", "--device", "cpu", "--hidden", 8, "--draws", 40, "--images", 5, "--adapt", 3)
FEW = ("--estimators", "direct", "gumbel-softmax", "--epsilons", 1.0, "auto", "--sides", "one")
TWO = ("--temperatures", 0.5, 1.0)
LABELS = [
    "direct ε=1",
    "direct ε=auto",
    "gumbel-softmax τ=0.5",
    "gumbel-softmax τ=1",
    "gumbel-softmax straight-through τ=0.5",
    "gumbel-softmax straight-through τ=1",
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short timings."""
    monkeypatch.setattr(_timing, "SECONDS", 0.0)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIRECTMAX_DATA", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    succeed(*TINY, "--values", 3, "--run-dir", folder)
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished measurement."""
    folder = tmp_path_factory.mktemp("measured") / "new" / "folder"
    succeed(*SMALL, *FEW, *TWO, "--output", folder)
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    """What was measured, without the times."""
    return [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in read(folder / "gradients.json")["rows"]
    ]


def request(**settings: Any) -> Request:
    defaults = {
        "estimators": (),
        "epsilons": (1.0,),
        "sides": ("one",),
        "rao_blackwell": False,
        "temperatures": (0.5,),
        "samples": 1,
        "draws": 4,
        "images": 3,
        "split": "train",
        "adapt": 0,
        "seed": 0,
    }
    return Request(**{**defaults, **settings})


# What it prints


def test_table() -> None:
    out = succeed(*SMALL, *FEW, *TWO).out
    lines = out.splitlines()
    assert re.fullmatch(r"1/6  direct ε=1: bias .* variance .* \(nats, nats²\)", lines[0])
    for words in (
        *LABELS,
        "bias",
        "variance",
        "MSE",
        "cosine",
        "5 gradients of 10 entries",
        "nats",
    ):
        assert words in out
    assert max(map(len, lines)) <= 140


def test_json() -> None:
    record = json.loads(succeed(*SMALL, *FEW, *TWO, "--json").out)
    assert [row["label"] for row in record["rows"]] == LABELS
    assert record["reference"] == "exact"
    assert (record["num_problems"], record["num_entries"]) == (5, 10)
    assert record["configuration"]["draws"] == 40
    assert record["versions"]["torch"] == torch.__version__
    assert record["notes"] == []


def test_everything_that_can_be_used() -> None:
    out = json.loads(succeed(*SMALL, "--epsilons", 1, "--temperatures", 1, "--json").out)
    families = {row["family"].split()[0] for row in out["rows"]}
    left_out = {re.findall(r"without ([a-z-]+):", note)[0] for note in out["notes"]}
    assert families | left_out == set(ESTIMATORS)
    assert left_out == {"clamped-argmax", "arm", "disarm"}
    by_label = {row["label"]: row for row in out["rows"]}
    assert by_label["exact"]["variance"]["value"] == 0
    assert by_label["local-expectation"]["bias"]["value"] < 1e-6
    assert {"rebar", "relax", "score-function"} <= set(by_label)  # no grid of what they learn
    assert {"direct ε=1", "direct two-sided ε=1"} <= set(by_label)


def test_binary_variables() -> None:
    flags = ("--variables", 3, "--values", 2, "--estimators", "arm", "disarm", "direct", *FEW[3:])
    record = json.loads(succeed(*SMALL, *flags, "--json").out)
    assert [row["label"] for row in record["rows"]] == ["arm", "disarm", *LABELS[:2]]
    assert [row["evaluations"] for row in record["rows"]] == [2, 2, 4, 4]


def test_a_mixed_run(tmp_path: Path) -> None:
    """Its Gaussians are drawn once: the local expectation is exact for them."""
    folder = tmp_path / "run"
    succeed(*TINY, "--model", "mixed", "--labels", "10", "--epochs", "1", "--run-dir", folder)
    flags = ("--device", "cpu", "--draws", 10, "--images", 5, "--json")
    chosen = ("--estimators", "local-expectation", "direct", "--epsilons", 1.0, "--sides", "one")
    measured = json.loads(succeed("gradients", folder, *flags, *chosen).out)
    local, direct = measured["rows"]
    assert local["variance"]["value"] < 1e-9 * measured["norm"] ** 2
    assert local["bias"]["value"] < 1e-5 * measured["norm"]
    assert direct["variance"]["value"] > 0


def test_coupled_variables() -> None:
    flags = ("--encoder", "pairwise", "--variables", 3, "--epsilons", 1, "--json")
    record = json.loads(succeed(*SMALL, *flags).out)
    labels = [row["label"] for row in record["rows"]]
    assert {"clamped-argmax", "exact", "direct ε=1"} <= set(labels)
    assert "gumbel-softmax τ=1" not in labels
    assert any("perturb-and-MAP" in note for note in record["notes"])
    assert (record["num_problems"], record["num_entries"]) == (5, 6)


def test_samples_are_averaged() -> None:
    flags = ("--estimators", "local-expectation", "gumbel-softmax", "--temperatures", 1)
    flags = (*flags, "--variables", 2, "--draws", 400, "--json")
    one, four = (
        {row["label"]: row["variance"]["value"] for row in json.loads(out.out)["rows"]}
        for out in (succeed(*SMALL, *flags, "--samples", samples) for samples in (1, 4))
    )
    for label, variance in one.items():
        assert four[label] == pytest.approx(variance / 4, rel=0.4)


# A run


def test_a_run(run_dir: Path) -> None:
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    flags = ("--device", "cpu", "--draws", 40, "--images", 5, *FEW, *TWO, "--json")
    test, fresh = (
        json.loads(succeed("gradients", *source, *flags).out)
        for source in ((run_dir, "--split", "test"), ("--values", 3, "--hidden", 12))
    )
    assert test["num_entries"] == fresh["num_entries"] == 3
    assert test["configuration"]["hidden"] == 12
    assert test["norm"] != fresh["norm"]
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_the_run_decides_the_model(run_dir: Path) -> None:
    for flag, value in (("data", "mnist"), ("values", 5), ("hidden", 5)):
        message = refuse("gradients", run_dir, f"--{flag}", value)
        assert message == f"--{flag} comes from the run {run_dir}; leave it out"


def test_a_run_with_settings_of_its_estimator(tmp_path: Path) -> None:
    """They are the run's, and not of what is measured."""
    flags = ("--rao-blackwell", "--temperature", 0.3, "--run-dir", tmp_path / "run")
    succeed(*TINY, *flags)
    flags = ("--draws", 8, "--images", 2, "--estimators", "direct", "corrected-direct", "--json")
    record = json.loads(succeed("gradients", tmp_path / "run", *flags, *FEW[3:]).out)
    assert "rao_blackwell=False" in record["rows"][0]["estimator"]


# Files


def test_files(measured: Path) -> None:
    assert sorted(path.name for path in measured.iterdir()) == [
        "gradients.json",
        "gradients.png",
        "gradients.svg",
    ]
    text = (measured / "gradients.svg").read_text()
    assert "<svg" in text
    for words in ("temperature τ", "bias², nats²", "variance, nats²"):
        assert words in text
    with Image.open(measured / "gradients.png") as picture:
        assert picture.width > 1000
    points, norm = read_points(measured / "gradients.json")
    assert [point.setting.label for point in points] == LABELS
    assert points[0].setting == Setting("direct", epsilon=1.0)
    assert norm > 0


def test_resumed_as_if_never_stopped(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, calls = tmp_path / "out", 0
    plain = gradient_table.measure_gradient

    def stop_at_the_third(*arguments: Any, **settings: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return plain(*arguments, **settings)

    command = (*SMALL, *FEW, *TWO, "--output", folder)
    monkeypatch.setattr(gradient_table, "measure_gradient", stop_at_the_third)
    outcome = call(*command)
    assert outcome.code == 130
    assert outcome.message == (
        "stopped after 2 of 6 estimators; they are saved: the same command with --resume continues"
    )
    assert [row["label"] for row in rows(folder)] == LABELS[:2]
    assert [path.name for path in folder.iterdir()] == ["gradients.json"]
    out = succeed(*command, "--resume").out
    assert out.startswith("3/6  gumbel-softmax τ=0.5")
    assert rows(folder) == rows(measured)
    assert calls == 7


def test_resuming_what_is_finished_measures_nothing(measured: Path, tmp_path: Path) -> None:
    before = read(measured / "gradients.json")
    out = succeed(*SMALL, *FEW, *TWO, "--output", measured, "--resume").out
    assert "1/6" not in out
    assert read(measured / "gradients.json")["rows"] == before["rows"]


def test_numbers_do_not_depend_on_what_else_is_measured(measured: Path) -> None:
    flags = ("--estimators", "gumbel-softmax", "--temperatures", 1.0, "--json")
    found = json.loads(succeed(*SMALL, *flags).out)["rows"]
    expected = [row for row in rows(measured) if row["temperature"] == 1.0]
    assert [{**row, "seconds": None} for row in found] == [
        {**row, "seconds": None} for row in expected
    ]


def test_refused_to_overwrite_or_to_mix(measured: Path) -> None:
    command = (*SMALL, *FEW, *TWO, "--output", measured)
    before = (measured / "gradients.json").read_bytes()
    assert refuse(*command).endswith(
        "exists: add --resume to continue it, or choose another --output"
    )
    message = refuse(*command, "--resume", "--draws", 50, "--seed", 1)
    assert "with another configuration: draws, seed, weights and images differ" in message
    assert (measured / "gradients.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"configuration": 3}'])
def test_damaged_files_are_refused(here: Path, content: str) -> None:
    (here / "gradients.json").write_text(content)
    message = refuse(*SMALL, *FEW, "--output", here, "--resume")
    assert "damaged" in message or "another configuration" in message
    (here / "gradients.json").write_text('{"rows": [{"family": "direct"}], "norm": 1}')
    with pytest.raises(ValueError, match="damaged"):
        read_points(here / "gradients.json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(here: Path) -> None:
    (here / "locked").mkdir(mode=0o500)
    assert "cannot write" in refuse(*SMALL, *FEW, "--output", "locked/out")


def test_a_file_in_the_place_of_the_folder(here: Path) -> None:
    (here / "file").write_text("")
    assert "cannot write file" in refuse(*SMALL, *FEW, "--output", "file")


# Pictures


def test_figure_one(measured: Path, tmp_path: Path) -> None:
    file = measured / "gradients.json"
    with pytest.raises(ValueError, match=r"none.json does not exist"):
        draw_figure_one({"initialisation": tmp_path / "none.json"}, tmp_path / "figure1")
    draw_figure_one({"initialisation": file, "epoch 30": file}, tmp_path / "figure1")
    text = (tmp_path / "figure1.svg").read_text()
    assert "gumbel-softmax, epoch 30" in text
    assert (tmp_path / "figure1.png").exists()


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_pictures_of_any_part(measured: Path, count: int) -> None:
    points, norm = read_points(measured / "gradients.json")
    text = svg(gradient_figure(points[:count], norm))
    assert text == svg(gradient_figure(points[:count], norm))
    assert "variance, nats²" in text


def test_a_picture_of_exact_gradients() -> None:
    record = json.loads(succeed(*SMALL, "--estimators", "exact", "local-expectation", "--json").out)
    points = [Point.from_dict(row) for row in record["rows"]]
    assert "no variance: exact, local-expectation" in svg(gradient_figure(points, record["norm"]))


# Settings and seeds


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
    model = load_model(None, request(), data_dir=None, device="cpu", hidden=8)
    for name, learns in (("rebar", True), ("relax", True), ("direct", False)):
        estimator = build(TrainConfig(estimator=name).resolve())
        before = [p.detach().clone() for p in estimator.parameters()]
        adapt(estimator, model, 3, seed=0)
        assert estimator.step == (3 if learns else 0)
        moved = [not torch.equal(p, q) for p, q in zip(estimator.parameters(), before, strict=True)]
        assert any(moved) == learns
    mean = build(TrainConfig(estimator="score-function", num_samples=1).resolve())
    adapt(mean, model, 3, seed=0)
    assert mean.step == 3
    assert mean.latest()["baseline"] > 0
    assert all(parameter.grad is None for parameter in model.vae.parameters())


def test_adapting_takes_variance_away() -> None:
    flags = ("--estimators", "score-function", "--draws", 300, "--json")
    before, after = (
        json.loads(succeed(*SMALL, *flags, "--adapt", steps).out)["rows"][0]["variance"]["value"]
        for steps in (0, 50)
    )
    assert after < 0.1 * before


# Refusals


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--estimators dirct", "unknown estimator 'dirct'"),
        ("--estimators arm", "--estimator arm needs binary variables"),
        ("--estimators clamped-argmax direct", "needs --encoder pairwise"),
        ("--epsilons 0", "--epsilons must be finite numbers above 0"),
        ("--epsilons tiny", "--epsilons"),
        ("--epsilons --draws 4", "--epsilons must name at least one value"),
        ("--temperatures -1", "--temperatures must be finite numbers above 0"),
        ("--sides three", "unknown side 'three': choose from one, two"),
        ("--draws 3", "--draws must be at least 4, got 3"),
        ("--draws many", "--draws must be an integer, got 'many'"),
        ("--images 0", "--images must be at least 1, got 0"),
        ("--images 1198", "--images 1198 is more than the 1197 train images of digits"),
        ("--split trian", "did you mean 'train'?"),
        ("--samples 0", "--samples must be at least 1"),
        ("--adapt -1", "--adapt must be at least 0"),
        ("--seed -1", "--seed must be at least 0"),
        ("--data mnst", "unknown data set 'mnst'"),
        ("--values 1", "--values must be at least 2"),
        ("--variables 20 --values 2", "2^20 states, and at most 65,536"),
        ("--device tpu", "unknown device 'tpu'"),
        ("--resume", "--resume needs --output"),
        ("--resume --output none", "none/gradients.json does not exist"),
        ("none", "none/config.json does not exist"),
        ("--epsilom 1", "did you mean"),
    ],
)
def test_refused(here: Path, flags: str, words: str) -> None:
    message = refuse("gradients", *flags.split())
    assert words in message
    assert len(message) < 350
    assert list(here.iterdir()) == []


def test_interrupted_without_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gradient_table, "measure_gradient", stop)
    outcome: Outcome = call(*SMALL, *FEW)
    assert (outcome.code, outcome.message) == (130, "stopped after 0 of 12 estimators")


def test_an_estimator_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gradient_table.measure_gradient

    def fail(gradients: Any, label: str, *arguments: Any, **settings: Any) -> Any:
        if label.startswith("gumbel"):
            raise ValueError("no gradient")
        return plain(gradients, label, *arguments, **settings)

    monkeypatch.setattr(gradient_table, "measure_gradient", fail)
    out = succeed(*SMALL, "--epsilons", 1, "--temperatures", 1).out
    assert "without gumbel-softmax τ=1: no gradient" in out
    assert "no gradient" in refuse(*SMALL, "--estimators", "gumbel-softmax")


def test_help_without_torch() -> None:
    code = (
        "import sys; from directmax.tool.cli import main\n"
        "try: main(['gradients', '--help'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.startswith("usage: directmax gradients")
    assert result.stdout.splitlines()[-1] == "False"
    assert max(map(len, result.stdout.splitlines())) <= 100
