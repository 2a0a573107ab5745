"""Curves, times and who overtakes whom: figures 2 and 3 hold what the numbers say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from report_folder import MACHINE, ReportFolder, config, only_section

from directmax.tool.config import TrainConfig
from directmax.tool.look.content import Cell
from directmax.tool.paper.report import Outcome, collect
from directmax.tool.paper.report.curves import at_test_level
from directmax.tool.paper.report.sections.encoders import overtaking


def test_figure_2_compares_times_and_names_their_source(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for method, seconds in {"direct": 3.0, "gumbel-softmax": 2.0, "ours": 1.0}.items():
        made = config(starts=3 if method == "ours" else 1)
        folder.training(["figure2"], method, made, 165.0, seconds=seconds, method=method)
    section = only_section(folder)
    (table,) = section.tables
    rows = {cells[1].main: cells for cells in table.cells}
    assert rows["direct"][3] == Cell("1.50", "paper 1.51", "−0.01", "good")
    assert rows["ours, annealed"][3] == Cell("0.50")
    assert "median of the run itself" in table.note
    assert section.findings[1] == (
        "An epoch of our annealed direct takes 0.50 times that of Gumbel-Softmax."
    )
    epochs, time = section.figures[0].charts
    assert epochs.series[0].x == [1, 2, 3, 4]
    ends = {series.label: series.x[-1] for series in time.series}
    assert ends["direct"] == pytest.approx(4 * 3.0)
    # Two more starts of a sixth of 120 epochs, before the fourth epoch.
    assert ends["ours, annealed"] == pytest.approx((4 + 2 * 20) * 1.0)


def test_times_measured_in_turn_win(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for method, seconds in {"direct": 1.0, "gumbel-softmax": 2.0}.items():
        folder.training(
            ["figure2"], method, config(), 165.0, seconds=99.0, seconds_per_epoch=seconds,
            method=method,
        )  # fmt: skip
    (table,) = only_section(folder).tables
    rows = {cells[1].main: cells for cells in table.cells}
    assert rows["direct"][3] == Cell("0.50", "paper 1.51", "−1.01", "good")
    assert "each configuration in turn" in table.note


def test_times_of_two_kinds_are_not_compared(tmp_path: Path) -> None:
    """Only one of the two was measured in turn: the runs' own times are taken."""
    folder = ReportFolder(tmp_path / "out")
    for method, measured in {"direct": None, "gumbel-softmax": 50.0}.items():
        folder.training(
            ["figure2"], method, config(), 165.0, seconds=4.0, seconds_per_epoch=measured,
            method=method,
        )  # fmt: skip
    section = only_section(folder)
    (table,) = section.tables
    assert {cells[1].main: cells[3].main for cells in table.cells}["direct"] == "1.00"
    assert "median of the run itself" in table.note
    ends = [series.x[-1] for series in section.figures[0].charts[1].series]
    assert ends == [16.0, 16.0]


OTHER = {**MACHINE, "threads": 4}
"""The same machine, used otherwise."""


def test_times_of_different_machines_are_not_compared(tmp_path: Path) -> None:
    """Of MNIST they are; the digits, of one machine, keep their ratio and their axis."""
    folder = ReportFolder(tmp_path / "out")
    for data, other in (("digits", MACHINE), ("mnist", OTHER)):
        for method, machine in {"direct": MACHINE, "gumbel-softmax": other}.items():
            folder.training(
                ["figure2"], f"{data}-{method}", config(data=data), 165.0, machine=machine,
                seconds=3.0, seconds_per_epoch=2.0, method=method,
            )  # fmt: skip
    section = only_section(folder)
    (table,) = section.tables
    assert [cells[3].main for cells in table.cells] == ["1.00", "1.00", "–", "–"]
    assert [cells[2].main for cells in table.cells] == ["2.00", "2.00", "3.00", "3.00"]
    assert "scikit-learn digits, k = 10: Seconds of an epoch were measured" in table.note
    assert "MNIST, k = 10: The runs are of different machines, so their times" in table.note
    assert [(c.title, c.x_label) for c in section.figures[0].charts] == [
        ("scikit-learn digits, k = 10", "epoch"),
        ("scikit-learn digits, k = 10", "seconds of training"),
        ("MNIST, k = 10", "epoch"),
    ]
    assert "An epoch of the direct method takes 1.00 times" in section.findings[0]


def test_seeds_of_different_machines_have_no_mean_time(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for seed, machine in enumerate((MACHINE, OTHER)):
        folder.training(
            ["figure2"], f"run-{seed}", config(seed), 165.0, machine=machine, method="direct"
        )
    (table,) = only_section(folder).tables
    assert table.cells[0][2] == Cell("–")


def test_curves_are_means_with_deviations(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for seed, curve in enumerate(([10.0, 8.0, 6.0], [12.0, 8.0, 4.0])):
        folder.training(["figure2"], f"run-{seed}", config(seed), 5.0, curve=curve, method="direct")
    series = only_section(folder).figures[0].charts[0].series[0]
    assert series.y == [11.0, 8.0, 5.0]
    assert series.low == pytest.approx((11 - 2**0.5, 8.0, 5 - 2**0.5))


PROTOCOL = {"kl_start": 1.0, "learning_rate_schedule": "constant"}
SIZES = {"variables": 15, "values": 2, "refine": False}


def structured(
    folder: ReportFolder,
    encoder: str,
    curve: list[float],
    *,
    machine: Mapping[str, Any] = MACHINE,
    measured: float | None = None,
    method: str = "",
    amortized: float | None = None,
    **settings: object,
) -> None:
    """A run of figure 3 by the published protocol; its bound ends with the curve."""
    flags = {"data": "fashion-mnist", "encoder": encoder, **SIZES, **PROTOCOL, **settings}
    name = f"{encoder}-{len(folder.jobs)}"
    made = TrainConfig(**{"estimator": "direct", **flags}).resolve()  # type: ignore[arg-type]
    folder.training(
        ["figure3"], name, made, min(curve), curve=curve, nll=curve[-1] - 5, encoder=encoder,
        method=method or made.estimator, machine=machine, seconds_per_epoch=measured,
        more={} if amortized is None else {"amortized": amortized},
    )  # fmt: skip


def test_figure_3_separates_estimators_and_encoders(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "independent", [200.0, 170.0, 162.0])
    structured(folder, "independent", [200.0, 165.0, 155.0], estimator="arm")
    structured(folder, "independent", [200.0, 165.0, 158.0], estimator="rebar")
    structured(folder, "supermodular", [190.0, 160.0, 155.0])
    structured(folder, "pairwise", [195.0, 158.0, 154.0])
    section = only_section(folder)
    estimators, encoders = section.tables
    assert [cells[0].main for cells in estimators.cells] == ["ARM", "REBAR", "direct"]
    assert [(cells[0].main, cells[1].main) for cells in encoders.cells] == [
        ("independent", "direct"),
        ("super-modular, max-flow", "direct"),
        ("general", "direct"),
    ]
    assert any(
        "from epoch 2 on (paper: below from epoch 85 on)" in text for text in section.findings
    )


def test_figure_3_is_beside_the_published_curves(tmp_path: Path) -> None:
    """Of three epochs the published ones count; what holds follows from the numbers."""
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "independent", [210.0, 203.0, 205.0])
    structured(folder, "independent", [220.0, 207.0, 206.0], estimator="rebar")
    structured(folder, "independent", [150.0, 140.0], method="default", amortized=150.0, **{
        "estimator": "local-divergence", **dict.fromkeys(PROTOCOL), "refine": None,
    })  # fmt: skip
    section = only_section(folder)
    (table,) = section.tables
    default, direct, rebar = (dict(zip(table.columns, cells, strict=True)) for cells in table.cells)
    # At the third epoch, 2 from 0, direct's curve is at 204.2 − 30.2/19, REBAR's at 208.4 − 3.4.
    assert direct["bound"] == Cell("203.00", "published lowest 202.61", "+0.39", "bad")
    there = Cell("203.00", "published there 202.61", "+0.39", "bad")
    assert direct["bound at the last epoch"] == there
    assert rebar["bound"] == Cell("206.00", "published lowest 205.00", "+1.00", "bad")
    own = Cell("150.00", "lowest published (direct) 151.90", "−1.90", "good")
    assert (default["bound"], default["encoder's own bound"]) == (Cell("140.00"), own)
    assert any("2 of 2 estimators comes within 1 nat" in text for text in section.findings)
    assert any(text.startswith("Holds: ") and "direct, REBAR" in text for text in section.findings)
    assert any("−1.90 to the lowest published, 151.9" in text for text in section.findings)
    chart = section.figures[0].charts[0]
    lines = {series.label: series for series in chart.series}
    assert lines["direct, published"].dash == "dotted"
    assert lines["direct, published"].color == lines["direct"].color
    assert lines["direct, published"].x[0] == lines["direct"].x[0] == 1
    assert lines["direct"].y == [208.0, 201.0, 203.0]  # the chosen epoch, the last, is at 203


def test_an_order_that_is_not_published_does_not_hold(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "independent", [210.0, 206.0])
    structured(folder, "independent", [210.0, 205.0], estimator="rebar")
    found = [text for text in only_section(folder).findings if text.startswith("Does not hold: ")]
    assert len(found) == 1
    assert found[0].endswith("the order is direct, REBAR; here it is REBAR, direct.")


def test_curves_on_the_level_of_the_test_images() -> None:
    made = Outcome(
        "", "train", {}, {}, "", "done", test={"bound": 150.0}, best_epoch=4,
        curves={"epoch": [1, 3, 5], "bound": [170.0, 160.0, 156.0]},
    )  # fmt: skip
    assert at_test_level(made, "bound").curves["bound"] == [162.0, 152.0, 148.0]
    assert at_test_level(made, "nll") == made


def test_figure_3_has_the_times_of_steps(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    cell = {"data": "fashion-mnist", "seed": 0}
    path = folder.add(["figure3"], "steps", "steps", {}, cell, state="done")
    times = {5: (0.002, 0.003, 0.004), 15: (0.004, 0.005, 0.6)}
    names = ("supermodular-direct", "pairwise-direct", "pairwise-gumbel-softmax")
    rows = [
        {"method": name, "variables": n, "seconds": seconds}
        for n, each in times.items()
        for name, seconds in zip(names, each, strict=True)
    ]
    (path / "result.json").write_text(json.dumps({"rows": rows}))
    section = only_section(folder)
    (table,) = section.tables
    assert [str(cell) for cell in table.cells[1]] == [
        "15", "0.00400 (paper 0.04)", "0.00500 (paper 0.04)", "0.600 (paper 5.95)",
        "150 (paper 149)",
    ]  # fmt: skip
    (finding,) = section.findings
    assert "32,768 states takes 0.600 s, 150 times" in finding
    assert "150-fold, direct 2-fold" in finding
    dotted = [series for series in section.figures[0].charts[0].series if series.dash == "dotted"]
    assert [series.y[-1] for series in dotted] == [0.04, 5.95]


def test_encoders_are_beside_the_last_published_values(tmp_path: Path) -> None:
    """By the authors' quantity one claim holds, by the bound the other one."""
    folder = ReportFolder(tmp_path / "out")
    for encoder, bound, authors in (
        ("independent", 153.0, None), ("supermodular", 150.0, 149.0), ("pairwise", 152.0, 146.0),
    ):  # fmt: skip
        structured(folder, encoder, [190.0, bound])
        run = folder.root / "jobs" / f"{encoder}-{len(folder.jobs) - 1}" / "summary.json"
        summary = json.loads(run.read_text())
        summary["test"]["authors"] = authors
        run.write_text(json.dumps(summary))
    section = only_section(folder)
    table = section.tables[1]
    cells = {row[0].main: dict(zip(table.columns, row, strict=True)) for row in table.cells}
    assert cells["independent"]["authors' quantity"] == Cell("153.00", "paper 153.00", "0.00",
                                                             "good")  # fmt: skip
    general = cells["general"]
    assert general["authors' quantity"] == Cell("146.00", "paper 145.00", "+1.00", "bad")
    assert general["training"].below.startswith("paper ")
    verdicts = [text.partition(": ")[0] for text in section.findings if "beat" in text]
    assert verdicts == ["Holds", "Holds", "Holds", "Does not hold", "Holds", "Does not hold"]


def test_other_schedules_are_no_statement_on_figure_3(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "independent", [200.0, 150.0], kl_start="auto")
    structured(folder, "pairwise", [200.0, 140.0], kl_start="auto")
    section = only_section(folder)
    assert section.findings == []
    assert ["otherwise than the paper" in table.title for table in section.tables] == [True] * 2
    assert all("No statement on the paper's figure" in table.note for table in section.tables)


def test_figure_3_compares_times_of_one_machine_only(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "independent", [200.0, 162.0])
    structured(folder, "independent", [200.0, 155.0], estimator="rebar")
    structured(folder, "pairwise", [195.0, 154.0], machine=OTHER)
    estimators, encoders = only_section(folder).figures
    assert estimators.charts[1].x_label == "seconds of training"
    assert "median of the run itself" in estimators.note
    assert {chart.x_label for chart in encoders.charts} == {"epoch"}
    assert "The runs are of different machines" in encoders.note


def test_a_table_of_figure_3_has_the_times_of_its_curves(tmp_path: Path) -> None:
    """An estimator that was not timed is in neither, and does not decide what the two show."""
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "independent", [200.0, 162.0], measured=1.0)
    structured(folder, "independent", [200.0, 155.0], estimator="rebar")
    structured(folder, "pairwise", [195.0, 154.0], measured=60.0)
    section = only_section(folder)
    assert [cells[-1].main for cells in section.tables[1].cells] == ["2 s", "2 min"]
    by_time = section.figures[1].charts[3]
    assert [series.x[-1] for series in by_time.series] == [2.0, 120.0]


def test_figure_3_keeps_data_sets_apart(tmp_path: Path) -> None:
    """Whatever is averaged is of one data set, and so is the deviation over seeds."""
    folder = ReportFolder(tmp_path / "out")
    for data, high in (("fashion-mnist", 160.0), ("omniglot", 110.0)):
        for seed in (0, 1):
            end = high + seed
            structured(folder, "independent", [high + 9, end], data=data, seed=seed)
            structured(folder, "supermodular", [high + 5, end - 2], data=data, seed=seed)
            general = end - 3 if data == "omniglot" else end - 1
            structured(folder, "pairwise", [high + 6, general], data=data, seed=seed)
    section = only_section(folder)
    assert [table.title for table in section.tables] == [
        "Fashion-MNIST, independent variables: estimators",
        "Fashion-MNIST: encoders",
        "Omniglot, independent variables: estimators",
        "Omniglot: encoders",
    ]
    bounds = [dict(zip(t.columns, t.cells[0], strict=True))["bound"] for t in section.tables[::2]]
    assert [cell.main for cell in bounds] == ["160.50 ± 0.71", "110.50 ± 0.71"]
    assert [bool(cell.below) for cell in bounds] == [True, False]  # published of one alone
    assert [figure.name for figure in section.figures] == [
        "figure3-fashion-mnist-estimators",
        "figure3-fashion-mnist-encoders",
        "figure3-omniglot-estimators",
        "figure3-omniglot-encoders",
    ]
    assert [figure.charts[0].series[0].y for figure in section.figures[::2]] == [
        [169.0, 160.5],
        [119.0, 110.5],
    ]
    overtakes = [text for text in section.findings if "validation bound" in text]
    assert ["does not end below" in text for text in overtakes] == [True, False]
    assert "Omniglot" in overtakes[1]


@pytest.mark.parametrize(
    ("general", "supermodular", "epoch"),
    [
        ([9.0, 8.0, 7.0], [8.0, 8.5, 8.0], 2),
        ([7.0, 9.0, 7.0], [8.0, 8.5, 8.0], 3),  # ahead, behind, ahead: the last time counts
        ([7.0, 7.0, 9.0], [8.0, 8.0, 8.0], 0),
    ],
)
def test_when_the_general_encoder_overtakes(
    tmp_path: Path, general: list[float], supermodular: list[float], epoch: int
) -> None:
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "pairwise", general)
    structured(folder, "supermodular", supermodular)
    assert overtaking(collect(folder.write()).outcomes) == epoch


def test_overtaking_needs_both(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "pairwise", [9.0])
    assert overtaking(collect(folder.write()).outcomes) is None
