"""Smooth shapes laid over one another.

Every shape is a polygon, filled at three times the resolution and averaged, so that its edge is
smooth; soft ones are blurred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 178, 218
"""Pixels of an image, as CelebA's aligned ones."""

SUPERSAMPLING = 3

Points = NDArray[np.float64]
"""Corners of a polygon, `(count, 2)`."""

Colour = NDArray[np.float64]
"""Red, green, blue, 0 … 255."""


def colour(*rgb: float) -> Colour:
    """A colour of three numbers in 0 … 255."""
    return np.array(rgb, dtype=np.float64)


def blend(colours: Sequence[Colour], position: float) -> Colour:
    """The colour at a position in 0 … 1 along several."""
    place = min(max(position, 0.0), 1.0) * (len(colours) - 1)
    left = min(int(place), len(colours) - 2)
    return colours[left] + (place - left) * (colours[left + 1] - colours[left])


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour of hue, saturation and value in 0 … 1."""
    ramp = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return 255 * value * (1 - saturation + saturation * ramp.clip(0, 1))


WHITE = colour(250, 250, 250)
DARK = colour(40, 26, 26)


def smooth(
    points: Sequence[tuple[float, float]] | Points, closed: bool = True, steps: int = 8
) -> Points:
    """A curve through the points (Catmull and Rom's spline)."""
    knots = np.array(points, dtype=np.float64)
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    before, start, end, after = (knots[i : len(knots) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = start + 0.5 * t * (
        end - before + t * (2 * before - 5 * start + 4 * end - after)
        + t * t * (3 * (start - end) + after - before)
    )  # fmt: skip
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-2:-1]])


def mirrored(half: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A closed outline from its right half, which begins and ends at x = 0."""
    return [*half, *((-x, y) for x, y in reversed(half[1:-1]))]


def stroke(points: Points, width: float, taper: float = 0.0) -> Points:
    """The outline of a line; `taper` is how much thinner its ends are, 0 … 1."""
    direction = np.gradient(points, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
    normal = direction[:, ::-1] * np.array([-1.0, 1.0])
    along = np.linspace(-1, 1, len(points))[:, None]
    half = normal * width / 2 * (1 - taper * along**2)
    return np.concatenate([points + half, (points - half)[::-1]])


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, power: float = 2.0, count: int = 40
) -> Points:
    """A superellipse: 2 is round, larger is more rectangular."""
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack(
        [
            x + radius_x * np.sign(cosine) * np.abs(cosine) ** (2 / power),
            y + radius_y * np.sign(sine) * np.abs(sine) ** (2 / power),
        ],
        axis=1,
    )


class Canvas:
    """An image that shapes are laid over, `(HEIGHT, WIDTH, 3)`, 0 … 255."""

    def __init__(self, pixels: NDArray[np.float64]) -> None:
        self.pixels = pixels

    def mask(
        self, points: Points, hole: Points | None = None, blur: float = 0.0
    ) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
        """How much of each pixel a polygon covers, in the rectangle around it."""
        margin = math.ceil(3 * blur) + 1
        low = np.floor(points.min(0)).astype(int) - margin
        high = np.ceil(points.max(0)).astype(int) + margin
        left, top = (int(v) for v in low.clip(-margin, (WIDTH - 1, HEIGHT - 1)))
        right, bottom = (int(v) for v in high.clip(1, (WIDTH + margin, HEIGHT + margin)))
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        size = ((right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING)
        image = Image.new("L", size)
        pen = ImageDraw.Draw(image)
        for outline, value in ((points, 255), (hole, 0)):
            if outline is not None:
                corners = (outline - (left, top)) * SUPERSAMPLING
                pen.polygon([(x, y) for x, y in corners.tolist()], fill=value)
        image = image.reduce(SUPERSAMPLING)
        if blur:
            image = image.filter(ImageFilter.GaussianBlur(blur))
        cover = np.asarray(image, dtype=np.float64) / 255
        rows, columns = (
            slice(max(top, 0), min(bottom, HEIGHT)),
            slice(max(left, 0), min(right, WIDTH)),
        )
        inside = cover[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        return (rows, columns), inside

    def whole_mask(self, points: Points, blur: float = 0.0) -> NDArray[np.float64]:
        """The same for the whole image."""
        where, cover = self.mask(points, blur=blur)
        whole = np.zeros((HEIGHT, WIDTH))
        whole[where] = cover
        return whole

    def fill(
        self,
        points: Points,
        paint: Colour,
        *,
        opacity: float = 1.0,
        blur: float = 0.0,
        hole: Points | None = None,
        within: NDArray[np.float64] | None = None,
    ) -> None:
        """Lay a filled polygon over the image.

        Args:
            points: corners in pixels.
            paint: its colour.
            opacity: 0 … 1.
            blur: of its edge, in pixels.
            hole: a polygon that is left out.
            within: `(HEIGHT, WIDTH)`, 0 … 1, where it may be.
        """
        where, cover = self.mask(points, hole, blur)
        cover = cover * opacity
        if within is not None:
            cover = cover * within[where]
        self.pixels[where] += cover[..., None] * (paint - self.pixels[where])

    def tint(self, amount: NDArray[np.float64], paint: Colour) -> None:
        """Move every pixel so far, 0 … 1, towards a colour."""
        self.pixels += amount[..., None] * (paint - self.pixels)


ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)


def ramp(turn: float) -> NDArray[np.float64]:
    """−1 … 1 across the image in the direction `turn`, in radians."""
    across = (COLUMNS - WIDTH / 2) / WIDTH * 2
    down = (ROWS - HEIGHT / 2) / HEIGHT * 2
    return ((math.cos(turn) * across + math.sin(turn) * down) / math.sqrt(2)).clip(-1, 1)
