"""Bias and deviation by ε and by τ, as charts: families, their colours, their curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from directmax.laboratory import Point
from directmax.tool.look.content import Chart, Series
from directmax.tool.look.palette import LIGHT, METHODS

NEGLIGIBLE = 1e-10
"""Variances below this part of the exact gradient's squared norm are rounding."""
FIELDS = {"epsilon": "step ε, 1/nats", "temperature": "temperature τ"}
"""By what estimators are drawn, and its axis."""
FAMILIES = {"direct": "epsilon", "gumbel-softmax": "temperature"}
"""The paper's, and by what each is drawn."""
BIAS, DEVIATION, HIDDEN = "bias", "standard deviation", "bias, at most"

Families = dict[str, list[Point]]
Measured = tuple[Sequence[Point], float]
"""Points, and the norm of the exact gradient, in nats."""


def families_by(points: Sequence[Point], field: str) -> Families:
    """Families with at least two numbers of a field, sorted by it."""
    found: Families = {}
    for point in points:
        if isinstance(getattr(point.setting, field), int | float):
            found.setdefault(point.setting.family, []).append(point)
    return {
        family: sorted(each, key=lambda point: getattr(point.setting, field))
        for family, each in found.items()
        if len(each) > 1
    }


def style_of(family: str, field: str) -> tuple[str, str]:
    """Colour and marker: squares where there is a temperature, circles elsewhere."""
    return METHODS.get(family, "ink"), "s" if field == "temperature" else "o"


def drawn_as(point: Point) -> tuple[str, str]:
    """The same of one point, the colour as matplotlib writes it."""
    field = "epsilon" if point.setting.temperature is None else "temperature"
    color, marker = style_of(point.setting.family, field)
    return LIGHT[color], marker


def resolved(point: Point) -> bool:
    """Whether the bias can be told from 0."""
    bias = point.statistics.bias
    return bias is not None and bias.low > 0


def stage_charts(stage: str, measured: Sequence[Measured]) -> list[Chart]:
    """Bias and deviation of the paper's two estimators, with one vertical axis.

    Args:
        stage: of the training, for the titles.
        measured: of one seed, whose intervals are shown, or of several, a line each.
    """
    charts = []
    for family, field in FAMILIES.items():
        series: list[Series] = []
        for points, norm in measured:
            if chosen := families_by(points, field).get(family):
                series += [*_curves(chosen, field), _norm(chosen, field, norm)]
        if len(measured) > 1:
            series = [replace(each, low=(), high=()) for each in series]
        title = f"{family.title()}: {stage}"
        charts.append(Chart(title, FIELDS[field], "nats", series, log_x=True, log_y=True))
    charts = [chart for chart in charts if chart.series]
    limits = limits_of(charts, max((norm for _, norm in measured), default=0.0))
    return [replace(chart, y_limits=limits) for chart in charts]


def families_chart(families: Families, field: str, norm: float) -> Chart:
    """All families by one field, each with its colour; their names are the labels of the biases."""
    series: list[Series] = []
    for family, points in families.items():
        color, marker = style_of(family, field)
        for each in _curves(points, field):
            label = family if each.label == BIAS else ""
            shape = marker if each.marker != "v" else "v"
            # No band where there is no line: those of several families would cover each other.
            low = [math.nan if y is None else at for at, y in zip(each.low, each.y, strict=False)]
            series.append(replace(each, label=label, low=low, color=color, marker=shape))
    if norm:
        ends = [point for points in families.values() for point in (points[0], points[-1])]
        ends.sort(key=lambda point: getattr(point.setting, field))
        series.append(_norm(ends, field, norm))
    y_label = "bias, standard deviation (nats)"
    return Chart("", FIELDS[field], y_label, series, log_x=True, log_y=True)


def limits_of(charts: Sequence[Chart], norm: float) -> tuple[float, float] | None:
    """Of the vertical axis that charts share; what is only rounding does not count."""
    heights = [y for chart in charts for each in chart.series for y in each.y if y is not None]
    heights = [y for y in heights if y > max(0.0, 1e-5 * norm)]
    return (min(heights) / 1.8, max(heights) * 1.8) if heights else None


def _curves(points: Sequence[Point], field: str) -> list[Series]:
    """Of one family: deviation, and bias where it is known, with intervals.

    The line of a bias that cannot be told from 0 is interrupted; the upper end of its interval has
    a triangle.
    """
    x = [float(getattr(point.setting, field)) for point in points]
    variance = [point.statistics.variance for point in points]
    low, high = ([math.sqrt(getattr(each, end)) for each in variance] for end in ("low", "high"))
    deviation = [math.sqrt(each.value) or None for each in variance]
    series = [Series(DEVIATION, x, deviation, low, high, "orange", "dashed", "s")]
    bias = [each for point in points if (each := point.statistics.bias) is not None]
    if len(bias) < len(x):
        return series
    values = [each.value if each.low > 0 else None for each in bias]
    low, high = [each.low for each in bias], [each.high for each in bias]
    series.append(Series(BIAS, x, values, low, high, color="blue", marker="o"))
    hidden = [(at, each.high) for at, each in zip(x, bias, strict=True) if each.low <= 0]
    if hidden:
        at, tops = zip(*hidden, strict=True)
        series.append(Series(HIDDEN, at, tops, color="blue", marker="v", line=False))
    return series


def _norm(points: Sequence[Point], field: str, norm: float) -> Series:
    x = [float(getattr(points[end].setting, field)) for end in (0, -1)]
    return Series("norm of the exact gradient", x, (norm, norm), dash="dotted")
