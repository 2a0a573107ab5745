"""The one style of figures, and how they become SVG and PNG.

A figure made inside `style()` has the light colours of the palette. As SVG it follows the theme of
the page, its text is text, and its bytes depend on its content alone.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from directmax.tool.look.content import Chart, Figure, Series
from directmax.tool.look.palette import LIGHT, css, themed

WIDTH, HEIGHT = 4.7, 3.3
"""Of one chart, in inches."""
SMALL = 8.0
"""Size of the smallest text, in points."""
DASHES: dict[str, Any] = {"solid": "-", "dashed": (0, (5, 2)), "dotted": (0, (1, 1.6))}
BAND, FAINT_BAND, FEW = 0.16, 0.1, 5
"""Opacity of bands, in charts with few lines and with more than `FEW`."""
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
    "lines.markersize": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "grid.color": LIGHT["grid"],
    "text.color": LIGHT["ink"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.titlecolor": LIGHT["ink"],
    "axes.edgecolor": LIGHT["soft"],
    "xtick.color": LIGHT["soft"],
    "ytick.color": LIGHT["soft"],
    "xtick.labelcolor": LIGHT["ink"],
    "ytick.labelcolor": LIGHT["ink"],
    "svg.fonttype": "none",
}


def style() -> Any:
    """The context in which figures are made."""
    return rc_context(STYLE)


def draw(axes: Axes, chart: Chart) -> None:
    """Draw a chart, without a legend, into axes made in this style."""
    if chart.log_x:
        axes.set_xscale("log")
    if chart.log_y:
        axes.set_yscale("log")
    if chart.y_limits is not None:
        axes.set_ylim(chart.y_limits)
    band = BAND if len(chart.series) <= FEW else FAINT_BAND
    for series in chart.series:
        if series.low:
            low = series.low
            if chart.log_y:  # an interval that reaches 0 ends at the lowest point of all
                floor = chart.y_limits[0] if chart.y_limits else _floor(chart.series)
                low = [max(value, floor) for value in low]
            high = [max(pair) for pair in zip(low, series.high, strict=True)]
            color = LIGHT[series.color]
            axes.fill_between(series.x, low, high, color=color, alpha=band, linewidth=0)
        y = [math.nan if value is None else value for value in series.y]
        axes.plot(series.x, y, zorder=2 if series.dash == "dotted" else 3, **_line(series))
    for axis, log in ((axes.xaxis, chart.log_x), (axes.yaxis, chart.log_y)):
        if log:  # 0.01, not a power of ten, whose exponent nobody can read on a phone
            axis.set_major_locator(LogLocator(subs=_subs(axis.get_view_interval())))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    if not chart.log_x:
        whole_numbers(axes.xaxis)
        axes.set_xlim(left=0)
    axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)


def whole_numbers(axis: Any) -> None:
    """Numbers at whole positions only."""
    axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def chart_svg(chart: Chart, name: str) -> str:
    """One chart without legend, as an SVG element for a page that has the colours as variables.

    Args:
        chart: what to draw.
        name: different from that of all others on the page.
    """
    with style():
        drawing = Drawing(figsize=(WIDTH, HEIGHT), layout="constrained")
        draw(drawing.subplots(), chart)
    return svg(drawing, name, chart.title or f"{chart.y_label} by {chart.x_label}")


def drawn(figure: Figure) -> Drawing:
    """All charts of a figure with their legend."""
    columns = min(figure.columns, len(figure.charts))
    rows = -(-len(figure.charts) // columns)
    legend = figure.legend()
    legend_columns = min(len(legend), 2 * columns)
    legend_rows = -(-len(legend) // max(legend_columns, 1))
    size = (WIDTH * columns, HEIGHT * rows + 0.25 * legend_rows + 0.15)
    with style():
        drawing = Drawing(figsize=size, layout="constrained")
        grid = list(drawing.subplots(rows, columns, squeeze=False).flat)
        for axes, chart in zip(grid, figure.charts, strict=False):
            draw(axes, chart)
        for axes in grid[len(figure.charts) :]:
            axes.set_visible(False)
        if legend:
            handles = [handle(series) for series in legend]
            drawing.legend(handles=handles, loc="outside upper center", ncols=legend_columns)
    return drawing


def handle(series: Series) -> Line2D:
    """What stands for a series in a legend."""
    return Line2D([], [], label=series.label, **_line(series))


def swatch(series: Series) -> str:
    """A short piece of a line, for a legend in HTML."""
    color = f"var(--{series.color})"
    dash = {"solid": "", "dashed": "6 3", "dotted": "1.5 3"}[series.dash]
    strength = 'stroke-width="1" opacity="0.45"' if series.faint else 'stroke-width="2"'
    line = f'<path d="M0 6h26" stroke="{color}" {strength} stroke-dasharray="{dash}"/>'
    shapes = {
        "o": f'<circle cx="13" cy="6" r="3" fill="{color}"/>',
        "s": f'<rect x="10" y="3" width="6" height="6" fill="{color}"/>',
        "v": f'<path d="M9 3h8l-4 7z" fill="{color}"/>',
    }
    drawing = (line if series.line else "") + shapes.get(series.marker, "")
    return f'<svg width="26" height="12" aria-hidden="true">{drawing}</svg>'


def svg(drawing: Drawing, name: str, title: str) -> str:
    """An SVG element for a page that has the colours as variables.

    Args:
        drawing: made in this style.
        name: different from that of all others on the page.
        title: for those who do not see it.
    """
    buffer = io.StringIO()
    with rc_context({**STYLE, "svg.hashsalt": name}):
        drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = themed(text[text.index("<svg") :])
    # The page's font; matplotlib writes "font: 9.5px 'DejaVu Sans'".
    text = re.sub(r"'DejaVu Sans'(?:, [^;\"]*)?", FONT, text)
    # Several drawings share a page: no two elements may have one name, and none styles the page.
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace("*{stroke-linejoin", f"#{name} *{{stroke-linejoin")
    label = escape(title, quote=True)
    return text.replace("<svg ", f'<svg id="{name}" role="img" aria-label="{label}" ', 1)


def svg_file(drawing: Drawing, name: str, title: str) -> str:
    """An SVG file that follows the theme by itself."""
    text = svg(drawing, name, title)
    head = text.index(">") + 1
    background = f'<rect width="100%" height="100%" fill="var(--page)"/><style>{css()}</style>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text[:head]}{background}{text[head:]}'


def png_file(drawing: Drawing, *, dpi: int = 160) -> bytes:
    """The same in pixels, on white."""
    buffer = io.BytesIO()
    with style():
        drawing.savefig(buffer, format="png", dpi=dpi, facecolor=LIGHT["page"])
    return buffer.getvalue()


def _line(series: Series) -> dict[str, Any]:
    """How a series is drawn, as matplotlib says it."""
    return {
        "color": LIGHT[series.color],
        "linestyle": DASHES[series.dash] if series.line else "",
        "marker": series.marker or None,
        "alpha": 0.45 if series.faint else None,
        **({"linewidth": 1} if series.faint else {}),
        **({"markersize": 5} if series.marker == "v" else {}),
    }


def _subs(ends: Sequence[float]) -> tuple[float, ...]:
    """Where a logarithmic axis has numbers: also between powers of ten where these are few."""
    return (1.0,) if math.log10(ends[1] / ends[0]) > 2 else (1.0, 2.0, 5.0)


def _floor(series: Sequence[Series]) -> float:
    values = [y for each in series for y in each.y if y is not None and y > 0]
    return min(values, default=1.0) / 2
