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
    frame = axes.get_window_extent().padded(-2)
    points = axes.transData.transform(np.array([*obstacles, *((e.x, e.y) for e in labels)]))
    placed: list[Any] = []
    for label in labels:
        text = axes.annotate(
            label.text,
            (label.x, label.y),
            (0, 0),
            textcoords="offset points",
            fontsize=size,
            color=label.color,
            ha="center",
            va="center",
            zorder=5,
        )
        anchor = axes.transData.transform((label.x, label.y))
        box = text.get_window_extent(canvas.get_renderer())
        tried: dict[float, tuple[float, Any]] = {}
        for distance in DISTANCES:
            for angle in ANGLES:
                candidate = _moved(box, anchor, (GAP + distance) * scale, math.radians(angle))
                cost = _cost(candidate, frame, placed, points) + distance / 1000
                tried.setdefault(cost, (distance, candidate))
            if min(tried) < 1:
                break
        distance, candidate = tried[min(tried)]
        placed.append(candidate)
        middle = (candidate.min + candidate.max) / 2
        text.set_position(tuple((middle - anchor) / scale))
        if distance > DISTANCES[1]:  # a thin line from the point to the nearest edge
            ends = np.array([anchor, np.clip(anchor, candidate.min, candidate.max)])
            x, y = axes.transData.inverted().transform(ends).T
            axes.plot(x, y, color=label.color, linewidth=0.5, alpha=0.7, zorder=1.5)


def _moved(box: Any, anchor: Any, gap: float, angle: float) -> Any:
    """The box of a label whose edge is `gap` away from its point, in a direction."""
    direction = np.array([math.cos(angle), math.sin(angle)])
    middle = anchor + direction * gap + np.sign(direction.round(6)) * box.size / 2
    return Bbox([middle - box.size / 2, middle + box.size / 2])


def _cost(box: Any, frame: Any, placed: list[Any], points: Any) -> float:
    """Below 1 where the place is free."""
    cost = 0.0
    for other in placed:
        overlap = Bbox.intersection(box.padded(1), other)
        if overlap is not None and overlap.width > 0 and overlap.height > 0:
            cost += 5 + overlap.width * overlap.height
    near = box.padded(2)
    inside = ((points > near.min) & (points < near.max)).all(1).sum()
    outside = np.maximum(frame.min - box.min, 0) + np.maximum(box.max - frame.max, 0)
    return cost + 3 * int(inside) + 10 * float(outside.sum())
