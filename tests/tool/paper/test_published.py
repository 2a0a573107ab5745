"""Published numbers: what the paper's text says of them holds, and what is unknown says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from directmax.tool.paper import published, slides
from directmax.tool.paper.deviations import DEVIATIONS, deviations_of

DOCS = Path(__file__).parents[3] / "docs"
CELLS = [
    (data, values) for data in ("mnist", "fashion-mnist", "omniglot") for values in published.VALUES
]


def number(data: str, values: int, method: str) -> float:
    value = published.table1(data, values, method).value
    assert value is not None
    return value


@pytest.mark.parametrize(("data", "values"), CELLS)
def test_direct_is_better_than_gumbel_softmax_everywhere(data: str, values: int) -> None:
    assert number(data, values, "direct") < number(data, values, "gumbel-softmax")


@pytest.mark.parametrize("values", published.VALUES)
def test_on_fashion_mnist_direct_is_better_than_unbiased(values: int) -> None:
    assert number("fashion-mnist", values, "direct") < number("fashion-mnist", values, "exact")


def test_table_1_adds_up_to_the_published_table() -> None:
    """Sums over the rows, taken from the paper's own table: a changed digit would show."""
    sums = {
        ("mnist", "exact"): 764.24,
        ("mnist", "direct"): 750.05,
        ("mnist", "gumbel-softmax"): 770.12,
        ("fashion-mnist", "exact"): 1047.02,
        ("fashion-mnist", "direct"): 975.21,
        ("fashion-mnist", "gumbel-softmax"): 1033.47,
        ("omniglot", "exact"): 767.81,
        ("omniglot", "direct"): 757.66,
        ("omniglot", "gumbel-softmax"): 804.32,
    }
    for (data, method), total in sums.items():
        assert sum(number(data, k, method) for k in published.VALUES) == pytest.approx(total)


def test_table_2_adds_up_to_the_published_table() -> None:
    """Sums over the rows, taken from the slide: a changed digit would show."""
    sums = {
        ("mnist", "direct"): (477.9, 452.79),
        ("mnist", "gumbel-softmax"): (449.8, 452.02),
        ("fashion-mnist", "direct"): (346.3, 652.866),
        ("fashion-mnist", "gumbel-softmax"): (339.5, 649.274),
    }
    for (data, method), totals in sums.items():
        for measure, total in zip(("accuracy", "bound"), totals, strict=True):
            cells = [published.table2(data, labels, method, measure) for labels in slides.LABELS]
            assert sum(cell.value or 0 for cell in cells) == pytest.approx(total)
            assert all("slides" in cell.source for cell in cells)


CURVES = {
    **{f"deviation of {name}": curve for name, curve in slides.DEVIATIONS.items()},
    **{f"learning by {name}": curve for name, curve in slides.LEARNING.items()},
    **{f"steps of {name}": curve for name, curve in slides.STEPS.items()},
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_whole(name: str) -> None:
    """As many heights as positions, in order, with units, a precision and where they stand."""
    curve = CURVES[name]
    assert len(curve.x) == len(curve.y) > 1
    assert list(curve.x) == sorted(set(curve.x))
    assert min(curve.y) > 0
    assert 0 < curve.precision < min(curve.y)
    assert curve.x_unit
    assert curve.y_unit
    assert "neurips19_slides.pdf" in curve.source
    assert curve.at(curve.x[-1]) == curve.last == curve.y[-1]
    assert curve.at(curve.x[0]) == curve.y[0]
    assert curve.at(curve.x[-1] + 1) is None
    assert curve.lowest() == min(curve.y)


def test_what_the_paper_says_of_its_curves_is_in_them() -> None:
    """A tenth of Gumbel-Softmax's deviation, 1.5 times its time, direct the lowest, 2^n."""
    for x in (0.1, 0.2, 0.4, 1.0):
        direct, relaxed = (curve.at(x) for curve in slides.DEVIATIONS.values())
        assert direct is not None
        assert relaxed is not None
        assert direct / relaxed == pytest.approx(0.1, rel=0.3)
    for data, values in slides.SECONDS_OF_300_EPOCHS:
        assert published.slowdown(data, values, "direct").value == pytest.approx(1.5, rel=0.03)
    lows = {name: curve.lowest() for name, curve in slides.LEARNING.items()}
    assert lows == {"direct": 151.9, "rebar": 159.2, "relax": 156.0, "arm": 156.5}
    relaxed, direct = (slides.STEPS[name].last for name in ("gumbel-softmax", "direct"))
    assert relaxed / direct == pytest.approx(149, abs=0.5)
    assert [end.loss for end in slides.ENDS.values()] == [153.0, 148.5, 145.0]
    assert [end.seconds for end in slides.ENDS.values()] == [2_000, 20_000, 250_000]


def test_a_curve_between_its_points() -> None:
    curve = slides.Curve((1.0, 4.0), (8.0, 2.0), "", "", 0.1)
    assert curve.at(2.5) == curve.lowest(2.5) == 5.0
    assert curve.at(2.0, logarithmic=True) == pytest.approx(4.0)
    assert curve.at(0.5) is None
    assert curve.lowest(0.5) is None


def test_the_best_of_a_row_names_its_method() -> None:
    assert published.best_of_table1("mnist", 50) == published.Published(
        140.38, "Lorberbom et al. 2019, table 1", "direct"
    )
    assert published.best_of_table1("mnist", 40).value == 142.86
    assert published.best_of_table1("digits", 10).value is None


@pytest.mark.parametrize(
    "unknown",
    [
        published.table1("digits", 10, "direct"),
        published.table1("mnist", 15, "direct"),
        published.table1("mnist", 10, "ours"),
        published.table2("mnist", 200, "direct", "accuracy"),
        published.table2("mnist", 100, "ours", "accuracy"),
        published.slowdown("digits", 10, "exact"),
        published.table2("digits", 100, "direct", "accuracy"),
        *published.FIGURES.values(),
    ],
)
def test_what_is_unknown_has_no_number_and_a_reason(unknown: published.Published) -> None:
    assert unknown.value is None
    assert unknown.note
    assert "Lorberbom et al. 2019" in unknown.source


def test_other_semi_supervised_models() -> None:
    found = published.label_baselines("mnist", 100)
    assert {name: each.value for name, each in found.items()} == {"M2": 88.0, "M1+M2": 96.7}
    more = published.label_baselines("mnist", 600)
    assert {name: each.value for name, each in more.items()} == {"M2": 95.1, "M1+M2": 97.4}
    assert all("Kingma et al. 2014" in each.source for each in found.values())
    assert published.label_baselines("fashion-mnist", 100) == {}
    assert published.label_baselines("mnist", 1000) == {}  # no row of table 2


def test_deviations_are_those_of_the_documentation() -> None:
    text = (DOCS / "deviations.md").read_text()
    titles = dict(re.findall(r"^(\d+)\. \*([^*]+?)\.?\*", text, re.MULTILINE))
    for deviation in DEVIATIONS:
        assert titles[str(deviation.number)] == deviation.title, deviation
    assert [each.number for each in DEVIATIONS] == sorted({each.number for each in DEVIATIONS})


def test_only_deviations_that_matter_are_listed() -> None:
    numbers = {each.number for each in deviations_of(("table2",))}
    assert {8, 21, 23} <= numbers
    assert not {7, 11, 12} & numbers
