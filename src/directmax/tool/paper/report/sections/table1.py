"""Table 1: a mixture by every method, beside the paper and expectation-maximisation."""

from __future__ import annotations

from collections.abc import Sequence

from directmax.tool.paper import published
from directmax.tool.paper.report.layout import (
    NOTHING,
    Cell,
    Section,
    Table,
    compared,
    signed,
)
from directmax.tool.paper.report.methods import (
    by,
    data_of,
    data_sets,
    data_title,
    entry,
    look,
    method_of,
    methods,
)
from directmax.tool.paper.report.results import Outcome, Part, Results, mean_of, on_test

NOTE = (
    "Test bound, nats per image, lower is better: mean ± standard deviation over seeds (without ±: "
    "one seed); below it the paper's number and ours minus the paper's. Our default is compared "
    "with the best of the paper's three methods. Reference: test −log p(x) of the same mixture "
    "fitted by expectation-maximisation, and our default's bound minus that."
)
CLOSE = 1.0
"""Nats, within which the paper's direct method counts as reproduced."""


def build(results: Results, part: Part) -> Section:
    """The section of table 1."""
    outcomes = results.of(part, "train", "mixture")
    tables, close, better = [], [], []
    for data, group in _by_data(outcomes).items():
        names = [name for name in methods(group) if name not in ("em", "ours")]
        names = [name for name in published.TABLE1_METHODS if name in names] + [
            name for name in names if name not in published.TABLE1_METHODS
        ]
        has_em = any(method_of(outcome) == "em" for outcome in group)
        rows = []
        for values in sorted(by(group, entry("values"))):
            row = [o for o in group if entry("values")(o) == values]
            cells = [Cell(str(values))]
            for name in names:
                cells.append(_cell(row, name, published.table1(data, values, name)))
            best = published.best_of_table1(data, values)
            cells.append(_cell(row, "ours", best, f"best ({_short(best.note)})"))
            if has_em:
                cells.append(_reference(row))
            rows.append(tuple(cells))
            close.append(_difference(row, "direct", published.table1(data, values, "direct")))
            better.append(_difference(row, "ours", best))
        columns = ["k", *(look(name).label for name in names), look("ours").label]
        if has_em:
            columns.append("reference: EM")
        tables.append(Table(data_title(data), tuple(columns), tuple(rows)))
    findings = [
        _count(
            close,
            CLOSE,
            "the paper's direct method comes within 1 nat of, or below, its published bound",
        ),
        _count(better, 0.0, "our default is at or below the best published bound"),
    ]
    return Section(
        part.name,
        part.title,
        part.caption,
        source=f"{published.PAPER}, table 1.",
        findings=tuple(text for text in findings if text),
        notes=(NOTE,),
        tables=tables,
    )


def _by_data(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    groups = by(outcomes, data_of)
    return {data: groups[data] for data in data_sets(outcomes)}


def _short(method: str) -> str:
    return {"exact": "unbiased", "gumbel-softmax": "GSM"}.get(method, method)


def _cell(row: list[Outcome], method: str, paper: published.Published, name: str = "paper") -> Cell:
    chosen = [outcome for outcome in row if method_of(outcome) == method]
    spread = mean_of(chosen, on_test("bound"))
    return compared(spread.mean if spread else None, str(spread), paper.value, name)


def _reference(row: list[Outcome]) -> Cell:
    found = mean_of([o for o in row if method_of(o) == "em"], on_test("nll"))
    if found is None:
        return Cell(NOTHING, faint=True)
    ours = mean_of([o for o in row if method_of(o) == "ours"], on_test("bound"))
    if ours is None:
        return Cell(str(found))
    return Cell(str(found), "ours − EM", signed(ours.mean - found.mean))


def _difference(row: list[Outcome], method: str, paper: published.Published) -> float | None:
    spread = mean_of([o for o in row if method_of(o) == method], on_test("bound"))
    if spread is None or paper.value is None:
        return None
    return round(spread.mean - paper.value, 2)


def _count(differences: list[float | None], limit: float, text: str) -> str:
    known = [value for value in differences if value is not None]
    if not known:
        return ""
    good = sum(value <= limit for value in known)
    return f"In {good} of {len(known)} cells {text}."
