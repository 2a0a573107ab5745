"""How a face is drawn: see drawn_faces.py for which faces there are, and for the program.

Every shape is a polygon, filled at three times the resolution and averaged, so that its edge is
smooth, and laid over what is there; soft ones are blurred. Lengths are in half a face's width, x to
the right and y down, with the origin between the eyes and the tip of the nose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 178, 218
"""Pixels of an image, as CelebA's aligned ones."""

SUPERSAMPLING = 3
UNIT = 46.0
"""Pixels in half a face's width, before scaling."""

CENTRE = (89.0, 112.0)
NECK = (0.0, 1.3)
"""The point that the head tilts about."""

Points = NDArray[np.float64]
Colour = NDArray[np.float64]


@dataclass(frozen=True)
class Face:
    """What a face looks like: three attributes, and numbers that vary continuously.

    Numbers are in 0 … 1, or −1 … 1 where two sides are named, unless said otherwise.
    """

    eyeglasses: bool
    smiling: bool
    male: bool
    # pose
    shift_x: float  # left … right
    shift_y: float  # up … down
    tilt: float  # left … right
    yaw: float  # left … right
    size: float  # smaller … larger
    # head
    skin: float  # light … dark
    face_length: float
    jaw: float  # narrow … wide
    chin: float  # pointed … broad
    cheeks: float  # pale … rosy
    # hair
    hair_colour: float  # black, brown, red, blond
    grey: float
    hair_volume: float
    hair_length: float
    fringe: float
    parting: float  # left … right
    waves: float
    # eyes
    eye_size: float
    eye_distance: float
    eye_colour: float  # brown, green, blue
    gaze: float  # left … right
    brow_thickness: float
    brow_height: float
    brow_slope: float  # sad … stern
    # nose and mouth
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_fullness: float
    lip_colour: float
    smile: float  # how broad, if smiling; how serious, if not
    mouth_open: float  # if smiling
    stubble: float  # if male
    # eyeglasses, if there are any
    frame_colour: float
    frame_shape: float  # round … rectangular
    frame_thickness: float
    frame_size: float
    # surroundings
    background: float  # hue
    background_saturation: float
    background_value: float
    background_turn: float  # radians
    clothes: float  # hue
    clothes_value: float
    neckline: float  # round … pointed
    light_turn: float  # radians
    light_strength: float
    brightness: float  # dark … bright
    warmth: float  # cold … warm


def draw(face: Face) -> Image.Image:
    """Draw a face, 178×218 pixels, RGB."""
    return _Drawing(face).image()


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


SKIN = [
    colour(255, 226, 206),
    colour(246, 205, 174),
    colour(228, 178, 138),
    colour(196, 140, 100),
    colour(148, 98, 68),
    colour(108, 70, 50),
]
HAIR = [
    colour(34, 28, 32),
    colour(62, 42, 36),
    colour(104, 66, 42),
    colour(156, 84, 46),
    colour(214, 162, 88),
    colour(240, 208, 140),
]
GREY = colour(176, 178, 184)
IRIS = [colour(84, 52, 32), colour(120, 92, 40), colour(86, 122, 72), colour(70, 120, 168)]
LIPS = [colour(214, 96, 96), colour(196, 48, 70), colour(164, 44, 92)]
FRAMES = [
    colour(24, 24, 30),
    colour(92, 40, 22),
    colour(176, 34, 46),
    colour(30, 70, 140),
    colour(20, 104, 96),
]
WHITE = colour(250, 250, 250)
DARK = colour(40, 26, 26)


def smooth(points: Sequence[tuple[float, float]], closed: bool = True, steps: int = 8) -> Points:
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


class _Drawing:
    """One face on its way to an image."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.scale = UNIT * (1 + 0.07 * face.size)
        self.centre = np.array(CENTRE) + np.array([6.0 * face.shift_x, 5.0 * face.shift_y])
        angle = math.radians(8.0 * face.tilt)
        self.rotation = np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        self.skin = blend(SKIN, face.skin)
        self.shadow = self.skin * np.array([0.80, 0.68, 0.66])
        hair = blend(HAIR, face.hair_colour)
        self.hair = hair + face.grey * 0.85 * (GREY - hair)
        self.hair_shadow = self.hair * 0.72
        self.hair_light = self.hair + 0.22 * (WHITE - self.hair)
        self.length = 1 + 0.07 * (2 * face.face_length - 1)
        self.broad = 1.0 if face.male else 0.0
        self.canvas = Canvas(self._background())
        self.outline = self._outline()

    def image(self) -> Image.Image:
        """All parts, from the back to the front."""
        face = self.face
        if not face.male:
            self._long_hair_behind()
        self._body()
        self._ears()
        self._head()
        self._eyes()
        self._nose()
        self._mouth()
        if face.male:
            self._short_hair()
        else:
            self._long_hair()
        self._brows()
        if face.eyeglasses:
            self._glasses()
        return Image.fromarray(self._lit().clip(0, 255).round().astype(np.uint8))

    # places

    def place(self, points: Points, depth: float = 0.0) -> Points:
        """Face coordinates to pixels; `depth` is how far in front of the head's axis."""
        turned = points * np.array([1.0, self.length])
        turned = turned + np.array([0.0, 0.0])
        turned[:, 0] += 0.16 * self.face.yaw * depth
        turned = (turned - NECK) @ self.rotation.T + NECK
        return turned * self.scale + self.centre

    def feature(self, points: Points, depth: float = 0.0) -> Points:
        """The same for what lies on the face's surface, which is nearly a ball."""
        turned = points.copy()
        ball = np.sqrt((1 - (points[:, 0] / 1.08) ** 2).clip(0, 1))
        turned[:, 0] += 0.16 * self.face.yaw * ball
        return self.place(turned, depth)

    def upright(self, points: Points) -> Points:
        """Points of the body, which does not tilt."""
        return points * self.scale + self.centre

    def _outline(self) -> Points:
        face = self.face
        jaw = 0.66 + 0.14 * face.jaw + 0.07 * self.broad
        chin = 0.28 + 0.16 * face.chin + 0.06 * self.broad
        half = [(0.0, -1.38), (0.6, -1.2), (0.95, -0.66), (1.0, -0.05), (0.93, 0.45)]
        return smooth(mirrored([*half, (jaw, 0.9), (chin, 1.22), (0.0, 1.32)]))

    # parts

    def _background(self) -> NDArray[np.float64]:
        face = self.face
        value = 0.62 + 0.33 * face.background_value
        saturation = 0.12 + 0.36 * face.background_saturation
        first = hsv(face.background, saturation, value)
        second = hsv(face.background + 0.07, min(1.0, saturation * 1.35), value * 0.78)
        t = (0.5 + 0.5 * ramp(face.background_turn))[..., None]
        pixels = first + t * (second - first)
        glow = np.exp(-((COLUMNS - 89) ** 2 + (ROWS - 100) ** 2) / (2 * 62.0**2))[..., None]
        return pixels + 0.22 * glow * (255 - pixels)

    def _body(self) -> None:
        face = self.face
        cloth = hsv(face.clothes, 0.35 + 0.3 * face.neckline, 0.35 + 0.5 * face.clothes_value)
        wide = 1.75 + 0.22 * self.broad
        half = [(0.0, 1.62), (0.5, 1.66), (1.05, 1.86), (wide, 2.12), (wide + 0.22, 2.9)]
        self.canvas.fill(self.upright(smooth(mirrored([*half, (0.0, 3.2)]))), cloth)
        neck = 0.44 + 0.10 * self.broad
        deep = 1.92 + 0.34 * face.neckline
        throat = [(0.0, 0.7), (neck, 0.9), (neck, 1.5), (neck + 0.2, 1.68)]
        shape = smooth(mirrored([*throat, (0.3, 0.35 * 1.72 + 0.65 * deep), (0.0, deep)]))
        collar = smooth(
            mirrored(
                [
                    (0.0, 1.2),
                    (neck + 0.31, 1.62),
                    (0.35, 0.3 * 1.8 + 0.7 * deep + 0.1),
                    (0.0, deep + 0.11),
                ]
            )
        )
        self.canvas.fill(self.upright(collar), cloth * 0.82)
        self.canvas.fill(self.upright(shape), self.skin)
        within = self.canvas.whole_mask(self.upright(shape))
        fall = self.place(ellipse(0, 1.12, 0.72, 0.52))
        self.canvas.fill(fall, self.shadow, opacity=0.85, blur=3.0, within=within)

    def _ears(self) -> None:
        for side in (-1, 1):
            ear = self.place(ellipse(side * 0.98, 0.05, 0.17, 0.27), -0.25)
            inner = self.place(ellipse(side * 1.0, 0.05, 0.09, 0.17), -0.25)
            self.canvas.fill(ear, self.skin * 0.96)
            self.canvas.fill(inner, self.shadow, opacity=0.6, blur=1.0)

    def _head(self) -> None:
        face, canvas = self.face, self.canvas
        outline = self.place(self.outline)
        canvas.fill(outline, self.skin)
        self.within = within = canvas.whole_mask(outline)
        # the side away from the light
        side = (ramp(face.light_turn) * 1.5).clip(0, 1) ** 1.2
        canvas.tint(within * side * (0.30 + 0.45 * face.light_strength), self.shadow)
        edge = canvas.whole_mask(self.place(self.outline * 0.9 + (0.0, -0.03)), blur=6.0)
        canvas.tint(within * (1 - edge) * 0.35, self.shadow)
        rosy = self.skin * 0.55 + colour(232, 84, 84) * 0.45
        lift = -0.05 if face.smiling else 0.0
        for x in (-0.56, 0.56):
            cheek = self.feature(ellipse(x, 0.42 + lift, 0.26, 0.19))
            strength = (0.15 + 0.5 * face.cheeks) * (0.55 if face.male else 1.0)
            canvas.fill(cheek, rosy, opacity=strength, blur=4.0, within=within)
        forehead = self.feature(ellipse(0.0, -0.55, 0.5, 0.28))
        canvas.fill(forehead, WHITE, opacity=0.13, blur=7.0, within=within)
        if face.male:
            beard = self.feature(
                smooth(
                    mirrored(
                        [(0.0, 0.52), (0.5, 0.5), (0.97, 0.1), (0.95, 0.7), (0.6, 1.3), (0.0, 1.5)]
                    )
                )
            )
            strength = 0.05 + 0.38 * face.stubble
            canvas.fill(
                beard,
                self.hair * 0.6 + self.shadow * 0.4,
                opacity=strength,
                blur=3.0,
                within=within,
            )

    def _eyes(self) -> None:
        face, canvas = self.face, self.canvas
        wide = 0.215 + 0.035 * face.eye_size
        high = (0.125 + 0.035 * face.eye_size) * (0.82 if face.smiling else 1.0)
        iris = blend(IRIS, face.eye_colour)
        for side in (-1, 1):
            x, y = side * (0.42 + 0.05 * face.eye_distance), -0.08
            almond = smooth(
                [
                    (x - side * wide, y + 0.02),
                    (x - side * 0.4 * wide, y - 0.85 * high),
                    (x + side * 0.4 * wide, y - 0.9 * high),
                    (x + side * wide, y - 0.02),
                    (x + side * 0.4 * wide, y + 0.68 * high),
                    (x - side * 0.4 * wide, y + 0.72 * high),
                ]
            )
            hollow = self.feature(ellipse(x, y - 0.07, wide * 1.25, high * 1.9))
            canvas.fill(hollow, self.shadow, opacity=0.38, blur=2.5, within=self.within)
            canvas.fill(self.feature(almond), WHITE * 0.98)
            white = canvas.whole_mask(self.feature(almond))
            look = x + 0.055 * face.gaze
            radius = 0.118 + 0.012 * face.eye_size
            for size, paint in ((1.0, iris * 0.6), (0.84, iris), (0.45, DARK * 0.5)):
                canvas.fill(
                    self.feature(ellipse(look, y, radius * size, radius * size)),
                    paint,
                    within=white,
                )
            lid_shadow = self.feature(ellipse(x, y - high, wide, high * 0.6))
            canvas.fill(lid_shadow, DARK, opacity=0.35, blur=1.2, within=white)
            glint = self.feature(ellipse(look - 0.035, y - 0.04, 0.03, 0.03))
            canvas.fill(glint, WHITE)
            reach = 1.22 if not face.male else 1.04
            lid = smooth(
                [
                    (x - side * wide * 1.02, y + 0.02),
                    (x - side * 0.4 * wide, y - 0.9 * high),
                    (x + side * 0.4 * wide, y - 0.96 * high),
                    (x + side * wide * reach, y - 0.03 - (0.06 if not face.male else 0.0)),
                ],
                closed=False,
            )
            thick = 0.035 if face.male else 0.058
            canvas.fill(self.feature(stroke(lid, thick, 0.6)), DARK)
            crease = lid + np.array([0.0, -0.065])
            canvas.fill(self.feature(stroke(crease, 0.02, 0.9)), self.shadow * 0.8, opacity=0.7)
            lower = smooth(
                [
                    (x - side * 0.7 * wide, y + 0.62 * high),
                    (x, y + 0.8 * high),
                    (x + side * 0.8 * wide, y + 0.4 * high),
                ],
                closed=False,
            )
            canvas.fill(self.feature(stroke(lower, 0.02, 0.8)), self.shadow * 0.75, opacity=0.7)

    def _brows(self) -> None:
        face = self.face
        paint = self.hair * 0.62 + DARK * 0.2
        thick = 0.05 + 0.055 * face.brow_thickness + 0.035 * self.broad
        arch = 0.05 + 0.05 * (1 - self.broad)
        for side in (-1, 1):
            x, y = side * (0.42 + 0.05 * face.eye_distance), -0.40 - 0.09 * face.brow_height
            slope = 0.05 * face.brow_slope
            line = smooth(
                [
                    (x - side * 0.25, y + slope + 0.02),
                    (x - side * 0.02, y - arch * 0.7),
                    (x + side * 0.16, y - arch),
                    (x + side * 0.32, y - slope * 0.5 + 0.05),
                ],
                closed=False,
            )
            self.canvas.fill(self.feature(stroke(line, thick, 0.55)), paint, opacity=0.92)

    def _nose(self) -> None:
        face, canvas = self.face, self.canvas
        tip = 0.33 + 0.1 * face.nose_length
        wide = 0.13 + 0.06 * face.nose_width + 0.02 * self.broad
        dark = self.shadow * 0.82
        away = 1.0 if math.cos(face.light_turn) > 0 else -1.0
        bridge = smooth(
            [
                (away * 0.1, -0.25),
                (away * 0.085, 0.05),
                (away * wide * 1.05, tip - 0.03),
                (away * 0.03, tip + 0.02),
                (away * 0.035, 0.05),
            ]
        )
        canvas.fill(self.feature(bridge, 0.3), self.shadow, opacity=0.55, blur=1.8)
        under = self.feature(ellipse(0, tip + 0.07, wide * 1.1, 0.07), 0.3)
        canvas.fill(under, self.shadow, opacity=0.7, blur=2.0)
        light = self.feature(ellipse(-away * 0.02, tip - 0.06, 0.05, 0.07), 0.45)
        canvas.fill(light, WHITE, opacity=0.35, blur=1.6)
        line = smooth(
            [
                (-wide, tip - 0.05), (-wide * 0.85, tip + 0.045), (-wide * 0.35, tip + 0.025),
                (0.0, tip + 0.065), (wide * 0.35, tip + 0.025), (wide * 0.85, tip + 0.045),
                (wide, tip - 0.05),
            ],
            closed=False,
        )  # fmt: skip
        canvas.fill(self.feature(stroke(line, 0.032, 0.7), 0.3), dark)

    def _mouth(self) -> None:
        face, canvas = self.face, self.canvas
        lips = self.skin * np.array([0.84, 0.62, 0.60])
        if not face.male:
            lips = lips + 0.75 * (blend(LIPS, face.lip_colour) - lips)
        y = 0.80
        full = 0.065 + 0.045 * face.lip_fullness - 0.015 * self.broad
        if face.smiling:
            wide = 0.40 + 0.07 * face.mouth_width + 0.06 * face.smile
            lift = 0.13 + 0.07 * face.smile
            gap = 0.07 + 0.12 * face.mouth_open
        else:
            wide = 0.29 + 0.07 * face.mouth_width
            lift = -0.035 * face.smile
            gap = 0.0
        x = np.linspace(-1, 1, 25)
        corner = np.stack(
            [x * wide, y - lift * (x**2) + 0.35 * lift], axis=1
        )  # the line of the mouth
        bow = 1 - np.abs(x) ** 1.8
        dip = 1 - 0.28 * np.exp(-((x / 0.16) ** 2))
        up = np.array([0.0, 1.0])
        top_of_gap = corner - up * (0.15 * gap * bow)[:, None]
        bottom_of_gap = corner + up * (gap * (1 - x**2) ** 0.8)[:, None]
        upper = top_of_gap - up * (full * bow * dip)[:, None]
        lower = bottom_of_gap + up * (1.25 * full * (1 - x**2) ** 0.7)[:, None]
        dent = self.feature(ellipse(0, lower[12, 1] + 0.07, 0.22, 0.05), 0.1)
        canvas.fill(dent, self.shadow, opacity=0.6, blur=2.0)
        canvas.fill(self.feature(np.concatenate([bottom_of_gap, lower[::-1]]), 0.1), lips * 1.06)
        canvas.fill(self.feature(np.concatenate([upper, top_of_gap[::-1]]), 0.1), lips * 0.9)
        shine = self.feature(ellipse(-0.04, lower[12, 1] - 0.7 * full, 0.11, 0.025), 0.1)
        canvas.fill(shine, WHITE, opacity=0.3, blur=0.8)
        if face.smiling:
            hollow = self.feature(np.concatenate([top_of_gap, bottom_of_gap[::-1]]), 0.1)
            canvas.fill(hollow, colour(92, 28, 34))
            teeth_end = top_of_gap + up * (min(gap * 0.95, 0.115) * (1 - np.abs(x) ** 3))[:, None]
            inside = canvas.whole_mask(hollow)
            canvas.fill(
                self.feature(np.concatenate([top_of_gap, teeth_end[::-1]]), 0.1),
                WHITE,
                within=inside,
            )
            for side in (-1, 1):
                fold = smooth(
                    [(side * 0.26, 0.42), (side * 0.5, 0.56), (side * (wide + 0.13), y - 0.02)],
                    closed=False,
                )
                canvas.fill(
                    self.feature(stroke(fold, 0.035, 0.9)),
                    self.shadow * 0.92,
                    opacity=0.6,
                    blur=0.6,
                )
        else:
            canvas.fill(self.feature(stroke(corner, 0.032, 0.5), 0.1), lips * 0.45)
        for side in (0, -1):
            canvas.fill(
                self.feature(ellipse(*corner[side], 0.03, 0.025), 0.1),
                lips * 0.55,
                opacity=0.7,
                blur=0.5,
            )

    def _hair(self, points: Points, depth: float = 0.0) -> None:
        """A mass of hair with shade below and a band of light."""
        where = self.place(points, depth)
        canvas = self.canvas
        canvas.fill(where, self.hair)
        within = canvas.whole_mask(where)
        shade = (ramp(self.face.light_turn) * 1.3).clip(0, 1)
        canvas.tint(within * shade * 0.45, self.hair_shadow)
        crown = [(-0.85, -0.95), (-0.4, -1.3), (0.2, -1.36), (0.75, -1.1)]
        band = self.place(stroke(smooth(crown, closed=False), 0.17, 0.9), depth)
        canvas.fill(band, self.hair_light, opacity=0.55, blur=3.2, within=within)

    def _short_hair(self) -> None:
        face = self.face
        up = 0.10 + 0.20 * face.hair_volume
        lean = 0.25 * face.parting
        low = -0.98 + 0.24 * face.fringe
        hairline = [
            (-0.93, -0.52),
            (-0.72, -0.72 - 0.1 * lean),
            (-0.36, low - 0.12 + lean * 0.3),
            (0.06, low - 0.12),
            (0.42, low - 0.12 - lean * 0.3),
            (0.74, -0.72 + 0.1 * lean),
            (0.93, -0.52),
        ]
        outer = [
            (1.0, -0.02),
            (1.09, -0.45),
            (1.02 + 0.3 * up, -0.95),
            (0.62, -1.38 - 0.7 * up),
            (0.0 + lean * 0.5, -1.46 - up),
            (-0.62, -1.38 - 0.7 * up),
            (-1.02 - 0.3 * up, -0.95),
            (-1.09, -0.45),
            (-1.0, -0.02),
        ]
        inside = [(-0.9, -0.12), *hairline, (0.9, -0.12)]
        shadow = self.feature(
            smooth([(x, y + 0.07) for x, y in hairline] + [(0.8, -1.2), (-0.8, -1.2)])
        )
        self.canvas.fill(shadow, self.shadow, opacity=0.6, blur=2.0, within=self.within)
        self._hair(
            np.concatenate([smooth(outer, closed=False), smooth(inside, closed=False)]), 0.15
        )

    def _long_hair_behind(self) -> None:
        face = self.face
        end = 1.25 + 0.95 * face.hair_length
        out = 1.18 + 0.16 * face.hair_volume
        wave = 0.09 * face.waves
        half = [
            (0.0, -1.55 - 0.14 * face.hair_volume),
            (0.68, -1.4 - 0.1 * face.hair_volume),
            (out - 0.04, -0.75),
            (out + wave * 0.4, -0.1),
            (out + 0.06 - wave, 0.5),
            (out + 0.1 + wave, 1.0),
            (out + 0.06 - wave, end - 0.2),
            (0.75, end + 0.06),
            (0.0, end - 0.1),
        ]
        where = self.place(smooth(mirrored(half)), -0.2)
        self.canvas.fill(where, self.hair * 0.82)
        within = self.canvas.whole_mask(where)
        inner = self.place(ellipse(0, 0.8, 0.92, 1.2), -0.2)
        self.canvas.fill(inner, self.hair * 0.55, blur=5.0, within=within)

    def _long_hair(self) -> None:
        face = self.face
        part = 0.5 * face.parting
        up = 0.14 * face.hair_volume
        out = 1.18 + 0.16 * face.hair_volume
        wave = 0.09 * face.waves
        end = min(0.75 + 0.7 * face.hair_length, 1.3)
        low = -0.92 + 0.36 * face.fringe
        shadow = self.feature(
            smooth(
                [
                    (-0.9, -0.3),
                    (-0.5, low + 0.12),
                    (part, -1.0),
                    (0.5, low + 0.12),
                    (0.9, -0.3),
                    (0.8, -1.3),
                    (-0.8, -1.3),
                ]
            )
        )
        self.canvas.fill(shadow, self.shadow, opacity=0.6, blur=2.5, within=self.within)
        for side in (1, -1):
            top = -1.55 - up
            near = side * part  # the parting, seen from this side
            sweep = 0.16 * (-near)  # the side that the hair falls to has more of it
            outer = [
                (near - 0.03, top + 0.03 + 0.15 * part * part),
                (0.62, -1.43 - 0.8 * up),
                (out - 0.04, -0.78),
                (out + wave * 0.4, -0.1),
                (out + 0.05 - wave, 0.5),
                (out + 0.06 + wave, end),
            ]
            inner = [
                (0.98 + wave * 0.5, end - 0.25),
                (0.90 - wave * 0.5, 0.42),
                (0.91, -0.02),
                (0.82, -0.38),
                (0.55, low + sweep + 0.05),
                (near + 0.16, min(low - 0.12, -1.02)),
                (near - 0.03, -1.12),
            ]
            curve = np.concatenate([smooth(outer, closed=False), smooth(inner, closed=False)])
            self._hair(curve * np.array([side, 1.0]), 0.15)
        seam = smooth([(part, -1.5 - up), (part, -1.08)], closed=False)
        self.canvas.fill(
            self.place(stroke(seam, 0.035, 0.6), 0.15), self.hair_shadow, opacity=0.8, blur=0.6
        )

    def _glasses(self) -> None:
        face, canvas = self.face, self.canvas
        paint = blend(FRAMES, face.frame_colour)
        power = 2.0 + 2.6 * face.frame_shape
        wide = 0.325 + 0.03 * face.frame_size
        high = 0.29 + 0.04 * face.frame_size - 0.05 * face.frame_shape
        thick = 0.052 + 0.035 * face.frame_thickness
        distance = 0.435 + 0.03 * face.eye_distance
        y = -0.05
        for side in (-1, 1):
            x = side * distance
            rim = self.feature(ellipse(x, y, wide + thick, high + thick, power), 0.25)
            lens = self.feature(ellipse(x, y, wide, high, power), 0.25)
            fall = self.feature(ellipse(x, y + 0.05, wide + thick, high + thick, power), 0.15)
            canvas.fill(fall, self.shadow, opacity=0.45, blur=1.6, hole=lens, within=self.within)
            canvas.fill(lens, colour(225, 238, 250), opacity=0.16)
            inside = canvas.whole_mask(lens)
            for offset, width in ((-0.05, 0.09), (0.08, 0.04)):
                glint = np.array([[x + offset + 0.16, y - 0.5], [x + offset - 0.2, y + 0.5]])
                points = self.feature(stroke(glint, width), 0.25)
                canvas.fill(points, WHITE, opacity=0.28, blur=0.6, within=inside)
            arm = np.array([[x + side * (wide + 0.01), y - 0.08], [side * 1.0, y - 0.1]])
            canvas.fill(self.feature(stroke(arm, thick * 0.9), 0.0), paint)
            canvas.fill(rim, paint, hole=lens)
            upper = ellipse(x, y, wide + thick * 0.65, high + thick * 0.65, power)[22:37]
            canvas.fill(self.feature(stroke(upper, 0.014, 0.9), 0.25), WHITE, opacity=0.35)
        inner = distance - wide
        bridge = smooth([(-inner, y - 0.04), (0.0, y - 0.11), (inner, y - 0.04)], closed=False)
        canvas.fill(self.feature(stroke(bridge, thick), 0.25), paint)

    def _lit(self) -> NDArray[np.float64]:
        """The image under a light that is stronger on one side."""
        face = self.face
        level = (
            0.98
            + 0.12 * face.brightness
            - (0.06 + 0.14 * face.light_strength) * ramp(face.light_turn)
        )
        tone = 1 + 0.05 * face.warmth * np.array([1.0, 0.1, -1.0])
        return self.canvas.pixels * level[..., None] * tone
