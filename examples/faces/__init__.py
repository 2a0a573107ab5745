"""Faces as drawings: see drawn_faces.py, the program, for which faces there are."""

from __future__ import annotations

import numpy as np
from PIL import Image

from faces.canvas import HEIGHT, WIDTH
from faces.features import draw_brows, draw_eyeglasses, draw_eyes, draw_mouth, draw_nose
from faces.hair import draw_long_hair, draw_long_hair_behind, draw_short_hair
from faces.head import Face, Head, draw_body, draw_ears, draw_head, lit

__all__ = ["HEIGHT", "WIDTH", "Face", "draw"]


def draw(face: Face) -> Image.Image:
    """Draw a face, 178×218 pixels, RGB, from the back to the front."""
    head = Head(face)
    if not face.male:
        draw_long_hair_behind(head)
    draw_body(head)
    draw_ears(head)
    draw_head(head)
    draw_eyes(head)
    draw_nose(head)
    draw_mouth(head)
    if face.male:
        draw_short_hair(head)
    else:
        draw_long_hair(head)
    draw_brows(head)
    if face.eyeglasses:
        draw_eyeglasses(head)
    return Image.fromarray(lit(head).clip(0, 255).round().astype(np.uint8))
