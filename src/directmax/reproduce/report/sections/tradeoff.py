"""Figure 1: bias and standard deviation of gradients by ε and by τ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from directmax.experiments import published
from directmax.laboratory import Point
from directmax.reproduce.report.layout import (
    NOTHING,
    Cell,
    Chart,
    Figure,
    Section,
    Series,
    Table,
)
from directmax.reproduce.report.methods import data_of, data_title
from directmax.reproduce.report.results import Outcome, Part, Results

FAMILIES = {
    "direct": ("epsilon", "step ε, 1/nats"),
    "gumbel-softmax": ("temperature", "temperature τ"),
}
"""What is drawn: by what, and its axis."""
NOTE = (
    "Bias as a share of the exact gradient's norm, and under it the variance of one gradient as a "
    "share of the squared norm, and how many gradients are exactly zero. ≤: the bias cannot be "
    "told from 0, and this is the upper end of its 95 % interval. Only the noise is drawn anew."
)
CURVES = (
    "Bands: 95 % intervals. Where the bias cannot be told from 0 its line is interrupted; the "
    "triangle is the upper end of its interval."
)


def build(results: Results, part: Part) -> Section:
    """The section of figure 1."""
    measured = [o for o in results.of(part, "gradients") if o.done and o.norm]
    charts, findings = [], []
    for outcome in measured:
        points, norm = _points(outcome), float(outcome.norm or 0)
        row = [
            _chart(stage_of(outcome), family, name, label, points, norm)
            for family, (name, label) in FAMILIES.items()
        ]
        charts += _same_limits([chart for chart in row if chart.series])
        findings += _finding(stage_of(outcome), points)
    tables = _tables(measured)
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
    stage = outcome.cell.get("stage") or (
        "mid-training" if outcome.settings.get("run_dir") else "initialisation"
    )
    data = data_of(outcome)
    return f"{data_title(data)}, {stage}" if data else str(stage)


def _points(outcome: Outcome) -> list[Point]:
    return [Point.from_dict(dict(row)) for row in outcome.points]


def _value(point: Point, name: str) -> Any:
    return getattr(point.setting, name)


def _chart(
    stage: str,
    family: str,
    name: str,
    label: str,
    points: Sequence[Point],
    norm: float,
) -> Chart:
    chosen = [
        point
        for point in points
        if point.setting.family == family and isinstance(_value(point, name), int | float)
    ]
    chosen.sort(key=lambda point: _value(point, name))
    x = tuple(float(_value(point, name)) for point in chosen)
    if len(x) < 2:
        return Chart(stage, label, "", ())
    deviation = [point.statistics.variance for point in chosen]
    known = [point.statistics.bias for point in chosen]
    bias = [each for each in known if each is not None]
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
    title = f"{_title(family)}: {stage}"
    return Chart(title, label, "nats", tuple(series), log_x=True, log_y=True)


def _title(family: str) -> str:
    return {"direct": "Direct", "gumbel-softmax": "Gumbel-Softmax"}.get(family, family)


def _same_limits(charts: list[Chart]) -> list[Chart]:
    """Charts side by side with one vertical axis."""
    heights = [y for chart in charts for s in chart.series for y in s.y if y is not None and y > 0]
    if not heights:
        return charts
    limits = (min(heights) / 1.8, max(heights) * 1.8)
    return [replace(chart, y_limits=limits) for chart in charts]


def _tables(measured: Sequence[Outcome]) -> list[Table]:
    """A row a setting, a column a stage; what the paper has, and the rest folded."""
    stages = {stage_of(outcome): outcome for outcome in measured}
    rows: dict[str, list[Cell]] = {}
    families = {}
    for number, outcome in enumerate(stages.values()):
        for point in _points(outcome):
            cells = rows.setdefault(point.setting.label, [Cell(NOTHING, faint=True)] * len(stages))
            cells[number] = _cell(point, float(outcome.norm or 0))
            families[point.setting.label] = point.setting.family
    columns = ("estimator", *stages)
    tables = []
    for title, inside in (("The paper's estimators", True), ("All other estimators", False)):
        chosen = tuple(
            (Cell(label), *cells)
            for label, cells in rows.items()
            if (families[label] in FAMILIES) is inside
        )
        if chosen:
            tables.append(Table(title, columns, chosen, NOTE, folded=not inside))
    return tables


def _cell(point: Point, norm: float) -> Cell:
    statistics = point.statistics
    bias = statistics.bias
    if bias is None:
        text = "bias unknown"
    elif bias.low > 0:
        text = f"{_number(100 * bias.value / norm)} %"
    elif bias.high > 0:
        text = f"≤ {_number(100 * bias.high / norm)} %"
    else:
        text = "0 %"
    variance = f"variance {_number(statistics.variance.value / norm**2)}"
    return Cell(text, f"{variance}, zeros {100 * statistics.sparsity.value:.0f} %")


def _number(value: float) -> str:
    """Three digits without powers of ten.

    Example:
        >>> _number(1280.4), _number(0.1358), _number(1e-5), _number(0)
        ('1,280', '0.136', '< 0.001', '0')
    """
    if 0 < value < 0.001:
        return "< 0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _finding(stage: str, points: Sequence[Point]) -> list[str]:
    """How often the direct estimator is zero at its smallest step."""
    steps: Mapping[float, Point] = {
        float(_value(point, "epsilon")): point
        for point in points
        if point.setting.family == "direct" and isinstance(_value(point, "epsilon"), int | float)
    }
    if not steps:
        return []
    smallest = min(steps)
    share = 100 * steps[smallest].statistics.sparsity.value
    return [f"{stage}: at ε = {smallest:g}, {share:.0f} % of the direct gradients are zero."]
