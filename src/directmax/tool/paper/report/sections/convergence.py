"""Figure 2: the bound by epoch and by time, and what an epoch costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from directmax.tool.look.content import Chart, Figure, Table
from directmax.tool.look.spread import Spread, seconds_text
from directmax.tool.paper import published
from directmax.tool.paper.report.curves import by_epoch, by_time, timings
from directmax.tool.paper.report.layout import Section, compared
from directmax.tool.paper.report.methods import by_data, by_method, by_number, data_title, look
from directmax.tool.paper.report.results import (
    Outcome,
    Part,
    Results,
    cost_of,
    mean_of,
    on_one_machine,
    on_test,
    seconds_of,
)

NOTE = (
    "Training time without validation. {how} The ratio is to Gumbel-Softmax of the same data and k."
)
CURVES = (
    "Validation bound: the test images are used once a run, at its end, so there is no test curve "
    "(deviation 25). By time, the starts that our annealed direct did not continue come first. "
    "Lines: mean over seeds; bands: ± one standard deviation."
)
COLUMNS = ("", "method", "seconds an epoch", "in those of Gumbel-Softmax", "test bound")


def build(results: Results, part: Part) -> Section:
    """The section of figure 2."""
    groups = {
        f"{data_title(data)}, k = {values}": outcomes
        for data, group in by_data(results.of(part, "train")).items()
        for values, outcomes in by_number(group, "values").items()
    }
    ratios = {title: _ratios(outcomes) for title, outcomes in groups.items()}
    rows = [row for title, each in groups.items() for row in _rows(title, each, ratios[title])]
    charts = [chart for title, outcomes in groups.items() for chart in _charts(title, outcomes)]
    note = NOTE.format(how=timings(groups))
    return Section(
        findings=_findings(list(ratios.values())),
        tables=[Table("Cost of an epoch", COLUMNS, rows, note, words=(1,))] if rows else [],
        figures=[Figure("figure2", "The bound by epoch and by time", charts, note=CURVES)],
    )


def _charts(title: str, outcomes: Sequence[Outcome]) -> list[Chart]:
    lines = {look(name): runs for name, runs in by_method(outcomes).items()}
    cost = cost_of(outcomes)
    return [by_epoch(title, lines, "bound"), by_time(title, lines, "bound", cost)]


def _ratios(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """By method, its seconds in those of Gumbel-Softmax, where they can be compared."""
    runs, cost = by_method(outcomes), cost_of(outcomes)
    base = seconds_of(runs.get("gumbel-softmax", ()), cost)
    if base is None or not on_one_machine(outcomes):
        return {}
    seconds = {name: seconds_of(method_runs, cost) for name, method_runs in runs.items()}
    return {name: found.mean / base.mean for name, found in seconds.items() if found is not None}


def _rows(title: str, outcomes: Sequence[Outcome], ratios: Mapping[str, float]) -> list[list[Any]]:
    cost, rows = cost_of(outcomes), list[list[Any]]()
    for name, runs in by_method(outcomes).items():
        slowdown = published.SLOWDOWN.value if name == "direct" else None
        ratio = Spread.of([ratios[name]]) if name in ratios else None
        rows.append(
            [
                "" if rows else title,
                look(name).label,
                seconds_text(seconds_of(runs, cost)),
                compared(ratio, slowdown, "paper"),
                mean_of(runs, on_test("bound")),
            ]
        )
    return rows


def _findings(ratios: Sequence[Mapping[str, float]]) -> list[str]:
    texts = []
    paper = f" (paper: {published.SLOWDOWN.value})"
    for name, title, beside in (
        ("direct", "the direct method", paper),
        ("ours", "our annealed direct", ""),
    ):
        if found := [each[name] for each in ratios if name in each]:
            span = " to ".join(dict.fromkeys(f"{end:.2f}" for end in (min(found), max(found))))
            texts.append(f"An epoch of {title} takes {span} times that of Gumbel-Softmax{beside}.")
    return texts
