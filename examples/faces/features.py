"""Eyes, brows, nose, mouth and eyeglasses."""

from __future__ import annotations

import math

import numpy as np

from faces.canvas import DARK, WHITE, blend, colour, ellipse, smooth, stroke
from faces.head import FRAMES, IRIS, LIPS, Head


def draw_eyes(head: Head) -> None:
    """Whites, irises, lids and lashes."""
    face, canvas = head.face, head.canvas
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
        hollow = head.feature(ellipse(x, y - 0.07, wide * 1.25, high * 1.9))
        canvas.fill(hollow, head.shadow, opacity=0.38, blur=2.5, within=head.within)
        canvas.fill(head.feature(almond), WHITE * 0.98)
        white = canvas.whole_mask(head.feature(almond))
        look = x + 0.055 * face.gaze
        radius = 0.118 + 0.012 * face.eye_size
        for size, paint in ((1.0, iris * 0.6), (0.84, iris), (0.45, DARK * 0.5)):
            canvas.fill(
                head.feature(ellipse(look, y, radius * size, radius * size)),
                paint,
                within=white,
            )
        lid_shadow = head.feature(ellipse(x, y - high, wide, high * 0.6))
        canvas.fill(lid_shadow, DARK, opacity=0.35, blur=1.2, within=white)
        glint = head.feature(ellipse(look - 0.035, y - 0.04, 0.03, 0.03))
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
        canvas.fill(head.feature(stroke(lid, thick, 0.6)), DARK)
        crease = lid + np.array([0.0, -0.065])
        canvas.fill(head.feature(stroke(crease, 0.02, 0.9)), head.shadow * 0.8, opacity=0.7)
        lower = smooth(
            [
                (x - side * 0.7 * wide, y + 0.62 * high),
                (x, y + 0.8 * high),
                (x + side * 0.8 * wide, y + 0.4 * high),
            ],
            closed=False,
        )
        canvas.fill(head.feature(stroke(lower, 0.02, 0.8)), head.shadow * 0.75, opacity=0.7)


def draw_brows(head: Head) -> None:
    """Both brows."""
    face = head.face
    paint = head.hair * 0.62 + DARK * 0.2
    thick = 0.05 + 0.055 * face.brow_thickness + 0.035 * head.broad
    arch = 0.045 + 0.045 * (1 - head.broad)
    lift = 0.03 if face.smiling else 0.0
    slope = 0.035 * face.brow_slope - 0.035
    for side in (-1, 1):
        x, y = side * (0.42 + 0.05 * face.eye_distance), -0.40 - 0.08 * face.brow_height - lift
        line = smooth(
            [
                (x - side * 0.25, y + slope),
                (x - side * 0.04, y - 0.7 * arch),
                (x + side * 0.14, y - arch),
                (x + side * 0.31, y - slope + 0.04),
            ],
            closed=False,
        )
        head.canvas.fill(head.feature(stroke(line, thick, 0.55)), paint, opacity=0.92)


def draw_nose(head: Head) -> None:
    """Bridge, tip and nostrils."""
    face, canvas = head.face, head.canvas
    tip = 0.33 + 0.1 * face.nose_length
    wide = 0.13 + 0.06 * face.nose_width + 0.02 * head.broad
    dark = head.shadow * 0.82
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
    canvas.fill(head.feature(bridge, 0.3), head.shadow, opacity=0.55, blur=1.8)
    under = head.feature(ellipse(0, tip + 0.07, wide * 1.1, 0.07), 0.3)
    canvas.fill(under, head.shadow, opacity=0.7, blur=2.0)
    light = head.feature(ellipse(-away * 0.02, tip - 0.06, 0.05, 0.07), 0.45)
    canvas.fill(light, WHITE, opacity=0.35, blur=1.6)
    line = smooth(
        [
            (-wide, tip - 0.05), (-wide * 0.85, tip + 0.045), (-wide * 0.35, tip + 0.025),
            (0.0, tip + 0.065), (wide * 0.35, tip + 0.025), (wide * 0.85, tip + 0.045),
            (wide, tip - 0.05),
        ],
        closed=False,
    )  # fmt: skip
    canvas.fill(head.feature(stroke(line, 0.032, 0.7), 0.3), dark)


def draw_mouth(head: Head) -> None:
    """Lips, closed, or open with teeth in a smile."""
    face, canvas = head.face, head.canvas
    lips = head.skin * np.array([0.84, 0.62, 0.60])
    if not face.male:
        lips = lips + 0.75 * (blend(LIPS, face.lip_colour) - lips)
    y = 0.80
    full = 0.065 + 0.045 * face.lip_fullness - 0.015 * head.broad
    if face.smiling:
        wide = 0.40 + 0.07 * face.mouth_width + 0.06 * face.smile
        lift = 0.13 + 0.07 * face.smile
        gap = 0.07 + 0.12 * face.mouth_open
    else:
        wide = 0.29 + 0.07 * face.mouth_width
        lift = -0.035 * face.smile
        gap = 0.0
    x = np.linspace(-1, 1, 25)
    corner = np.stack([x * wide, y - lift * (x**2) + 0.35 * lift], axis=1)  # the line of the mouth
    bow = 1 - np.abs(x) ** 1.8
    dip = 1 - 0.28 * np.exp(-((x / 0.16) ** 2))
    up = np.array([0.0, 1.0])
    top_of_gap = corner - up * (0.15 * gap * bow)[:, None]
    bottom_of_gap = corner + up * (gap * (1 - x**2) ** 0.8)[:, None]
    upper = top_of_gap - up * (full * bow * dip)[:, None]
    lower = bottom_of_gap + up * (1.25 * full * (1 - x**2) ** 0.7)[:, None]
    dent = head.feature(ellipse(0, lower[12, 1] + 0.07, 0.22, 0.05), 0.1)
    canvas.fill(dent, head.shadow, opacity=0.6, blur=2.0)
    canvas.fill(head.feature(np.concatenate([bottom_of_gap, lower[::-1]]), 0.1), lips * 1.06)
    canvas.fill(head.feature(np.concatenate([upper, top_of_gap[::-1]]), 0.1), lips * 0.9)
    shine = head.feature(ellipse(-0.04, lower[12, 1] - 0.7 * full, 0.11, 0.025), 0.1)
    canvas.fill(shine, WHITE, opacity=0.3, blur=0.8)
    if face.smiling:
        hollow = head.feature(np.concatenate([top_of_gap, bottom_of_gap[::-1]]), 0.1)
        canvas.fill(hollow, colour(92, 28, 34))
        teeth_end = top_of_gap + up * (min(gap * 0.95, 0.115) * (1 - np.abs(x) ** 3))[:, None]
        inside = canvas.whole_mask(hollow)
        canvas.fill(
            head.feature(np.concatenate([top_of_gap, teeth_end[::-1]]), 0.1),
            WHITE,
            within=inside,
        )
        for side in (-1, 1):
            fold = smooth(
                [(side * 0.26, 0.42), (side * 0.5, 0.56), (side * (wide + 0.13), y - 0.02)],
                closed=False,
            )
            line = head.feature(stroke(fold, 0.035, 0.9))
            canvas.fill(line, head.shadow * 0.92, opacity=0.6, blur=0.6)
    else:
        canvas.fill(head.feature(stroke(corner, 0.032, 0.5), 0.1), lips * 0.45)
    for side in (0, -1):
        canvas.fill(
            head.feature(ellipse(*corner[side], 0.03, 0.025), 0.1),
            lips * 0.55,
            opacity=0.7,
            blur=0.5,
        )


def draw_eyeglasses(head: Head) -> None:
    """Frame, lenses with glints, bridge and arms."""
    face, canvas = head.face, head.canvas
    paint = blend(FRAMES, face.frame_colour)
    power = 2.0 + 2.6 * face.frame_shape
    wide = 0.325 + 0.03 * face.frame_size
    high = 0.29 + 0.04 * face.frame_size - 0.05 * face.frame_shape
    thick = 0.052 + 0.035 * face.frame_thickness
    distance = 0.435 + 0.03 * face.eye_distance
    y = -0.05
    for side in (-1, 1):
        x = side * distance
        rim = head.feature(ellipse(x, y, wide + thick, high + thick, power), 0.25)
        lens = head.feature(ellipse(x, y, wide, high, power), 0.25)
        fall = head.feature(ellipse(x, y + 0.05, wide + thick, high + thick, power), 0.15)
        canvas.fill(fall, head.shadow, opacity=0.45, blur=1.6, hole=lens, within=head.within)
        canvas.fill(lens, colour(225, 238, 250), opacity=0.16)
        inside = canvas.whole_mask(lens)
        for offset, width in ((-0.05, 0.09), (0.08, 0.04)):
            glint = np.array([[x + offset + 0.16, y - 0.5], [x + offset - 0.2, y + 0.5]])
            points = head.feature(stroke(glint, width), 0.25)
            canvas.fill(points, WHITE, opacity=0.28, blur=0.6, within=inside)
        arm = np.array([[x + side * (wide + 0.01), y - 0.08], [side * 1.0, y - 0.1]])
        canvas.fill(head.feature(stroke(arm, thick * 0.9), 0.0), paint)
        canvas.fill(rim, paint, hole=lens)
        upper = ellipse(x, y, wide + thick * 0.65, high + thick * 0.65, power)[22:37]
        canvas.fill(head.feature(stroke(upper, 0.014, 0.9), 0.25), WHITE, opacity=0.35)
    inner = distance - wide
    bridge = smooth([(-inner, y - 0.04), (0.0, y - 0.11), (inner, y - 0.04)], closed=False)
    canvas.fill(head.feature(stroke(bridge, thick), 0.25), paint)
