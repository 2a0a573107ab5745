"""The command `directmax gradients`: what it measures, saves, resumes, draws and refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from command_line import TINY, Outcome, call, read, refuse, succeed
from directmax.estimators import ESTIMATORS
from directmax.laboratory import Setting, _timing
from directmax.tool.files import RunError
from directmax.tool.measure import gradients as gradient_table
from directmax.tool.measure.gradient_request import GradientRequest
from directmax.tool.measure.gradients import (
    GradientTable,
    draw_figure_one,
    measure_gradients,
    read_gradients,
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


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    succeed(*TINY, "--values", 3, "--run-dir", folder)
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished measurement."""
    folder = tmp_path_factory.mktemp("measured") / "new" / "folder"
    out = succeed(*SMALL, *FEW, *TWO, "--output", folder).out
    (folder / "out").write_text(out)
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    """What was measured, without the times."""
    return [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in read(folder / "gradients.json")["rows"]
    ]


def request(**settings: Any) -> GradientRequest:
    """Small, with one value of everything."""
    few: dict[str, Any] = {"draws": 4, "images": 3, "adapt": 0, "sides": ("one",), "hidden": 8}
    return GradientRequest(**{**few, "epsilons": (1.0,), "temperatures": (0.5,), **settings})


def found(run_dir: Path | None = None, **settings: Any) -> GradientTable:
    """What is measured on the CPU."""
    return measure_gradients(request(**settings), run_dir=run_dir, device="cpu")


# What it prints


def test_table(measured: Path) -> None:
    lines = (measured / "out").read_text().splitlines()
    assert re.fullmatch(r"1/6  direct ε=1: bias .* variance .* \(nats, nats²\)", lines[0])
    words = [*LABELS, "variance", "MSE", "cosine", "5 gradients of 10 entries", "nats", "wrote"]
    assert [word for word in words if not any(word in line for line in lines[6:])] == []
    assert max(map(len, lines[:-1])) <= 140


def test_json(measured: Path) -> None:
    flags = ("--estimators", "gumbel-softmax", "--temperatures", 1.0, "--json")
    record = json.loads(succeed(*SMALL, *flags).out)
    assert (record["reference"], record["num_problems"], record["num_entries"]) == ("exact", 5, 10)
    assert record["configuration"]["draws"] == 40
    assert record["versions"]["torch"] == torch.__version__
    assert record["notes"] == []
    # Numbers do not depend on what else is measured.
    alone = [{**row, "seconds": None} for row in record["rows"]]
    among = [row for row in read(measured / "gradients.json")["rows"] if row["temperature"] == 1]
    assert alone == [{**row, "seconds": None} for row in among]


def test_everything_that_can_be_used() -> None:
    table = found()
    families = {point.setting.family.split()[0] for point in table.points}
    left_out = {re.findall(r"without ([a-z-]+):", note)[0] for note in table.notes}
    assert families | left_out == set(ESTIMATORS)
    assert left_out == {"clamped-argmax", "arm", "disarm"}
    assert table.comparison["exact"].variance.value == 0
    assert table.comparison["local-expectation"].bias.value < 1e-6
    labels = {row.label for row in table.comparison}
    assert {"rebar", "relax", "score-function"} <= labels  # no grid of what they learn
    assert GradientTable.from_dict(table.to_dict()) == table


def test_binary_variables() -> None:
    chosen = ("arm", "disarm", "direct")
    table = found(variables=3, values=2, estimators=chosen, epsilons=(1.0, "auto"))
    assert [row.label for row in table.comparison] == ["arm", "disarm", *LABELS[:2]]
    assert [row.evaluations for row in table.comparison] == [2, 2, 4, 4]


def test_a_mixed_run(tmp_path: Path) -> None:
    """Its Gaussians are drawn once: the local expectation is exact for them."""
    folder = tmp_path / "run"
    succeed(*TINY, "--model", "mixed", "--labels", "10", "--epochs", "1", "--run-dir", folder)
    table = found(folder, hidden=None, draws=10, estimators=("local-expectation", "direct"))
    local, direct = table.comparison
    assert local.variance.value < 1e-9 * table.norm**2
    assert local.bias.value < 1e-5 * table.norm
    assert direct.variance.value > 0


def test_coupled_variables() -> None:
    chosen = ("clamped-argmax", "exact", "direct", "implicit-mle")
    table = found(encoder="pairwise", variables=3, estimators=chosen, rao_blackwell=True)
    assert [row.label for row in table.comparison] == [
        *chosen[:2],
        "direct ε=1",
        "implicit-mle ε=1",
    ]
    assert any("perturb-and-MAP" in note for note in table.notes)
    assert (table.comparison.num_problems, table.comparison.num_entries) == (3, 6)


def test_samples_are_averaged() -> None:
    chosen = ("local-expectation", "gumbel-softmax")
    one, four = (
        found(estimators=chosen, variables=2, draws=400, samples=samples).comparison
        for samples in (1, 4)
    )
    for row in one:
        assert four[row.label].variance.value == pytest.approx(row.variance.value / 4, rel=0.4)


# A run


def test_a_run(run_dir: Path) -> None:
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    test = found(run_dir, hidden=None, estimators=("direct",), split="test")
    fresh = found(values=3, hidden=12, estimators=("direct",))
    assert test.comparison.num_entries == fresh.comparison.num_entries == 3
    assert test.configuration["hidden"] == 12
    assert test.norm != fresh.norm
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_the_run_decides_the_model(run_dir: Path) -> None:
    for flag, value in (("data", "mnist"), ("values", 5), ("hidden", 5)):
        message = refuse("gradients", run_dir, f"--{flag}", value)
        assert message == f"--{flag} comes from the run {run_dir}; leave it out"


# Files


def test_files(measured: Path) -> None:
    assert sorted(path.name for path in measured.iterdir()) == [
        "gradients.json",
        "gradients.png",
        "gradients.svg",
        "out",
    ]
    text = (measured / "gradients.svg").read_text()
    assert "<svg" in text
    for words in ("temperature τ", "bias², nats²", "variance, nats²"):
        assert words in text
    with Image.open(measured / "gradients.png") as picture:
        assert picture.width > 1000
    table = read_gradients(measured / "gradients.json")
    assert [point.setting.label for point in table.points] == LABELS
    assert table.points[0].setting == Setting("direct", epsilon=1.0)
    assert table.norm > 0


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
    monkeypatch.setattr(gradient_table, "save_pictures", lambda table, folder: None)  # slow
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
    before = (folder / "gradients.json").read_bytes()
    settings = {"hidden": 8, "draws": 40, "images": 5, "adapt": 3, "temperatures": (0.5, 1.0)}
    chosen = {"estimators": ("direct", "gumbel-softmax"), "epsilons": (1.0, "auto")}
    asked = request(**settings, **chosen)
    table = measure_gradients(asked, device="cpu", output=folder, resume=True)
    assert [row.label for row in table.comparison] == LABELS
    assert calls == 7
    assert (folder / "gradients.json").read_bytes() == before


def test_refused_to_overwrite_or_to_mix(measured: Path) -> None:
    command = (*SMALL, *FEW, *TWO, "--output", measured)
    before = (measured / "gradients.json").read_bytes()
    assert refuse(*command).endswith(
        "exists: add --resume to continue it, or choose another --output"
    )
    message = refuse(*command, "--resume", "--draws", 50, "--seed", 1)
    assert "with another configuration: draws, seed, weights and images differ" in message
    assert (measured / "gradients.json").read_bytes() == before


def test_damaged_files_are_refused(measured: Path, here: Path) -> None:
    """Every kind of damage is in test_record.py."""
    whole = read(measured / "gradients.json")
    path = here / "gradients.json"
    row = whole["rows"][0]
    for damage in (
        {"rows": [{**row, "num_draws": "many"}]},
        {"rows": [{**row, "variance": {"value": "x", "low": 0, "high": 1, "error": None}}]},
        {"rows": [{**row, "epsilon": "tiny"}]},
        {"norm": "x"},
        {"notes": [1]},
    ):
        path.write_text(json.dumps({**whole, **damage}))
        with pytest.raises(RunError, match="damaged"):
            read_gradients(path)
    path.write_text(json.dumps({**whole, "rows": [3]}))
    assert "is damaged" in refuse(*SMALL, *FEW, *TWO, "--output", here, "--resume")


# Pictures


def test_figure_one(measured: Path, tmp_path: Path) -> None:
    file = measured / "gradients.json"
    with pytest.raises(ValueError, match=r"none.json does not exist"):
        draw_figure_one({"initialisation": tmp_path / "none.json"}, tmp_path / "figure1")
    draw_figure_one({"initialisation": file, "epoch 30": file}, tmp_path / "figure1")
    text = (tmp_path / "figure1.svg").read_text()
    assert "Gumbel-Softmax: epoch 30" in text
    assert (tmp_path / "figure1.png").exists()


def test_pictures_of_a_part(measured: Path) -> None:
    table = read_gradients(measured / "gradients.json")
    for points in ((), table.points[:1]):
        assert "variance, nats²" in svg(gradient_figure(points, table.norm))


def test_a_picture_of_exact_gradients() -> None:
    table = found(estimators=("exact", "local-expectation"))
    one, two = (svg(gradient_figure(table.points, table.norm)) for _ in range(2))
    assert "no variance: exact, local-expectation" in one
    assert one == two


def test_adapting_takes_variance_away() -> None:
    before, after = (
        found(estimators=("score-function",), draws=300, adapt=steps).points[0].statistics
        for steps in (0, 50)
    )
    assert after.variance.value < 0.1 * before.variance.value


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
        ("--draws 100000000000", "--draws must be at most 10,000,000"),
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
        ("--encoder subset", "independent, pairwise or supermodular, not subset"),
        (
            "--encoder pairwise --variables 3 --estimators score-function",
            "--estimators score-function needs a run of directmax train --perturbation states",
        ),
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
    assert "without gumbel-softmax τ=0.5: no gradient" in found().notes
    with pytest.raises(ValueError, match="no gradient"):
        found(estimators=("gumbel-softmax",))
