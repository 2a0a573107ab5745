"""Pictures of what was measured: bias and deviation by ε and τ, bias against variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from directmax.laboratory import Point
from directmax.tool.look import content
from directmax.tool.look.content import Chart, Series
from directmax.tool.look.figures import draw, drawn, handle, png_file, style, svg_file
from directmax.tool.measure.curves import (
    BIAS,
    DEVIATION,
    HIDDEN,
    Families,
    families_by,
    families_chart,
    limits_of,
    stage_charts,
    style_of,
)
from directmax.tool.measure.tradeoff import tradeoff


def gradient_figure(points: Sequence[Point], norm: float) -> Figure:
    """Curves by ε and by τ, the share of zero gradients, and bias² against variance of all.

    Shaded: confidence intervals. A triangle is the upper end of the interval of a bias that cannot
    be told from 0; in the lower row such estimators are on the left. Rao-Blackwell variants are not
    drawn: they have the bias of what they are variants of, and their variance is in the table.

    Args:
        points: what was measured; panels that would be empty are not drawn.
        norm: of the exact gradient, in nats.
    """
    points = [point for point in points if "Rao-Blackwell" not in point.setting.family]
    found = {field: families_by(points, field) for field in ("epsilon", "temperature")}
    charts = [families_chart(each, field, norm) for field, each in found.items() if each]
    limits = limits_of(charts, norm)
    charts = [replace(chart, y_limits=limits) for chart in charts]
    if found["epsilon"]:
        charts.append(_sparsity(found["epsilon"]))
    with style():
        figure = Figure(figsize=(12.6, 9.6 if charts else 4.6), layout="constrained")
        if charts:
            parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.15))
            upper, lower = parts
            row = upper.subplots(1, len(charts), squeeze=False)[0]
            for axes, chart in zip(row, charts, strict=True):
                draw(axes, chart)
                if chart.log_y:
                    _legend_above(axes, chart)
        else:
            lower = figure.subfigures(1, 1)
        tradeoff(figure, lower, points, norm)
    return figure


def figure_one(stages: Sequence[tuple[str, Sequence[Point], float]]) -> Figure:
    """Figure 1 of the paper: bias and standard deviation by ε and by τ, one row a stage.

    Args:
        stages: a title, such as "initialisation", the points and the exact gradient's norm (nats)
            of each.

    Reference: Lorberbom et al. 2019, figure 1, which has variances.
    """
    charts = [
        chart for title, points, norm in stages for chart in stage_charts(title, [(points, norm)])
    ]
    return drawn(content.Figure("figure1", "Bias and standard deviation of one gradient", charts))


def svg(figure: Figure) -> str:
    """As a vector picture."""
    return svg_file(figure, "figure", "Bias and variance of gradients by estimator")


def png(figure: Figure) -> bytes:
    """The same in pixels."""
    return png_file(figure)


def _legend_above(axes: Axes, chart: Chart) -> None:
    """Two columns above the axes: the families, and what the kinds of lines mean."""
    named = [each for each in chart.series if each.label]
    families = [replace(each, y=(), x=()) for each in named if each.dash != "dotted"]
    kinds = [Series(BIAS, (), (), color="soft"), Series(DEVIATION, (), (), dash="dashed")]
    if any(each.marker == "v" for each in chart.series):
        kinds.append(Series(HIDDEN, (), (), marker="v", line=False))
    kinds = [replace(each, color="soft") for each in kinds]
    kinds += [each for each in named if each.dash == "dotted"]
    rows = max(len(families), len(kinds))
    nothing = Series(" ", (), (), line=False)
    columns = [[*each, *[nothing] * (rows - len(each))] for each in (families, kinds)]
    legend = axes.legend(
        handles=[handle(each) for each in columns[0] + columns[1]],
        ncols=2,
        handlelength=1.8,
        columnspacing=0.8,
        labelspacing=0.35,
        borderaxespad=0.2,
        borderpad=0.0,
        loc="lower left",
        bbox_to_anchor=(-0.08, 1.02),
    )
    legend.set_in_layout(False)  # as wide as the axes with their labels
    axes.set_title(" " + "\n" * rows)  # room for it


def _sparsity(families: Families) -> Chart:
    """How many gradients are zero, by the step."""
    series = []
    for family, points in families.items():
        color, marker = style_of(family, "epsilon")
        x = [float(point.setting.epsilon or 0) for point in points]
        percentages = [100 * point.statistics.sparsity.value for point in points]
        series.append(Series("", x, percentages, color=color, marker=marker))
    y_label = "gradients that are zero, %"
    return Chart("", "step ε, 1/nats", y_label, series, log_x=True, y_limits=(-3, 103))
