"""Pictures of what was measured: bias and deviation by ε and τ, bias against variance."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from directmax.laboratory import Point
from directmax.tool.measure.style import (
    GREY,
    NEGLIGIBLE,
    STYLE,
    Families,
    families_by,
    resolved,
    style_of,
)
from directmax.tool.measure.tradeoff import tradeoff


def gradient_figure(points: Sequence[Point], norm: float) -> Figure:
    """Curves by ε and by τ, the share of zero gradients, and bias² against variance of all.

    Shaded: confidence intervals. A triangle is the upper end of the interval of a bias that cannot
    be told from 0; in the lower row such estimators are on the left. Rao-Blackwell variants are
    left
    out: they have the bias of what they are variants of, and their variance is in the table.

    Args:
        points: what was measured; panels that would be empty are left out.
        norm: of the exact gradient, in nats.
    """
    points = [point for point in points if "Rao-Blackwell" not in point.setting.family]
    with rc_context(STYLE):
        steps, relaxed = families_by(points, "epsilon"), families_by(points, "temperature")
        panels: list[Callable[[Axes], object]] = []
        limits = _limits([*steps.values(), *relaxed.values()], norm)
        if steps:
            panels.append(lambda axes: _curves(axes, steps, "epsilon", norm, limits))
        if relaxed:
            panels.append(lambda axes: _curves(axes, relaxed, "temperature", norm, limits))
        if steps:
            panels.append(lambda axes: _sparsity(axes, steps))
        figure = Figure(figsize=(10.5, 8.6 if panels else 4.6), layout="constrained")
        if panels:
            parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.15))
            upper, lower = parts
            row = upper.subplots(1, len(panels), squeeze=False)[0]
            for draw, axes in zip(panels, row, strict=True):
                draw(axes)
        else:
            lower = figure.subfigures(1, 1)
        tradeoff(figure, lower, points, norm)
    return figure


def figure_one(
    stages: Sequence[tuple[str, Sequence[Point], float]],
    families: Sequence[str] = ("direct", "gumbel-softmax"),
) -> Figure:
    """Figure 1 of the paper: bias and standard deviation by ε and by τ, one row a stage.

    Args:
        stages: a title, such as "initialisation", the points and the exact gradient's norm (nats)
            of each.
        families: which estimators.

    Reference: Lorberbom et al. 2019, figure 1, which has variances.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.9 * len(stages)), layout="constrained")
        grid = figure.subplots(len(stages), 2, squeeze=False)
        handles: dict[Any, Any] = {}
        for row, (title, points, norm) in zip(grid, stages, strict=True):
            chosen = [point for point in points if point.setting.family in families]
            curves = {field: families_by(chosen, field) for field in ("epsilon", "temperature")}
            limits = _limits([f for each in curves.values() for f in each.values()], norm)
            for axes, (field, found) in zip(row, curves.items(), strict=True):
                kinds = _curves(axes, found, field, norm, limits, legend=False)
                axes.set_title(f"{', '.join(found)}, {title}", loc="left")
                # A triangle is explained if there is one in any panel.
                handles |= {line.get_label(): line for line in kinds}
        figure.legend(handles=handles.values(), loc="outside lower center", frameon=False, ncols=4)
    return figure


def svg(figure: Figure) -> str:
    """A vector picture whose bytes depend on its content alone."""
    buffer = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def png(figure: Figure, *, dpi: int = 160) -> bytes:
    """The same in pixels."""
    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _limits(families: Sequence[Sequence[Point]], norm: float) -> tuple[float, float]:
    """Of biases and deviations, with room for the intervals."""
    values = [norm] if norm else []
    for family in families:
        for point in family:
            bias, variance = point.statistics.bias, point.statistics.variance
            if variance.value > NEGLIGIBLE * norm**2:
                values.append(math.sqrt(variance.value))
            if bias is not None and bias.high > 0:
                values.append(bias.value if bias.low > 0 else bias.high)
    values = [value for value in values if value > 1e-6 * norm] or [1.0]
    return min(values) / 2, max(values) * 2


def _curves(
    axes: Axes,
    families: Families,
    field: str,
    norm: float,
    limits: tuple[float, float],
    *,
    legend: bool = True,
) -> list[Any]:
    """Bias and deviation of families; what the styles of the lines mean, as handles."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(limits)
    for family, points in families.items():
        color, marker = style_of(points[0])
        x = np.array([getattr(point.setting, field) for point in points])
        _band(axes, x, [_deviation(point) for point in points], color, marker, "--")
        bias = [point.statistics.bias for point in points]
        known = np.array([(b.value, b.low, b.high) for b in bias if b is not None])
        if len(known) < len(points):
            continue
        hidden = known[:, 1] <= 0
        ends = known[:, 2].copy()
        known[hidden] = np.nan
        _band(axes, x, known, color, marker, "-")
        axes.plot(x[hidden], ends[hidden], "v", color=color, mfc="white", ms=4.5, mew=0.9)
        axes.plot([], [], color=color, marker=marker, ms=3, label=family)
    axes.set_xlabel({"epsilon": "step ε, 1/nats", "temperature": "temperature τ"}[field])
    axes.set_ylabel("bias, standard deviation (nats)")
    kinds: list[Any] = [
        Line2D([], [], color=GREY, linestyle="-", label="bias"),
        Line2D([], [], color=GREY, linestyle="--", label="standard deviation"),
    ]
    if any(not resolved(point) for points in families.values() for point in points):
        kinds.append(
            Line2D(
                [], [], color=GREY, marker="v", mfc="white", ms=4.5, ls="", label="bias, at most"
            )
        )
    if norm:
        line = axes.axhline(norm, color=GREY, linewidth=0.8, linestyle=":", zorder=0.5)
        line.set_label("exact gradient (norm)")
        kinds.append(line)
    if legend:
        own = [h for h in axes.get_legend_handles_labels()[0] if h not in kinds]
        _legend_above(axes, own, kinds)
    return kinds


def _legend_above(axes: Axes, left: list[Any], right: list[Any]) -> None:
    """Two columns above the axes."""
    rows = max(len(left), len(right))
    nothing = Line2D([], [], ls="", label=" ")
    columns = [[*each, *[nothing] * (rows - len(each))] for each in (left, right)]
    legend = axes.legend(
        handles=columns[0] + columns[1],
        frameon=False,
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
    axes.set_title(" " + "\n" * rows, loc="left")  # room for it


def _deviation(point: Point) -> tuple[float, float, float]:
    variance = point.statistics.variance
    value, low, high = (math.sqrt(x) for x in (variance.value, variance.low, variance.high))
    return value, low, high


def _band(axes: Axes, x: np.ndarray, values: Any, color: str, marker: str, style: str) -> None:
    """A line with its intervals; nothing where there are no numbers, or no positive ones."""
    middle, low, high = np.asarray(values, dtype=float).T
    line = np.where(middle > 0, middle, np.nan)
    floor = axes.get_ylim()[0] / 10
    axes.fill_between(
        x, np.fmax(low, floor), np.fmax(high, floor), where=line > 0, color=color, alpha=0.18, lw=0
    )
    axes.plot(x, line, style, color=color, marker=marker, ms=3, linewidth=1.3)


def _sparsity(axes: Axes, families: Families) -> None:
    axes.set_xscale("log")
    for points in families.values():
        color, marker = style_of(points[0])
        x = np.array([point.setting.epsilon for point in points])
        shares = [100 * point.statistics.sparsity.value for point in points]
        axes.plot(x, shares, color=color, marker=marker, ms=3, linewidth=1.3)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("step ε, 1/nats")
    axes.set_ylabel("gradients that are zero, %")
