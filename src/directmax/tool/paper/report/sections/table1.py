"""Table 1: a mixture by every method, beside the paper and expectation-maximisation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from directmax.tool.look.content import Cell, Table
from directmax.tool.look.spread import Spread
from directmax.tool.paper import published
from directmax.tool.paper.report.layout import Section, compared, signed, verdict
from directmax.tool.paper.report.methods import (
    by_data,
    by_method,
    by_number,
    data_title,
    in_order,
    look,
)
from directmax.tool.paper.report.results import Outcome, Part, Results, mean_of, on_test
from directmax.tool.paper.table1 import STATIC

NOTE = (
    "Test bound, nats per image, lower is better: mean ± standard deviation over seeds (without ±: "
    "one seed); below it the paper's number and ours minus the paper's. Our annealed direct is "
    "compared with the best of the paper's three methods. Reference: test −log p(x) of the same "
    "mixture fitted by expectation-maximisation, and our annealed direct's bound minus that."
)
CLOSE = 1.0
"""Nats, within which the paper's direct method counts as reproduced."""
OTHERS = ("exact", "gumbel-softmax")
"""With which the paper compares direct."""
SHORT = {"exact": "unbiased", "gumbel-softmax": "GSM"}
"""Names of the paper's methods where there is little room."""
Runs = Mapping[str, Sequence[Outcome]]
"""By method."""


def build(results: Results, part: Part) -> Section:
    """The section of table 1."""
    tables: list[Table] = []
    close: list[float] = []
    close_drawn: list[float] = []
    below_published: list[float] = []
    ahead: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for data, group in by_data(results.of(part, "train", "mixture")).items():
        drawn = [each for each in group if each.cell.get("method", "").endswith(STATIC)]
        group = [each for each in group if each not in drawn]
        methods = in_order(by_method(group), published.TABLE1_METHODS)
        for values, runs in _rows(group):
            best = published.best_of_table1(data, values)
            close += _difference(runs, "direct", published.table1(data, values, "direct"))
            below_published += _difference(runs, "ours", best)
            for other in OTHERS:
                ahead.setdefault((data, other), []).extend(_lead(runs, data, values, other))
        if group:
            tables.append(_table(data_title(data), data, group, methods))
        if drawn:
            plain = [replace(each, cell=_plain(each.cell)) for each in drawn]
            title = f"{data_title(data)}, every pixel drawn once from its grey value"
            methods = in_order(by_method(plain), published.TABLE1_METHODS)
            tables.append(_table(title, data, plain, methods))
            for values, runs in _rows(plain):
                paper = published.table1(data, values, "direct")
                close_drawn += _difference(runs, "direct", paper)
    claim = "the paper's direct method comes within 1 nat of, or below, its published bound"
    findings = _count(close, CLOSE, claim)
    findings += _count(
        below_published, 0.0, "our annealed direct is at or below the best published bound"
    )
    findings += _count(close_drawn, CLOSE, f"{claim} on pixels that are drawn once")
    findings += [_verdict(*names, pairs) for names, pairs in ahead.items() if pairs]
    source = f"{published.PAPER}, table 1."
    return Section(source=source, findings=findings, notes=(NOTE,), tables=tables)


def _table(title: str, data: str, group: Sequence[Outcome], methods: Iterable[str]) -> Table:
    """A row for each k: every method beside the paper's number."""
    methods = tuple(methods)
    names = [name for name in methods if name not in ("em", "ours")]
    rows = []
    for values, runs in _rows(group):
        best = published.best_of_table1(data, values)
        papers = {name: published.table1(data, values, name) for name in names}
        cells = [compared(_mean(runs, name), papers[name].value, "paper") for name in names]
        best_name = f"best ({SHORT.get(best.note, best.note)})"
        if "ours" in methods:
            cells.append(compared(_mean(runs, "ours"), best.value, best_name))
        rows.append([values, *cells, *([_reference(runs)] if "em" in methods else [])])
    columns = ["k", *(look(name).label for name in names)]
    columns += [look("ours").label] if "ours" in methods else []
    columns += ["reference: EM"] if "em" in methods else []
    return Table(title, columns, rows)


def _rows(group: Sequence[Outcome]) -> list[tuple[int, Runs]]:
    """The runs of every k."""
    return [(k, by_method(some)) for k, some in by_number(group, "values").items()]


def _plain(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Of a method whose images are drawn, without saying so."""
    return {**cell, "method": cell["method"].removesuffix(STATIC)}


def _mean(runs: Runs, method: str, metric: str = "bound") -> Spread | None:
    return mean_of(runs.get(method, ()), on_test(metric))


def _reference(runs: Runs) -> Cell | None:
    found, ours = _mean(runs, "em", "nll"), _mean(runs, "ours")
    if found is None or ours is None:
        return None if found is None else Cell(str(found))
    return Cell(str(found), "ours − EM", signed(ours.mean - found.mean))


def _difference(runs: Runs, method: str, paper: published.Published) -> list[float]:
    """Ours minus the paper's; nothing where one of the two is not there."""
    spread = _mean(runs, method)
    if spread is None or paper.value is None:
        return []
    return [round(spread.mean - paper.value, 2)]


def _lead(runs: Runs, data: str, values: int, other: str) -> list[tuple[float, float]]:
    """By how many nats direct is below another method, here and in the paper."""
    direct, beside = (_mean(runs, name) for name in ("direct", other))
    paper, paper_beside = (published.table1(data, values, name).value for name in ("direct", other))
    if direct is None or beside is None or paper is None or paper_beside is None:
        return []
    return [(beside.mean - direct.mean, paper_beside - paper)]


def _verdict(data: str, other: str, pairs: Sequence[tuple[float, float]]) -> str:
    """Whether direct and another method are in the published order in every cell."""
    same = sum((ours > 0) == (paper > 0) for ours, paper in pairs)
    ahead, in_paper = (sum(pair[i] > 0 for pair in pairs) for i in (0, 1))
    claim = f"{data_title(data)}: direct is below {look(other).label} in {in_paper} of {len(pairs)}"
    claim += " rows, and above it in the others" if in_paper < len(pairs) else " rows"
    return verdict(claim, same == len(pairs), f"in {ahead}, and {same} are in the published order")


def _count(differences: list[float], limit: float, text: str) -> list[str]:
    if not differences:
        return []
    return [f"In {sum(x <= limit for x in differences)} of {len(differences)} cells {text}."]
