"""Hair, short and long."""

from __future__ import annotations

import numpy as np

from faces.canvas import Points, ellipse, mirrored, ramp, smooth, stroke
from faces.head import Head


def _draw_mass(head: Head, points: Points, strands: list[Points], depth: float = 0.15) -> None:
    """A mass of hair with shade away from the light, strands and a band of light."""
    canvas = head.canvas
    where = head.place(points, depth)
    canvas.fill(where, head.hair)
    within = canvas.whole_mask(where)
    shade = (ramp(head.face.light_turn) * 1.3).clip(0, 1)
    canvas.tint(within * shade * 0.5, head.hair_shadow)
    for number, strand in enumerate(strands):
        paint = head.hair_light if number % 2 else head.hair_shadow
        line = head.place(stroke(strand, 0.045, 0.95), depth)
        canvas.fill(line, paint, opacity=0.32, blur=0.7, within=within)
    crown = [(-0.85, -0.95), (-0.4, -1.3), (0.2, -1.36), (0.75, -1.1)]
    band = head.place(stroke(smooth(crown, closed=False), 0.17, 0.9), depth)
    canvas.fill(band, head.hair_light, opacity=0.45, blur=3.2, within=within)


def draw_short_hair(head: Head) -> None:
    """Hair that ends above the ears."""
    face = head.face
    up = 0.10 + 0.22 * face.hair_volume
    lean = 0.3 * face.parting
    low = -1.08 + 0.22 * face.fringe
    hairline = [
        (-0.93, -0.50),
        (-0.80, -0.70),
        (-0.42, low + 0.35 * lean),
        (0.06, low - 0.02),
        (0.46, low - 0.35 * lean),
        (0.80, -0.70),
        (0.93, -0.50),
    ]
    outer = [
        (1.00, 0.02),
        (1.08, -0.45),
        (1.01 + 0.25 * up, -0.95),
        (0.62 + 0.3 * lean, -1.37 - up * (0.65 + lean)),
        (0.5 * lean, -1.44 - up),
        (-0.62 + 0.3 * lean, -1.37 - up * (0.65 - lean)),
        (-1.01 - 0.25 * up, -0.95),
        (-1.08, -0.45),
        (-1.00, 0.02),
    ]
    inside = [(-0.91, -0.12), *hairline, (0.91, -0.12)]
    fall = [(x, y + 0.07) for x, y in hairline]
    shadow = head.feature(smooth([*fall, (0.8, -1.2), (-0.8, -1.2)]))
    head.canvas.fill(shadow, head.shadow, opacity=0.6, blur=2.0, within=head.within)
    strands = []
    for x in np.linspace(-0.75, 0.75, 9):
        root = (x * 0.8 - 0.25 * lean, low - 0.02 - 0.1 * (1 - x * x))
        middle = (x * 0.95 + 0.15 * lean, -1.25 + 0.25 * x * x - 0.4 * up)
        tip = (x * 1.05 + 0.6 * lean, -1.42 + 0.42 * x * x - up)
        strands.append(smooth([root, middle, tip], closed=False))
    _draw_mass(
        head, np.concatenate([smooth(outer, closed=False), smooth(inside, closed=False)]), strands
    )


def _long_side(head: Head) -> list[tuple[float, float]]:
    """The right edge of long hair, from above the ear to its end."""
    face = head.face
    end = 1.3 + 0.9 * face.hair_length
    out = 1.18 + 0.16 * face.hair_volume
    wave = 0.1 * face.waves
    return [
        (out - 0.04, -0.75),
        (out + 0.4 * wave, -0.1),
        (out + 0.04 - wave, 0.35 * end),
        (out + 0.06 + wave, 0.68 * end),
        (out - 0.02 - wave, end - 0.12),
    ]


def draw_long_hair_behind(head: Head) -> None:
    """What is seen of long hair behind neck and shoulders."""
    volume = head.face.hair_volume
    edge = _long_side(head)
    end = edge[-1][1] + 0.12
    top = [(0.0, -1.55 - 0.14 * volume), (0.68, -1.4 - 0.1 * volume)]
    where = head.place(smooth(mirrored([*top, *edge, (0.8, end + 0.04), (0.0, end - 0.1)])), 0.0)
    head.canvas.fill(where, head.hair * 0.86)
    within = head.canvas.whole_mask(where)
    inner = head.place(ellipse(0, 0.9, 0.98, 1.25), 0.0)
    head.canvas.fill(inner, head.hair * 0.5, blur=4.0, within=within)


def draw_long_hair(head: Head) -> None:
    """Long hair, from its parting down both sides of the face."""
    face = head.face
    part = 0.5 * face.parting
    up = 0.14 * face.hair_volume
    low = -0.90 + 0.36 * face.fringe
    edge = _long_side(head)
    bottom_x, bottom = edge[-1]
    tip = (bottom_x - 0.2, bottom - 0.06)
    fall = [(-0.9, -0.3), (-0.5, low + 0.12), (part, -1.0), (0.5, low + 0.12), (0.9, -0.3)]
    shadow = head.feature(smooth([*fall, (0.8, -1.3), (-0.8, -1.3)]))
    head.canvas.fill(shadow, head.shadow, opacity=0.6, blur=2.5, within=head.within)
    for side in (1, -1):
        near = side * part  # the parting, seen from this side
        sweep = -0.22 * near  # the side that the hair falls to has more of it
        crown = (near - 0.03, -1.52 - up + 0.2 * part * part)
        outer = [crown, (0.64, -1.43 - 0.8 * up), *edge, (bottom_x - 0.1, bottom + 0.07)]
        temple = near + 0.62 * (0.86 - near)
        inner = [
            tip,
            (1.0 - 0.05 * face.waves, 0.55 * bottom),
            (0.90, 0.18),
            (0.87, -0.28),
            (temple, low + sweep),
            (near + 0.08, -1.03),
            (near - 0.03, -1.12),
        ]
        curve = np.concatenate([smooth(outer, closed=False), smooth(inner, closed=False)])
        strands = []
        front = [(near, -1.12), (temple, low + sweep), (0.87, -0.28), (0.89, 0.1), (0.92, 0.4)]
        face_side = np.array([*front, inner[1], tip])
        far_side = np.array(outer[:-1])
        for share in (0.2, 0.4, 0.6, 0.8):
            line = smooth(far_side + share * (face_side - far_side), closed=False)
            strands.append(line * np.array([side, 1.0]))
        _draw_mass(head, curve * np.array([side, 1.0]), strands)
    seam = smooth([(part, -1.5 - up), (part, -1.1)], closed=False)
    line = head.place(stroke(seam, 0.035, 0.6), 0.15)
    head.canvas.fill(line, head.hair_shadow, opacity=0.7, blur=0.6)
