"""The head: what a face is made of, where its parts are, and the parts that all have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faces.canvas import (
    COLUMNS,
    ROWS,
    WHITE,
    Canvas,
    Points,
    blend,
    colour,
    ellipse,
    hsv,
    mirrored,
    ramp,
    smooth,
)

UNIT = 46.0
"""Pixels in half a face's width, before scaling."""

CENTRE = (89.0, 112.0)
NECK = (0.0, 1.3)
"""The point that the head tilts about."""

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


class Head:
    """A face on its way to an image.

    Lengths are in half a face's width, x to the right and y down, with the origin between the eyes
    and the tip of the nose.
    """

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
        self.canvas = Canvas(_background(face))
        self.outline = _outline(face)
        self.within = np.zeros(self.canvas.pixels.shape[:2])  # where the face is, once drawn

    def place(self, points: Points, depth: float = 0.0) -> Points:
        """Face coordinates to pixels; `depth` is how far in front of the head's axis."""
        turned = points * np.array([1.0, self.length])
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


def _outline(face: Face) -> Points:
    """The outline of the face."""
    jaw = 0.66 + 0.14 * face.jaw + 0.07 * (1.0 if face.male else 0.0)
    chin = 0.28 + 0.16 * face.chin + 0.06 * (1.0 if face.male else 0.0)
    half = [(0.0, -1.38), (0.6, -1.2), (0.95, -0.66), (1.0, -0.05), (0.93, 0.45)]
    return smooth(mirrored([*half, (jaw, 0.9), (chin, 1.22), (0.0, 1.32)]))


def _background(face: Face) -> NDArray[np.float64]:
    """Two colours that run into each other, lighter in the middle."""
    value = 0.70 + 0.26 * face.background_value
    saturation = 0.10 + 0.30 * face.background_saturation
    first = hsv(face.background, saturation, value)
    second = hsv(face.background + 0.07, min(1.0, saturation * 1.35), value * 0.80)
    t = (0.5 + 0.5 * ramp(face.background_turn))[..., None]
    pixels = first + t * (second - first)
    glow = np.exp(-((COLUMNS - 89) ** 2 + (ROWS - 100) ** 2) / (2 * 62.0**2))[..., None]
    return pixels + 0.22 * glow * (255 - pixels)


def draw_body(head: Head) -> None:
    """Clothes and neck."""
    face = head.face
    cloth = hsv(face.clothes, 0.35 + 0.3 * face.neckline, 0.35 + 0.5 * face.clothes_value)
    wide = 1.75 + 0.22 * head.broad
    half = [(0.0, 1.62), (0.5, 1.66), (1.05, 1.86), (wide, 2.12), (wide + 0.22, 2.9)]
    head.canvas.fill(head.upright(smooth(mirrored([*half, (0.0, 3.2)]))), cloth)
    neck = 0.44 + 0.10 * head.broad
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
    head.canvas.fill(head.upright(collar), cloth * 0.82)
    head.canvas.fill(head.upright(shape), head.skin)
    within = head.canvas.whole_mask(head.upright(shape))
    fall = head.place(ellipse(0, 1.12, 0.72, 0.52))
    head.canvas.fill(fall, head.shadow, opacity=0.85, blur=3.0, within=within)


def draw_ears(head: Head) -> None:
    """Both ears."""
    for side in (-1, 1):
        ear = head.place(ellipse(side * 0.98, 0.05, 0.17, 0.27), -0.25)
        inner = head.place(ellipse(side * 1.0, 0.05, 0.09, 0.17), -0.25)
        head.canvas.fill(ear, head.skin * 0.96)
        head.canvas.fill(inner, head.shadow, opacity=0.6, blur=1.0)


def draw_head(head: Head) -> None:
    """Skin, its shades, cheeks and stubble."""
    face, canvas = head.face, head.canvas
    outline = head.place(head.outline)
    canvas.fill(outline, head.skin)
    head.within = within = canvas.whole_mask(outline)
    # the side away from the light
    side = (ramp(face.light_turn) * 1.5).clip(0, 1) ** 1.2
    canvas.tint(within * side * (0.30 + 0.45 * face.light_strength), head.shadow)
    edge = canvas.whole_mask(head.place(head.outline * 0.9 + (0.0, -0.03)), blur=6.0)
    canvas.tint(within * (1 - edge) * 0.35, head.shadow)
    rosy = head.skin * 0.55 + colour(232, 84, 84) * 0.45
    lift = -0.05 if face.smiling else 0.0
    for x in (-0.56, 0.56):
        cheek = head.feature(ellipse(x, 0.42 + lift, 0.26, 0.19))
        strength = (0.15 + 0.5 * face.cheeks) * (0.55 if face.male else 1.0)
        canvas.fill(cheek, rosy, opacity=strength, blur=4.0, within=within)
    forehead = head.feature(ellipse(0.0, -0.55, 0.5, 0.28))
    canvas.fill(forehead, WHITE, opacity=0.13, blur=7.0, within=within)
    if face.male:
        beard = head.feature(
            smooth(
                mirrored(
                    [(0.0, 0.52), (0.5, 0.5), (0.97, 0.1), (0.95, 0.7), (0.6, 1.3), (0.0, 1.5)]
                )
            )
        )
        strength = 0.05 + 0.38 * face.stubble
        canvas.fill(
            beard,
            head.hair * 0.6 + head.shadow * 0.4,
            opacity=strength,
            blur=3.0,
            within=within,
        )


def lit(head: Head) -> NDArray[np.float64]:
    """The image under a light that is stronger on one side."""
    face = head.face
    level = (
        0.98 + 0.12 * face.brightness - (0.06 + 0.14 * face.light_strength) * ramp(face.light_turn)
    )
    tone = 1 + 0.05 * face.warmth * np.array([1.0, 0.1, -1.0])
    return head.canvas.pixels * level[..., None] * tone
