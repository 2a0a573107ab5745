"""Figure 3: its three parts, and beside them what was trained otherwise than the paper does."""

from __future__ import annotations

import math
from collections.abc import Sequence

from directmax.tool.look.content import Table
from directmax.tool.paper.report.layout import Section
from directmax.tool.paper.report.methods import (
    by_data,
    by_method,
    by_protocol,
    data_title,
    look,
    method_of,
)
from directmax.tool.paper.report.results import Outcome, Part, Results, mean_of, on_test
from directmax.tool.paper.report.sections import encoders, estimators, steps
from directmax.tool.paper.report.sections.binary import (
    COLUMNS,
    NOTE,
    curves,
    encoder_look,
    encoder_of,
    numbers,
    pair_look,
    pairs_of,
)

OTHERWISE = (
    " Not by the published protocol: the weight of the KL term is annealed, or the rate falls. No "
    "statement on the paper's figure follows."
)


def build(results: Results, part: Part) -> Section:
    """The section of figure 3: of every data set estimators, times of steps, encoders."""
    timed = by_data(results.of(part, "steps"))
    trained = by_data(results.of(part, "train"))
    parts = []
    for data in dict.fromkeys((*trained, *timed)):
        asked, other = _asked(trained.get(data, [])), _other(trained.get(data, []))
        independent = [o for o in asked if encoder_of(o) == "independent"]
        parts += [
            estimators.build(data, independent),
            steps.build(data, timed.get(data, [])),
            encoders.build(data, asked),
            _otherwise(data, other),
        ]
    return Section(
        findings=[text for each in parts for text in each.findings],
        tables=[table for each in parts for table in each.tables],
        figures=[figure for each in parts for figure in each.figures],
    )


def _is_default(outcome: Outcome) -> bool:
    return method_of(outcome) == estimators.DEFAULT


def _asked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """By the published protocol, and the default."""
    return [o for o in outcomes if by_protocol(o) or _is_default(o)]


def _other(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [o for o in outcomes if not by_protocol(o) and not _is_default(o)]


def _otherwise(data: str, outcomes: Sequence[Outcome]) -> Section:
    """Tables and curves of what was trained otherwise, the best first."""
    if not outcomes:
        return Section()
    independent = by_method([o for o in outcomes if encoder_of(o) == "independent"])
    found = {name: mean_of(runs, on_test("nll")) for name, runs in independent.items()}
    names = sorted(found, key=lambda name: s.mean if (s := found[name]) else math.inf)
    title = f"{data_title(data)}, otherwise than the paper"
    every = [run for name in names for run in independent[name]]
    rows = [[look(name).label, *numbers(independent[name], every)] for name in names]
    tables = [Table(f"{title}: estimators", ("estimator", *COLUMNS), rows, NOTE + OTHERWISE)]
    lines = {look(name): independent[name] for name in names}
    figures = [curves(f"figure3-{data}-otherwise", tables[0].title, lines, ("bound", "nll"))]
    coupled = {pair: runs for pair, runs in pairs_of(outcomes).items() if pair[0] != "independent"}
    if coupled:
        every = [run for runs in coupled.values() for run in runs]
        rows = [
            [encoder_look(encoder).label, look(method).label, *numbers(runs, every)]
            for (encoder, method), runs in coupled.items()
        ]
        columns = ("encoder", "estimator", *COLUMNS)
        tables.append(Table(f"{title}: encoders", columns, rows, NOTE + OTHERWISE, words=(1,)))
        pairs = {pair_look(*pair): runs for pair, runs in coupled.items()}
        name = f"figure3-{data}-encoders-otherwise"
        figures.append(curves(name, tables[1].title, pairs, ("bound", "nll")))
    tables = [table for table in tables if table.rows]
    figures = [figure for figure in figures if any(chart.series for chart in figure.charts)]
    return Section(tables=tables, figures=figures)
