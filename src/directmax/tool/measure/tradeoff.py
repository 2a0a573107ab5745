"""Bias² against variance of all estimators, with lines of equal mean squared error."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from directmax.laboratory import Point
from directmax.tool.look.figures import SMALL
from directmax.tool.look.palette import LIGHT
from directmax.tool.measure.curves import NEGLIGIBLE, Families, drawn_as, resolved
from directmax.tool.measure.labels import Label, place_labels


def tradeoff(
    figure: Figure, part: Figure | SubFigure, points: Sequence[Point], norm: float
) -> None:
    """Left a column for each family whose bias cannot be told from 0, right bias² and variance.

    Args:
        figure: the whole figure.
        part: where to draw.
        points: what was measured; those without variance are only named.
        norm: of the exact gradient, in nats.
    """
    measured = [point for point in points if point.statistics.bias is not None]
    noisy = [p for p in measured if p.statistics.variance.value > NEGLIGIBLE * norm**2]
    silent = dict.fromkeys(p.setting.family for p in measured if p not in noisy)
    unbiased = _by_family([p for p in noisy if not resolved(p)])
    biased = _by_family([p for p in noisy if resolved(p)])
    ratios = [0.35 + 0.3 * len(unbiased), 7.0]
    left, right = part.subplots(1, 2, sharey=True, width_ratios=ratios)
    left.set_yscale("log")
    left.set_ylabel("variance, nats²")
    right.set_xscale("log")
    right.set_xlabel("bias², nats²")
    if noisy:
        variances = [p.statistics.variance.value for p in noisy]
        left.set_ylim(min(variances) / 3, max(variances) * 3)
    _columns(left, unbiased)
    labels, obstacles = _paths(right, biased)
    if biased:
        _iso_lines(right)
    notes = [] if not silent else [f"no variance: {', '.join(silent)}"]
    left.set_title("bias not told from 0", loc="left", color=LIGHT["soft"])
    right.set_title("; ".join(notes), loc="right", color=LIGHT["soft"])
    place_labels(figure, right, labels, obstacles, SMALL)


def _by_family(points: Sequence[Point]) -> Families:
    families: Families = {}
    for point in points:
        families.setdefault(point.setting.family, []).append(point)
    return families


def _columns(axes: Axes, families: Families) -> None:
    """Variances, one column a family; the first and the last number of each are written."""
    for index, points in enumerate(families.values()):
        color, marker = drawn_as(points[0])
        variances = [p.statistics.variance.value for p in points]
        axes.plot([index] * len(points), variances, color=color, linewidth=0.8, alpha=0.6)
        axes.plot([index] * len(points), variances, marker, color=color, ms=4, ls="")
        ordered = sorted(points, key=lambda p: p.statistics.variance.value)
        for point, shift in ((ordered[-1], 5), (ordered[0], -5)):
            text = number_of(point)
            if text and (shift > 0 or len(points) > 1):
                axes.annotate(
                    text,
                    (index, point.statistics.variance.value),
                    xytext=(0, shift),
                    textcoords="offset points",
                    ha="center",
                    va="bottom" if shift > 0 else "top",
                    fontsize=SMALL - 1.5,
                    color=color,
                )
    names = [family.replace(" ", "\n") for family in families]
    axes.set_xticks(range(len(families)), names, rotation=90, linespacing=0.9)
    axes.tick_params("x", length=0)
    axes.set_xlim(-0.8, max(1, len(families)) - 0.2)


def _paths(axes: Axes, families: Families) -> tuple[list[Label], list[tuple[float, float]]]:
    """A line a family, through its numbers; "auto" beside it. Labels: its name and its ends."""
    labels, obstacles = [], []
    for family, points in families.items():
        color, marker = drawn_as(points[0])
        spots = {id(p): (_square(p), p.statistics.variance.value) for p in points}
        numbered = [p for p in points if p.setting.epsilon != "auto"]
        path = [spots[id(p)] for p in numbered]
        edge: dict[str, Any] = {"mec": LIGHT["page"], "mew": 0.5, "zorder": 3}
        axes.plot(*zip(*spots.values(), strict=True), marker, color=color, ms=4.5, ls="", **edge)
        obstacles += list(spots.values())
        if len(path) > 1:
            axes.plot(*zip(*path, strict=True), color=color, linewidth=1, alpha=0.8)
            obstacles += _along(path)
        ends = [numbered[0], numbered[-1]] if len(numbered) > 1 else numbered
        for point in dict.fromkeys([*ends, *(p for p in points if p not in numbered)]):
            text = number_of(point)
            if point is ends[0] if ends else True:
                text = f"{family} {text}".strip()
            labels.append(Label(*spots[id(point)], text, color))
    return labels, obstacles


def number_of(point: Point) -> str:
    """The step or the temperature, in words."""
    return point.setting.label.removeprefix(point.setting.family).strip()


def _square(point: Point) -> float:
    bias = point.statistics.bias
    return 0.0 if bias is None else bias.value**2


def _iso_lines(axes: Axes) -> None:
    """bias² + variance = 10^i, dotted, with its value where it leaves the axes."""
    axes.margins(x=0.08)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for power in range(math.floor(math.log10(bottom)), math.ceil(math.log10(right + top)) + 1):
        total = 10.0**power
        if total <= left:
            continue
        x = np.geomspace(left, min(right, total * (1 - 1e-6)), 400)
        axes.plot(x, total - x, ":", color=LIGHT["soft"], linewidth=0.7, zorder=0.6)
        inside = total - x[-1] >= bottom
        if bottom < total - left < top:
            axes.annotate(
                f"MSE {total:g}",
                (1, total - x[-1]) if inside else (total, bottom),
                xycoords=("axes fraction", "data") if inside else "data",
                xytext=(-2, 2),
                textcoords="offset points",
                ha="right",
                fontsize=SMALL - 1.5,
                color=LIGHT["soft"],
            )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _along(path: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points on a polyline in logarithmic axes, for labels to keep off."""
    result = []
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        fraction = np.linspace(0, 1, 12)
        xs, ys = x0 * (x1 / x0) ** fraction, y0 * (y1 / y0) ** fraction
        result += list(zip(xs.tolist(), ys.tolist(), strict=True))
    return result
