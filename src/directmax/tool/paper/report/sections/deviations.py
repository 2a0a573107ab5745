"""Figure 1 as published: the standard deviation of the gradient by ε and τ from 0.1 to 1."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from directmax.tool.look.content import Cell, Chart, Figure, Series, Table
from directmax.tool.measure.curves import FAMILIES, Measured
from directmax.tool.paper import slides
from directmax.tool.paper.report.curves import published_line
from directmax.tool.paper.report.layout import Section, verdict
from directmax.tool.paper.report.methods import look

TITLE = "Standard deviation of the gradient by ε and τ"
NOTE = (
    "Standard deviation of one gradient of the potentials, in nats, direct at ε and Gumbel-Softmax "
    "at τ of the same number, where both were published; the mean over seeds. The published scale "
    "is unknown, so only the ratio can be compared; read to 0.00005."
)
CURVES = (
    "Each in units of Gumbel-Softmax at τ = 1 of the same stage or, dotted, of the published one, "
    "whose scale is unknown."
)
Stages = Mapping[str, Sequence[Measured]]
Deviations = dict[str, dict[float, float]]
"""In nats, by family and its number."""


def build(stages: Stages) -> Section:
    """The published quantity beside ours, where it was measured.

    Args:
        stages: measurements at the published numbers.
    """
    found = {stage: each for stage, points in stages.items() if (each := deviations_of(points))}
    if not found:
        return Section()
    numbers = shared_numbers()
    columns = ["ε = τ"]
    for stage in found:
        columns += [f"{stage}: direct", "Gumbel-Softmax", "ratio"]
    rows = [[f"{x:g}", *(c for each in found.values() for c in _cells(x, each))] for x in numbers]
    charts = [_chart(stage, each) for stage, each in found.items()]
    return Section(
        findings=[_finding(stage, each) for stage, each in found.items()],
        tables=[Table(TITLE, columns, rows, NOTE)],
        figures=[Figure("figure1-published", TITLE, charts, note=CURVES)],
    )


def deviations_of(measured: Sequence[Measured]) -> Deviations:
    """√variance of every setting, the mean over seeds."""
    found: dict[str, dict[float, list[float]]] = {family: {} for family in FAMILIES}
    for points, _ in measured:
        for point in points:
            family = point.setting.family
            number = getattr(point.setting, FAMILIES[family]) if family in FAMILIES else None
            if isinstance(number, int | float):
                deviation = math.sqrt(point.statistics.variance.value)
                found[family].setdefault(float(number), []).append(deviation)
    means = {
        family: {x: statistics.fmean(found[family][x]) for x in sorted(found[family])}
        for family in found
    }
    return means if all(means.values()) else {}


def shared_numbers() -> list[float]:
    """Numbers at which both curves were published.

    Example:
        >>> shared_numbers()
        [0.1, 0.2, 0.4, 1.0]
    """
    direct, relaxed = (slides.DEVIATIONS[name].x for name in ("direct", "gumbel-softmax"))
    return [x for x in direct if x in relaxed]


def published_ratio(x: float) -> float:
    """Of direct's deviation and Gumbel-Softmax's.

    Example:
        >>> round(published_ratio(0.1), 3), round(published_ratio(1.0), 3)
        (0.104, 0.075)
    """
    direct, relaxed = (slides.DEVIATIONS[name].at(x) for name in ("direct", "gumbel-softmax"))
    assert direct is not None
    assert relaxed is not None
    return direct / relaxed


def ratio(x: float, found: Deviations) -> float | None:
    """The same of ours."""
    direct, relaxed = (found[family].get(x) for family in ("direct", "gumbel-softmax"))
    return direct / relaxed if direct is not None and relaxed else None


def _cells(x: float, found: Deviations) -> list[Any]:
    values = [found[family].get(x) for family in ("direct", "gumbel-softmax")]
    ours = ratio(x, found)
    beside = Cell("" if ours is None else f"{ours:.3g}", f"paper {published_ratio(x):.3g}")
    return [*(None if value is None else f"{value:.3g}" for value in values), beside]


def _chart(stage: str, found: Deviations) -> Chart:
    """Ours solid, the published ones dotted, each in the unit of its own Gumbel-Softmax."""
    ours, theirs = found["gumbel-softmax"].get(1.0), slides.DEVIATIONS["gumbel-softmax"].last
    series = []
    for family in FAMILIES:
        published = published_line(look(family), slides.DEVIATIONS[family])
        y = [value / theirs for value in slides.DEVIATIONS[family].y]
        series.append(replace(published, y=y))
        if ours:
            points, color = found[family], look(family).color
            y = [value / ours for value in points.values()]
            series.append(Series(look(family).label, list(points), y, color=color, marker="o"))
    labels = "step ε or temperature τ", "in Gumbel-Softmax's at τ = 1"
    return Chart(stage, *labels, series[::-1], log_x=True, log_y=True)


def _finding(stage: str, found: Deviations) -> str:
    ratios = [each for x in shared_numbers() if (each := ratio(x, found)) is not None]
    theirs = [published_ratio(x) for x in shared_numbers()]
    spans = [
        " to ".join(dict.fromkeys(f"{end:.2g}" for end in (min(each), max(each))))
        for each in (ratios, theirs)
    ]
    claim = (
        f"{stage}: direct's standard deviation is below Gumbel-Softmax's at the same number "
        f"(published {spans[1]} of it)"
    )
    return verdict(claim, max(ratios) < 1, f"{spans[0]} of it")
