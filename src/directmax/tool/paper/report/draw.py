"""Charts as SVG, whose colours follow the theme of the page, and whose text is text."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from directmax.tool.paper.report.layout import Chart, Figure, Series
from directmax.tool.paper.report.palette import LIGHT, css, sentinels

WIDTH, HEIGHT = 4.7, 3.3
"""Of one chart, in inches."""
COLORS = sentinels()
DASHES: dict[str, Any] = {"solid": "-", "dashed": (0, (5, 2)), "dotted": (0, (1, 1.6))}
BAND, FAINT_BAND, FEW = 0.16, 0.1, 5
"""Opacity of bands, in charts with few lines and with more than `FEW`."""
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
}


def chart_svg(chart: Chart, name: str) -> str:
    """One chart without legend, as an SVG element for a page that has the colours as variables.

    Args:
        chart: what to draw.
        name: different from that of all others on the page.
    """
    with rc_context({**STYLE, "svg.hashsalt": name}):
        drawing = Drawing(figsize=(WIDTH, HEIGHT), layout="constrained")
        _draw(drawing.subplots(), chart)
        return _svg(drawing, name, chart.title or f"{chart.y_label} by {chart.x_label}")


def figure_svg(figure: Figure) -> str:
    """All charts of a figure with their legend, as a file that follows the theme by itself."""
    columns = min(figure.columns, len(figure.charts))
    rows = -(-len(figure.charts) // columns)
    legend = figure.legend()
    legend_columns = min(len(legend), 2 * columns)
    legend_rows = -(-len(legend) // max(legend_columns, 1))
    size = (WIDTH * columns, HEIGHT * rows + 0.25 * legend_rows + 0.15)
    with rc_context({**STYLE, "svg.hashsalt": figure.name}):
        drawing = Drawing(figsize=size, layout="constrained")
        grid = drawing.subplots(rows, columns, squeeze=False).flat
        for axes, chart in zip(grid, figure.charts, strict=False):
            _draw(axes, chart)
        for axes in list(grid)[len(figure.charts) :]:
            axes.set_visible(False)
        if legend:
            drawing.legend(
                handles=[_handle(series) for series in legend],
                loc="outside upper center",
                ncols=legend_columns,
                frameon=False,
                labelcolor=COLORS["ink"],
            )
        text = _svg(drawing, figure.name, figure.title)
    head = text.index(">", text.index("<svg")) + 1
    background = f'<rect width="100%" height="100%" fill="var(--page)"/><style>{css()}</style>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text[:head]}{background}{text[head:]}'


def swatch(series: Series) -> str:
    """A short piece of a line, for a legend in HTML."""
    color = f"var(--{series.color})"
    dash = {"solid": "", "dashed": "6 3", "dotted": "1.5 3"}[series.dash]
    parts = []
    if series.line:
        parts.append(
            f'<line x1="0" y1="6" x2="26" y2="6" stroke="{color}" stroke-width="2"'
            + (f' stroke-dasharray="{dash}"' if dash else "")
            + "/>"
        )
    shapes = {
        "o": f'<circle cx="13" cy="6" r="3" fill="{color}"/>',
        "s": f'<rect x="10" y="3" width="6" height="6" fill="{color}"/>',
        "v": f'<path d="M9 3h8l-4 7z" fill="{color}"/>',
    }
    parts.append(shapes.get(series.marker, ""))
    return f'<svg width="26" height="12" aria-hidden="true">{"".join(parts)}</svg>'


def _draw(axes: Any, chart: Chart) -> None:
    if chart.log_x:
        axes.set_xscale("log")
    if chart.log_y:
        axes.set_yscale("log")
    if chart.y_limits is not None:
        axes.set_ylim(chart.y_limits)
    band = BAND if len(chart.series) <= FEW else FAINT_BAND
    for series in chart.series:
        color = COLORS[series.color]
        y = [float("nan") if value is None else value for value in series.y]
        if series.low:
            low = series.low
            if chart.log_y:  # an interval that reaches 0 ends at the lowest point of all
                floor = chart.y_limits[0] if chart.y_limits else _floor(chart.series)
                low = tuple(max(value, floor) for value in low)
            high = [max(pair) for pair in zip(low, series.high, strict=True)]
            axes.fill_between(series.x, low, high, color=color, alpha=band, linewidth=0)
        axes.plot(
            series.x,
            y,
            color=color,
            linestyle=DASHES[series.dash] if series.line else "",
            linewidth=1.7,
            marker=series.marker or None,
            markersize=5 if series.marker == "v" else 3.5,
            zorder=2 if series.dash == "dotted" else 3,
        )
    for axis, log in ((axes.xaxis, chart.log_x), (axes.yaxis, chart.log_y)):
        if log:  # 0.01, not a power of ten, whose exponent nobody can read on a phone
            axis.set_major_locator(LogLocator(subs=_subs(axis.get_view_interval())))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    if not chart.log_x:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        axes.set_xlim(left=0)
    axes.set_title(chart.title, loc="left", color=COLORS["ink"])
    axes.set_xlabel(chart.x_label, color=COLORS["ink"])
    axes.set_ylabel(chart.y_label, color=COLORS["ink"])
    axes.grid(color=COLORS["grid"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", color=COLORS["soft"], labelcolor=COLORS["ink"])
    for spine in axes.spines.values():
        spine.set_color(COLORS["soft"])


def _subs(ends: Sequence[float]) -> tuple[float, ...]:
    """Where a logarithmic axis has numbers: also between powers of ten where these are few."""
    return (1.0,) if math.log10(ends[1] / ends[0]) > 2 else (1.0, 2.0, 5.0)


def _floor(series: Sequence[Series]) -> float:
    values = [y for each in series for y in each.y if y is not None and y > 0]
    return min(values, default=1.0) / 2


def _handle(series: Series) -> Line2D:
    return Line2D(
        [],
        [],
        color=COLORS[series.color],
        linestyle=DASHES[series.dash] if series.line else "",
        linewidth=1.8,
        marker=series.marker or None,
        markersize=4,
        label=series.label,
    )


def _svg(drawing: Drawing, name: str, title: str) -> str:
    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for color, sentinel in COLORS.items():
        text = text.replace(sentinel, f"var(--{color},{LIGHT[color]})")
    # The page's font; matplotlib writes "font: 9.5px 'DejaVu Sans'".
    text = re.sub(r"'DejaVu Sans'(?:, [^;\"]*)?", FONT, text)
    # Several drawings share a page: no two elements may have one name, and none styles the page.
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace("*{stroke-linejoin", f"#{name} *{{stroke-linejoin")
    label = escape(title, quote=True)
    return text.replace("<svg ", f'<svg id="{name}" role="img" aria-label="{label}" ', 1)
