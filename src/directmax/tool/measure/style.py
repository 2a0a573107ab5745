"""Colours, fonts and families: what the pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from directmax.laboratory import Point

# Okabe and Ito's palette, safe for the colour-blind; its yellow is too light for lines on white.
BLUE, SKY, GREEN, BLACK = "#0072b2", "#56b4e9", "#009e73", "#000000"
ORANGE, VERMILLION, PURPLE = "#e69f00", "#d55e00", "#cc79a7"
GREY = "#6b6b6b"
COLORS = {
    "direct": BLUE,
    "direct two-sided": SKY,
    "corrected-direct": GREEN,
    "corrected-direct two-sided": BLACK,
    "implicit-mle": ORANGE,
    "implicit-mle two-sided": VERMILLION,
    "gumbel-softmax": VERMILLION,
    "gumbel-softmax straight-through": ORANGE,
    "straight-through": PURPLE,
    "reinmax": GREEN,
    "gumbel-rao": BLACK,
}
"""Of curves; families with a temperature have squares, others circles. The rest is black."""
SMALL, SIZE = 8.0, 9.0
"""Of fonts, in points."""
NEGLIGIBLE = 1e-10
"""Variances below this part of the exact gradient's squared norm are rounding."""
STYLE: Any = {
    "font.size": SIZE,
    "axes.titlesize": SIZE,
    "axes.labelsize": SIZE,
    "legend.fontsize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "directmax",
}

Families = dict[str, list[Point]]


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


def style_of(point: Point) -> tuple[str, str]:
    """Colour and marker of a family."""
    tempered = point.setting.temperature is not None
    return COLORS.get(point.setting.family, BLACK), "s" if tempered else "o"


def resolved(point: Point) -> bool:
    """Whether the bias can be told from 0."""
    bias = point.statistics.bias
    return bias is not None and bias.low > 0
