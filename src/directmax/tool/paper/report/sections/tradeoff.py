"""Figure 1: bias and standard deviation of gradients by ε and by τ."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from directmax.laboratory import Point
from directmax.tool.paper import published
from directmax.tool.paper.report.layout import (
    NOTHING,
    Cell,
    Chart,
    Figure,
    Section,
    Series,
    Table,
)
from directmax.tool.paper.report.methods import by, data_of, data_title
from directmax.tool.paper.report.results import Outcome, Part, Results

FAMILIES = {
    "direct": ("epsilon", "step ε, 1/nats"),
    "gumbel-softmax": ("temperature", "temperature τ"),
}
"""What is drawn: by what, and its axis."""
NOTE = (
    "Bias as a share of the exact gradient's norm, and under it the variance of one gradient as a "
    "share of the squared norm, and how many gradients are exactly zero. ≤: the bias cannot be "
    "told from 0, and this is the upper end of its 95 % interval. Only the noise is drawn anew. "
    "±: standard deviation over seeds."
)
CURVES = (
    "A line a seed; bands, where there is one seed: 95 % intervals. Where the bias cannot be "
    "told from 0 its line is interrupted; the triangle is the upper end of its interval."
)


def build(results: Results, part: Part) -> Section:
    """The section of figure 1."""
    measured = [o for o in results.of(part, "gradients") if o.done and o.norm]
    stages = by(measured, stage_of)
    charts, findings = [], []
    for stage, outcomes in stages.items():
        row = [
            _chart(stage, family, name, label, outcomes)
            for family, (name, label) in FAMILIES.items()
        ]
        charts += _same_limits([chart for chart in row if chart.series])
        findings += _finding(stage, outcomes)
    tables = _tables(stages)
    source = published.FIGURES["figure1"]
    figures = []
    if charts:
        title = "Bias and standard deviation of one gradient"
        figures.append(Figure("figure1", title, tuple(charts), note=CURVES))
    return Section(
        part.name,
        part.title,
        part.caption,
        source=f"{source.source}: {source.note}.",
        claims=published.CLAIMS["figure1"],
        findings=tuple(findings),
        tables=tables,
        figures=figures,
    )


def stage_of(outcome: Outcome) -> str:
    """Data and stage of the training, for titles."""
    return f"{data_title(data_of(outcome))}, {outcome.cell['stage']}"


def _points(outcome: Outcome) -> list[Point]:
    return [Point.from_dict(dict(row)) for row in outcome.points]


def _value(point: Point, name: str) -> Any:
    return getattr(point.setting, name)


def _chart(stage: str, family: str, name: str, label: str, outcomes: Sequence[Outcome]) -> Chart:
    """Bias and deviation of a family; a line a seed."""
    series: list[Series] = []
    for outcome in outcomes:
        chosen = [
            point
            for point in _points(outcome)
            if point.setting.family == family and isinstance(_value(point, name), int | float)
        ]
        chosen.sort(key=lambda point: float(_value(point, name)))
        if len(chosen) > 1:
            x = tuple(float(_value(point, name)) for point in chosen)
            lines = _series(x, chosen, float(outcome.norm or 0))
            if len(outcomes) > 1:
                lines = [replace(line, low=(), high=()) for line in lines]
            series += lines
    return Chart(f"{_title(family)}: {stage}", label, "nats", tuple(series), log_x=True, log_y=True)


def _series(x: tuple[float, ...], points: Sequence[Point], norm: float) -> list[Series]:
    deviation = [point.statistics.variance for point in points]
    bias = [each for point in points if (each := point.statistics.bias) is not None]
    series = [
        Series(
            "standard deviation",
            x,
            tuple(math.sqrt(each.value) or None for each in deviation),
            tuple(math.sqrt(each.low) for each in deviation),
            tuple(math.sqrt(each.high) for each in deviation),
            color="orange",
            dash="dashed",
            marker="s",
        )
    ]
    if len(bias) == len(x):
        resolved = [each.low > 0 for each in bias]
        series.append(
            Series(
                "bias",
                x,
                tuple(b.value if r else None for b, r in zip(bias, resolved, strict=True)),
                tuple(b.low for b in bias),
                tuple(b.high for b in bias),
                color="blue",
                marker="o",
            )
        )
        hidden = [(p, b.high) for p, b, r in zip(x, bias, resolved, strict=True) if not r]
        if hidden:
            at, tops = zip(*hidden, strict=True)
            series.append(Series("bias, at most", at, tops, color="blue", marker="v", line=False))
    series.append(Series("norm of the exact gradient", (x[0], x[-1]), (norm, norm), dash="dotted"))
    return series


def _title(family: str) -> str:
    return {"direct": "Direct", "gumbel-softmax": "Gumbel-Softmax"}.get(family, family)


def _same_limits(charts: list[Chart]) -> list[Chart]:
    """Charts side by side with one vertical axis."""
    heights = [y for chart in charts for s in chart.series for y in s.y if y is not None and y > 0]
    if not heights:
        return charts
    limits = (min(heights) / 1.8, max(heights) * 1.8)
    return [replace(chart, y_limits=limits) for chart in charts]


def _tables(stages: Mapping[str, Sequence[Outcome]]) -> list[Table]:
    """A row a setting, a column a stage; what the paper has, and the rest folded."""
    labels: dict[str, str] = {}  # of settings, with their families
    columns = []
    for outcomes in stages.values():
        found: dict[str, list[tuple[Point, float]]] = {}
        for outcome in outcomes:
            for point in _points(outcome):
                labels[point.setting.label] = point.setting.family
                found.setdefault(point.setting.label, []).append((point, float(outcome.norm or 1)))
        columns.append({label: _cell(measured) for label, measured in found.items()})
    tables = []
    for title, inside in (("The paper's estimators", True), ("All other estimators", False)):
        rows = tuple(
            (Cell(label), *(column.get(label, Cell(NOTHING, faint=True)) for column in columns))
            for label, family in labels.items()
            if (family in FAMILIES) is inside
        )
        if rows:
            tables.append(Table(title, ("estimator", *stages), rows, NOTE, folded=not inside))
    return tables


def _cell(measured: Sequence[tuple[Point, float]]) -> Cell:
    """One setting at one stage, with the exact gradient's norm of every seed."""
    pairs = [(point.statistics, norm) for point, norm in measured]
    variance = statistics.fmean(each.variance.value / norm**2 for each, norm in pairs)
    zeros = statistics.fmean(each.sparsity.value for each, _ in pairs)
    below = f"variance {_number(variance)}, zeros {100 * zeros:.0f} %"
    known = [(each.bias, norm) for each, norm in pairs if each.bias is not None]
    if len(known) < len(pairs):
        return Cell("bias unknown", below)
    high = max(100 * bias.high / norm for bias, norm in known)
    if all(bias.low > 0 for bias, _ in known):
        shares = [100 * bias.value / norm for bias, norm in known]
        text = _number(statistics.fmean(shares))
        if len(shares) > 1:
            text += f" ± {_number(statistics.stdev(shares))}"
        return Cell(f"{text} %", below)
    return Cell(f"≤ {_number(high)} %" if high > 0 else "0 %", below)


def _number(value: float) -> str:
    """Three digits without powers of ten.

    Example:
        >>> _number(1280.4), _number(0.1358), _number(1e-5), _number(0)
        ('1,280', '0.136', '< 0.001', '0')
    """
    if 0 < value < 0.001:
        return "< 0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _finding(stage: str, outcomes: Sequence[Outcome]) -> list[str]:
    """How often the direct estimator is zero at its smallest step."""
    shares: dict[float, list[float]] = {}
    for outcome in outcomes:
        for point in _points(outcome):
            step = _value(point, "epsilon")
            if point.setting.family == "direct" and isinstance(step, int | float):
                shares.setdefault(float(step), []).append(point.statistics.sparsity.value)
    if not shares:
        return []
    smallest = min(shares)
    share = 100 * statistics.fmean(shares[smallest])
    return [f"{stage}: at ε = {smallest:g}, {share:.0f} % of the direct gradients are zero."]
