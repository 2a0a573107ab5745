"""Tables, curves and findings hold what the numbers say, beside the published ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from report_folder import MACHINE, ReportFolder

from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.look.content import Cell, Table
from directmax.tool.paper.report import collect
from directmax.tool.paper.report.layout import Section, compared
from directmax.tool.paper.report.results import Spread
from directmax.tool.paper.report.sections import sections
from directmax.tool.paper.report.sections.structured import overtaking


def config(seed: int = 0, **settings: object) -> ResolvedConfig:
    return TrainConfig(**{"data": "mnist", "seed": seed, "starts": 1, **settings}).resolve()  # type: ignore[arg-type]


def only_section(folder: ReportFolder) -> Section:
    (section,) = sections(collect(folder.write()))
    return section


def row(table: Table, head: str) -> dict[str, Cell]:
    """The cells of a row, by column."""
    (found,) = [cells for cells in table.cells if cells[0].main == head]
    return dict(zip(table.columns, found, strict=True))


@pytest.fixture
def table1(tmp_path: Path) -> ReportFolder:
    """k = 10 of MNIST with two seeds, k = 20 without Gumbel-Softmax; digits, which nobody has."""
    folder = ReportFolder(tmp_path / "out")
    bounds = {
        "exact": (164.60, 164.80),
        "direct": (165.30, 165.50),
        "gumbel-softmax": (167.0, 167.2),
        "ours": (164.50, 164.52),
    }
    for method, pair in bounds.items():
        for seed, bound in enumerate(pair):
            folder.training(["table1"], f"{method}-{seed}", config(seed), bound, method=method)
    twenty = config(values=20)
    folder.training(["table1"], "exact-20", twenty, 152.0, method="exact")
    folder.training(["table1"], "direct-20", twenty, 160.0, method="direct")
    folder.training(["table1"], "ours-20", twenty, 153.0, method="ours")
    folder.add(
        ["table1"], "gs-20", "train", twenty.to_dict(),
        {"data": "mnist", "values": 20, "method": "gumbel-softmax", "seed": 0},
        state="failed", error="loss became NaN",
    )  # fmt: skip
    folder.training(["table1"], "digits", TrainConfig().resolve(), 17.0, method="direct")
    em = folder.add(
        ["table1"], "em", "mixture", {"data": "mnist", "values": 10},
        {"data": "mnist", "values": 10, "method": "em", "seed": 0}, state="done",
    )  # fmt: skip
    (em / "result.json").write_text('{"test": {"nll": 164.49, "bound": 164.49}}')
    return folder


def test_table_1_has_published_ours_and_difference(table1: ReportFolder) -> None:
    section = only_section(table1)
    titles = [table.title for table in section.tables]
    assert titles == ["scikit-learn digits", "MNIST"]
    ten = row(section.tables[1], "10")
    assert list(ten) == [
        "k", "unbiased (enumeration)", "direct", "Gumbel-Softmax", "ours, the default",
        "reference: EM",
    ]  # fmt: skip
    assert ten["direct"] == Cell("165.40 ± 0.14", "paper 165.26", "+0.14", "bad")
    assert ten["Gumbel-Softmax"] == Cell("167.10 ± 0.14", "paper 167.88", "−0.78", "good")
    assert ten["ours, the default"] == Cell(
        "164.51 ± 0.01", "best (unbiased) 164.53", "−0.02", "good"
    )
    assert ten["reference: EM"] == Cell("164.49", "ours − EM", "+0.02")
    twenty = row(section.tables[1], "20")
    assert twenty["Gumbel-Softmax"] == Cell("–", "paper 156.41")
    assert twenty["reference: EM"].faint
    assert row(section.tables[0], "10")["direct"] == Cell("17.00")


def test_table_1_counts_its_aims(table1: ReportFolder) -> None:
    first, second = only_section(table1).findings
    assert first.startswith("In 1 of 2 cells the paper's direct method comes within 1 nat")
    assert second.startswith("In 1 of 2 cells our default is at or below the best published")


def test_figure_2_compares_times_and_names_their_source(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for method, seconds in {"direct": 3.0, "gumbel-softmax": 2.0, "ours": 1.0}.items():
        made = config(starts=3 if method == "ours" else 1)
        folder.training(["figure2"], method, made, 165.0, seconds=seconds, method=method)
    section = only_section(folder)
    (table,) = section.tables
    rows = {cells[1].main: cells for cells in table.cells}
    assert rows["direct"][3] == Cell("1.50", "paper 1.50", "0.00", "good")
    assert rows["ours, the default"][3] == Cell("0.50")
    assert "median of the run itself" in table.note
    assert section.findings[1] == (
        "An epoch of our default takes 0.50 times that of Gumbel-Softmax."
    )
    epochs, time = section.figures[0].charts
    assert epochs.series[0].x == [1, 2, 3, 4]
    ends = {series.label: series.x[-1] for series in time.series}
    assert ends["direct"] == pytest.approx(4 * 3.0)
    # Two more starts of a sixth of 120 epochs, before the fourth epoch.
    assert ends["ours, the default"] == pytest.approx((4 + 2 * 20) * 1.0)


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


def test_table_2_has_accuracy_bound_and_others(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for labels in (50, 100):
        for seed in (0, 1):
            made = config(seed, model="mixed", labels=labels, binarize="dynamic")
            folder.training(
                ["table2"], f"run-{labels}-{seed}", made, 100.0 + seed, accuracy=0.94 + seed / 100,
                labels=labels, method="direct",
            )  # fmt: skip
    section = only_section(folder)
    (table,) = section.tables
    assert row(table, "100")["direct"] == Cell("94.50 ± 0.71 %", "100.50 ± 0.71 nats")
    assert row(table, "100")["Kingma et al. 2014"] == Cell("M2 88.0; M1+M2 96.7")
    assert row(table, "50")["Kingma et al. 2014"].faint
    assert "not in the text" in section.notes[0]


def test_table_2_says_who_is_ahead(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    accuracies = {50: (0.90, 0.92), 100: (0.95, 0.94), 300: (0.96, 0.955)}
    for labels, pair in accuracies.items():
        for method, accuracy in zip(("direct", "gumbel-softmax"), pair, strict=True):
            made = config(model="mixed", labels=labels, estimator=method)
            folder.training(
                ["table2"], f"{method}-{labels}", made, 100.0, accuracy=accuracy, labels=labels,
                method=method,
            )  # fmt: skip
    assert only_section(folder).findings == [
        "MNIST: direct is more accurate than Gumbel-Softmax with 2 of 3 numbers of labels "
        "(by −2.00 to +1.00 points).",
    ]


def test_figure_5_has_the_accuracy_of_every_attribute(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for method, male in (("local-expectation", 1.0), ("direct", 0.98)):
        made = TrainConfig(data="celeba", model="attributes", labels=48, estimator=method).resolve()
        folder.training(
            ["figure5"], f"figure5-{method}", made, 50_000.0,
            attributes={"Smiling": 0.96, "Male": male}, labels=48, method=method,
        )  # fmt: skip
    folder.write()
    plan = json.loads((folder.root / "plan.json").read_text())
    plan["items"][0]["needs"] = "figure5 is without fashion-mnist"
    (folder.root / "plan.json").write_text(json.dumps(plan))
    (section,) = sections(collect(folder.root))
    assert "figure5 is without fashion-mnist" in section.notes
    (table,) = section.tables
    assert table.title == "CelebA"
    assert table.columns[1:] == ("labels", "Smiling", "Male", "mean", "bound")
    assert [cell.main for cell in table.cells[0]] == [
        "direct", "48", "96.00", "98.00", "97.00", "50000.00",
    ]  # fmt: skip
    assert [picture.title for picture in section.pictures] == [
        "CelebA, 48 labels, local expectation (ours)",
        "CelebA, 48 labels, direct",
    ]


def attributes(folder: ReportFolder, labels: int, seed: int, smiling: float) -> None:
    made = TrainConfig(data="celeba", model="attributes", labels=labels, seed=seed).resolve()
    shares = {"Smiling": smiling, "Male": 0.9}
    folder.training(
        ["figure5"], f"{labels}-{seed}", made, 50_000.0, attributes=shares, labels=labels,
        method="direct",
    )  # fmt: skip


def test_figure_5_has_deviations_over_seeds_and_every_number_of_labels(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for seed, smiling in enumerate((0.94, 0.96)):
        attributes(folder, 1628, seed, smiling)
    attributes(folder, 48, 0, 0.80)
    section = only_section(folder)
    (table,) = section.tables
    assert [[cell.main for cell in cells[:4]] for cells in table.cells] == [
        ["direct", "1,628", "95.00 ± 1.41", "90.00 ± 0.00"],
        ["direct", "48", "80.00", "90.00"],
    ]
    assert [picture.title for picture in section.pictures] == [
        "CelebA, 1,628 labels, direct, seed 0",
        "CelebA, 1,628 labels, direct, seed 1",
        "CelebA, 48 labels, direct, seed 0",
    ]


def test_figure_4_names_the_seeds_where_there_are_several(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    titles = ["MNIST, no labels, direct"]
    for seed in (0, 1):
        made = config(seed, model="mixed")
        folder.training(["figure4"], f"run-{seed}", made, 100.0, labels=0, method="direct")
        section = only_section(folder)
        assert [picture.title for picture in section.pictures] == titles
        assert [cells[0].main for cells in section.tables[0].cells] == titles
        titles = ["MNIST, no labels, direct, seed 0", "MNIST, no labels, direct, seed 1"]


def test_an_item_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    folder.write(needs={"figure5": "figure5 needs CelebA"})
    (section,) = sections(collect(folder.root))
    assert section.notes == ("figure5 needs CelebA",)
    assert not section.tables


def test_items_come_in_the_papers_order(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path / "out")
    for name in ("table2", "figure4", "figure1", "table1"):
        folder.training([name], name, config(), 100.0)
    names = [section.name for section in sections(collect(folder.write()))]
    assert names == ["figure1", "table1", "table2", "figure4"]


def test_higher_accuracy_is_better() -> None:
    accuracy = Spread.of([95.0])
    cell = compared(accuracy, 94.0, "paper", unit=" %", lower_is_better=False)
    assert cell == Cell("95.00 %", "paper 94.00", "+1.00", "good")
