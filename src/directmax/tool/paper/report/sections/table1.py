"""Table 1: a mixture by every method, beside the paper and expectation-maximisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from directmax.tool.look.content import Cell, Table
from directmax.tool.look.spread import Spread
from directmax.tool.paper import published
from directmax.tool.paper.report.layout import Section, compared, signed
from directmax.tool.paper.report.methods import (
    by_data,
    by_method,
    by_number,
    data_title,
    in_order,
    look,
)
from directmax.tool.paper.report.results import Outcome, Part, Results, mean_of, on_test

NOTE = (
    "Test bound, nats per image, lower is better: mean ± standard deviation over seeds (without ±: "
    "one seed); below it the paper's number and ours minus the paper's. Our annealed direct is "
    "compared with the best of the paper's three methods. Reference: test −log p(x) of the same "
    "mixture fitted by expectation-maximisation, and our annealed direct's bound minus that."
)
CLOSE = 1.0
"""Nats, within which the paper's direct method counts as reproduced."""
SHORT = {"exact": "unbiased", "gumbel-softmax": "GSM"}
"""Names of the paper's methods where there is little room."""
Runs = Mapping[str, Sequence[Outcome]]
"""By method."""


def build(results: Results, part: Part) -> Section:
    """The section of table 1."""
    tables, close, below_published = [], [], []
    for data, group in by_data(results.of(part, "train", "mixture")).items():
        methods = in_order(by_method(group), published.TABLE1_METHODS)
        names = [name for name in methods if name not in ("em", "ours")]
        rows = []
        for values, outcomes in by_number(group, "values").items():
            runs = by_method(outcomes)
            best = published.best_of_table1(data, values)
            papers = {name: published.table1(data, values, name) for name in names}
            cells = [compared(_mean(runs, name), papers[name].value, "paper") for name in names]
            best_name = f"best ({SHORT.get(best.note, best.note)})"
            cells.append(compared(_mean(runs, "ours"), best.value, best_name))
            rows.append([values, *cells, *([_reference(runs)] if "em" in methods else [])])
            close += _difference(runs, "direct", published.table1(data, values, "direct"))
            below_published += _difference(runs, "ours", best)
        columns = ["k", *(look(name).label for name in (*names, "ours"))]
        columns += ["reference: EM"] if "em" in methods else []
        tables.append(Table(data_title(data), columns, rows))
    claim = "the paper's direct method comes within 1 nat of, or below, its published bound"
    findings = _count(close, CLOSE, claim)
    findings += _count(
        below_published, 0.0, "our annealed direct is at or below the best published bound"
    )
    source = f"{published.PAPER}, table 1."
    return Section(source=source, findings=findings, notes=(NOTE,), tables=tables)


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


def _count(differences: list[float], limit: float, text: str) -> list[str]:
    if not differences:
        return []
    return [f"In {sum(x <= limit for x in differences)} of {len(differences)} cells {text}."]
