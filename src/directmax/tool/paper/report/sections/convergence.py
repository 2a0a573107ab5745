"""Figure 2: the bound by epoch and by time, and what an epoch costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from directmax.tool.look.content import Chart, Figure, Series, Table
from directmax.tool.look.spread import Spread, seconds_text
from directmax.tool.paper import published, slides
from directmax.tool.paper.report.curves import by_epoch, by_time, timings
from directmax.tool.paper.report.layout import Section, compared, verdict
from directmax.tool.paper.report.methods import (
    by_data,
    by_method,
    by_number,
    data_of,
    data_title,
    entry,
    look,
)
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
Slow = Mapping[str, float]
"""Published times in those of Gumbel-Softmax, by method."""
COLUMNS = ("", "method", "seconds an epoch", "in those of Gumbel-Softmax", "test bound")


def build(results: Results, part: Part) -> Section:
    """The section of figure 2."""
    groups = {
        f"{data_title(data)}, k = {values}": outcomes
        for data, group in by_data(results.of(part, "train")).items()
        for values, outcomes in by_number(group, "values").items()
    }
    ratios = {title: _ratios(outcomes) for title, outcomes in groups.items()}
    slow = {title: _published(each) for title, each in groups.items()}
    rows = [
        row
        for title, each in groups.items()
        for row in _rows(title, each, ratios[title], slow[title])
    ]
    charts = [chart for title, outcomes in groups.items() for chart in _charts(title, outcomes)]
    note = NOTE.format(how=timings(groups))
    return Section(
        findings=[*_findings(ratios, slow), *_at_any_time(groups)],
        notes=_notes(groups),
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


def _rows(
    title: str, outcomes: Sequence[Outcome], ratios: Mapping[str, float], slow: Slow
) -> list[list[Any]]:
    cost, rows = cost_of(outcomes), list[list[Any]]()
    for name, runs in by_method(outcomes).items():
        slowdown = slow.get(name)
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


def _published(outcomes: Sequence[Outcome]) -> Slow:
    """Published times, in those of Gumbel-Softmax, by method."""
    data, values = data_of(outcomes[0]), entry("values")(outcomes[0])
    found = {name: published.slowdown(data, values, name).value for name in ("direct", "exact")}
    return {name: value for name, value in found.items() if value is not None}


def _findings(ratios: Mapping[str, Mapping[str, float]], slow: Mapping[str, Slow]) -> list[str]:
    texts = []
    for name, title in (("direct", "the direct method"), ("ours", "our annealed direct")):
        if found := [each[name] for each in ratios.values() if name in each]:
            text = f"An epoch of {title} takes {_span(found)} times that of Gumbel-Softmax"
            theirs = [slow[each][name] for each in slow if name in slow[each]]
            texts.append(f"{text} (paper: {_span(theirs)})." if theirs else f"{text}.")
    return texts


def _span(values: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{end:.2f}" for end in (min(values), max(values))))


def _at_any_time(groups: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Whether direct is below Gumbel-Softmax at any time, as the paper says, group by group."""
    texts = []
    for title, outcomes in groups.items():
        chart = by_time(
            "", {look(name): runs for name, runs in by_method(outcomes).items()}, "bound",
            cost_of(outcomes),
        )  # fmt: skip
        lines = {series.label: series for series in chart.series}
        direct, relaxed = (lines.get(look(name).label) for name in ("direct", "gumbel-softmax"))
        if direct is None or relaxed is None:
            continue
        share = below_at(direct, relaxed)
        claim = f"{title}: direct's validation bound is below Gumbel-Softmax's at any time"
        ours = "" if share == 1 else f"it is at {100 * share:.0f} % of the times"
        in_paper = bool(published.table1(data_of(outcomes[0]), 10, "direct").value)
        texts.append(verdict(claim, share == 1, ours, published=in_paper))
    return texts


def below_at(first: Series, second: Series) -> float:
    """Share of the times of both at which the first curve is below the second.

    Example:
        >>> below_at(Series("", (1.0, 3.0), (3.0, 1.0)), Series("", (1.0, 2.0), (2.5, 2.5)))
        0.5
    """
    end, start = min(first.x[-1], second.x[-1]), max(first.x[0], second.x[0])
    times = [x for x in sorted({*first.x, *second.x}) if start <= x <= end]
    one, other = (np.interp(times, line.x, np.array(line.y, float)) for line in (first, second))
    return float((one < other).mean()) if times else 0.0


def _notes(groups: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """What the published curves show, where these are shown."""
    texts = []
    for title, outcomes in groups.items():
        key = data_of(outcomes[0]), entry("values")(outcomes[0])
        if key in slides.CONVERGENCE:
            texts.append(f"Published curves, {title}: {slides.CONVERGENCE[key]}")
    return texts
