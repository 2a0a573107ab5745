"""Curves, times and who overtakes whom: figures 2 and 3 hold what the numbers say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from report_folder import MACHINE, ReportFolder, config, only_section

from directmax.tool.config import TrainConfig
from directmax.tool.look.content import Cell
from directmax.tool.paper.report import collect
from directmax.tool.paper.report.sections.structured import overtaking


def test_figure_2_compares_times_and_names_their_source(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for method, seconds in {"direct": 3.0, "gumbel-softmax": 2.0, "ours": 1.0}.items():
        made = config(starts=3 if method == "ours" else 1)
        folder.training(["figure2"], method, made, 165.0, seconds=seconds, method=method)
    section = only_section(folder)
    (table,) = section.tables
    rows = {cells[1].main: cells for cells in table.cells}
    assert rows["direct"][3] == Cell("1.50", "paper 1.50", "0.00", "good")
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
    assert rows["direct"][3] == Cell("0.50", "paper 1.50", "−1.00", "good")
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


def structured(
    folder: ReportFolder,
    encoder: str,
    curve: list[float],
    *,
    machine: Mapping[str, Any] = MACHINE,
    measured: float | None = None,
    **settings: object,
) -> None:
    flags = {"data": "fashion-mnist", "variables": 15, "values": 2, "encoder": encoder, **settings}
    name = f"{encoder}-{len(folder.jobs)}"
    made = TrainConfig(**{"estimator": "direct", **flags}).resolve()  # type: ignore[arg-type]
    folder.training(
        ["figure3"], name, made, curve[-1], curve=curve, nll=curve[-1] - 5, encoder=encoder,
        method=made.estimator, machine=machine, seconds_per_epoch=measured,
    )  # fmt: skip


def test_figure_3_separates_estimators_and_encoders(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    structured(folder, "independent", [200.0, 170.0, 162.0])
    structured(folder, "independent", [200.0, 165.0, 155.0], estimator="local-expectation")
    structured(folder, "independent", [200.0, 165.0, 158.0], estimator="rebar")
    structured(folder, "supermodular", [190.0, 160.0, 155.0])
    structured(folder, "pairwise", [195.0, 158.0, 154.0])
    section = only_section(folder)
    estimators, encoders = section.tables
    names = ["local expectation (ours)", "REBAR", "direct"]
    assert [cells[0].main for cells in estimators.cells] == names  # the best first
    assert [(cells[0].main, cells[1].main) for cells in encoders.cells] == [
        ("independent", "direct"),
        ("independent", "local expectation (ours)"),
        ("super-modular, max-flow", "direct"),
        ("general", "direct"),
    ]
    assert any(
        "from epoch 2 on (paper: below from epoch 85 on)" in text for text in section.findings
    )


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
    structured(folder, "pairwise", [195.0, 154.0], measured=3.0)
    section = only_section(folder)
    assert [cells[-1].main for cells in section.tables[1].cells] == ["1.00", "3.00"]
    assert [series.x[-1] for series in section.figures[1].charts[1].series] == [2.0, 6.0]


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
    assert [table.cells[0][-5].main for table in section.tables[::2]] == [
        "160.50 ± 0.71",
        "110.50 ± 0.71",
    ]
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
    lowest = "{}: of the estimators with independent variables direct has the lowest"
    overtakes = "{}: the general encoder's validation bound"
    beginnings = [
        (lowest.format("Fashion-MNIST"), ""),
        ("Fashion-MNIST, with the direct estimator: test −log p(x) independent 155.50", ""),
        (overtakes.format("Fashion-MNIST"), "does not end below"),
        (lowest.format("Omniglot"), ""),
        ("Omniglot, with the direct estimator: test −log p(x) independent 105.50", ""),
        (overtakes.format("Omniglot"), "from epoch 2 on"),
    ]
    assert len(section.findings) == len(beginnings)
    for text, (beginning, within) in zip(section.findings, beginnings, strict=True):
        assert text.startswith(beginning)
        assert within in text


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
