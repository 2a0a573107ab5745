"""Labels of points in a plot, placed so that they do not cover each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

GAP = 3.0
"""Between a marker and its label, in points."""
DISTANCES = (0.0, 8.0, 16.0, 26.0, 38.0, 52.0, 70.0, 90.0)
"""Tried in turn, in points; beyond the second one a line leads from the label to its point."""
ANGLES = (0, 180, 45, -45, 135, -135, 90, -90)
"""Directions from the point, in degrees."""


@dataclass(frozen=True)
class Label:
    """A text at a point, in data coordinates."""

    x: float
    y: float
    text: str
    color: str


def place_labels(
    figure: Figure,
    axes: Axes,
    labels: list[Label],
    obstacles: list[tuple[float, float]],
    size: float,
) -> None:
    """Write labels beside their points: greedily, each at the first place that is free.

    Where no place is free, the one that overlaps least is taken. The figure's layout is fixed from
    here on.

    Args:
        figure: of the axes.
        axes: with final limits.
        labels: what to write.
        obstacles: points to keep clear, in data coordinates.
        size: of the font, in points.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # the layout is known only now
    figure.set_layout_engine("none")
    scale = figure.dpi / 72
    frame = axes.get_window_extent()
    points = axes.transData.transform(np.array([*obstacles, *((e.x, e.y) for e in labels)]))
    taken: list[Bbox] = []
    for label in labels:
        anchor = axes.transData.transform((label.x, label.y))
        text = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=size,
            color=label.color,
            ha="center",
            va="center",
            zorder=5,
        )
        box = text.get_window_extent(canvas.get_renderer())
        best: tuple[float, float, float, float, Bbox] | None = None
        for distance in DISTANCES:
            for angle in ANGLES:
                dx, dy = _offset(box, (GAP + distance) * scale, math.radians(angle))
                moved = Bbox.from_bounds(
                    anchor[0] + dx - box.width / 2, anchor[1] + dy - box.height / 2, *box.size
                )
                cost = _cost(moved, frame, taken, points) + distance / 1000
                if best is None or cost < best[0]:
                    best = (cost, dx, dy, distance, moved)
            if best is not None and best[0] < 1:
                break
        if best is None:
            continue
        _, dx, dy, distance, moved = best
        taken.append(moved)
        text.set_position((dx / scale, dy / scale))
        if distance > DISTANCES[1]:
            _lead(axes, anchor, moved, label.color)


def _offset(box: Bbox, gap: float, angle: float) -> tuple[float, float]:
    """From the point to the middle of a label whose edge is `gap` away."""
    x, y = math.cos(angle), math.sin(angle)
    half_width = box.width / 2 * np.sign(round(x, 6))
    half_height = box.height / 2 * np.sign(round(y, 6))
    return float(x * gap + half_width), float(y * gap + half_height)


def _cost(box: Bbox, frame: Bbox, taken: list[Bbox], points: Any) -> float:
    """Below 1 where the place is free."""
    cost = 0.0
    for other in taken:
        both = Bbox.intersection(box.padded(1), other)
        if both is not None and both.width > 0 and both.height > 0:
            cost += 5 + both.width * both.height
    inside = (
        (points[:, 0] > box.x0 - 2)
        & (points[:, 0] < box.x1 + 2)
        & (points[:, 1] > box.y0 - 2)
        & (points[:, 1] < box.y1 + 2)
    )
    cost += 3 * int(inside.sum())
    outside = (
        max(0, frame.x0 + 2 - box.x0)
        + max(0, box.x1 + 2 - frame.x1)
        + max(0, frame.y0 + 2 - box.y0)
        + max(0, box.y1 + 2 - frame.y1)
    )
    return cost + 10 * outside


def _lead(axes: Axes, anchor: Any, box: Bbox, color: str) -> None:
    """A thin line from the point to the nearest edge of its label."""
    end = (
        min(max(anchor[0], box.x0), box.x1),
        min(max(anchor[1], box.y0), box.y1),
    )
    both = axes.transData.inverted().transform(np.array([anchor, end]))
    axes.plot(both[:, 0], both[:, 1], color=color, linewidth=0.5, alpha=0.7, zorder=1.5)
