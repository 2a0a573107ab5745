"""Images moved, recoloured and partly covered: still of the same attributes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from directmax._precision import no_autocast, widened
from directmax._randomness import draw
from directmax._validation import check_flag, check_float_tensor, check_number

ANGLE = 15.0
"""Degrees."""
SCALE, STRETCH, SHIFT = 0.15, 0.05, 0.12
"""Changes of size, of the ratio of width to height, and of place in half heights."""
CONTRAST, COLOUR, BRIGHTNESS = 0.4, 0.2, 0.15
PATCH = 0.125
"""Half the side of the covered square, in heights."""


def turned(
    images: Float[Tensor, "b channels height width"],
    strength: float,
    *,
    mirror: bool = False,
    padding: str = "zeros",
    generator: torch.Generator | None = None,
) -> Float[Tensor, "b channels height width"]:
    """Each image turned, scaled, stretched and moved at random.

    Args:
        images: any numbers.
        strength: 1 for turns of up to 15°, sizes of ± 15 %, places of ± 6 % of the height; 0
            returns the images (or, with `mirror`, mirrors some).
        mirror: whether half of them are mirrored left to right.
        padding: what is seen beyond the border: "zeros", or "border", its pixels again.
        generator: source of randomness, on the images' device.

    Returns:
        Images, without gradient.

    Example:
        >>> turned(torch.rand(5, 1, 8, 8), 0.5).shape
        torch.Size([5, 1, 8, 8])
    """
    wide = widened(images)  # half precision would move pixels, and autocast's images may have it
    places = _affine(_draws(wide, generator), strength, mirror)
    if len(images) == 0:
        return images
    with torch.no_grad(), no_autocast(images.device):
        grid = F.affine_grid(places, list(images.shape), align_corners=False)
        moved = F.grid_sample(wide, grid, padding_mode=padding, align_corners=False)
    return moved.to(images.dtype)


def distorted(
    images: Float[Tensor, "b channels height width"],
    strength: float,
    *,
    cover: bool = True,
    mirror: bool = True,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "b channels height width"]:
    """Each image mirrored or not, turned, scaled, moved and recoloured at random.

    Args:
        images: in [0, 1].
        strength: 1 for turns of up to 15°, sizes and contrasts of ± 15 and 40 %; 0 only mirrors
            and covers.
        cover: whether a square of about a quarter of the height is painted over.
        mirror: whether half of them are mirrored left to right.
        generator: source of randomness, on the images' device.

    Returns:
        Images in [0, 1], without gradient.

    Example:
        >>> distorted(torch.rand(5, 3, 16, 16), 0.5).shape
        torch.Size([5, 3, 16, 16])

    Reference: DeVries and Taylor 2017 (the covered square); Cubuk et al. 2020 (the others).
    """
    check_float_tensor("images", images, ("batch", "channels", "height", "width"), finite=False)
    strength = check_number("strength", strength)
    check_flag("cover", cover)
    check_flag("mirror", mirror)
    _, channels, height, width = images.shape
    if 0 in (channels, height, width):
        raise ValueError(f"images must have pixels, got shape {tuple(images.shape)}")
    moved = turned(images, strength, mirror=mirror, padding="border", generator=generator)
    number = _draws(images, generator)
    with torch.no_grad():
        mean = moved.mean((1, 2, 3), keepdim=True)
        seen = (moved - mean) * (1 + CONTRAST * strength * number(1, 1, 1)) + mean
        seen = seen * (1 + COLOUR * strength * number(channels, 1, 1))
        seen = seen + BRIGHTNESS * strength * number(1, 1, 1)
        if cover:
            half = PATCH * height * (1 + 0.5 * number(1))
            inside = _within(number(1), half, height).unsqueeze(2)
            inside = inside & _within(number(1), half, width).unsqueeze(1)
            seen = torch.where(inside.unsqueeze(1), mean, seen)
        return seen.clamp(0, 1)


def _draws(images: Tensor, generator: torch.Generator | None) -> Callable[..., Tensor]:
    """A function that draws numbers from −1 to 1 for every image, `(b, *shape)`."""

    def numbers(*shape: int) -> Tensor:
        settings = {"dtype": images.dtype, "device": images.device}
        return 2 * draw(torch.rand, (len(images), *shape), generator, **settings) - 1

    return numbers


def _affine(draw: Callable[..., Tensor], strength: float, mirror: bool) -> Float[Tensor, "b 2 3"]:
    """Where in the old image the places of the new one are."""
    angle = draw() * math.radians(ANGLE) * strength
    scale = 1 + draw() * SCALE * strength
    side: Tensor | float = torch.where(draw() < 0, -1.0, 1.0) if mirror else 1.0
    side = side * (1 + draw() * STRETCH * strength)
    right, down = draw() * SHIFT * strength, draw() * SHIFT * strength
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    first = torch.stack([cosine * side, -sine, right], -1)
    return torch.stack([first, torch.stack([sine * side, cosine, down], -1)], 1)


def _within(
    middle: Float[Tensor, "b 1"], half: Float[Tensor, "b 1"], size: int
) -> Float[Tensor, "b size"]:
    """Which of the rows or columns are near a place given from −1 to 1."""
    places = torch.arange(size, device=middle.device)
    return (places - (middle + 1) / 2 * size).abs() < half
