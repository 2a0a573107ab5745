"""Images as people have them, in the shape and the numbers of a model, or one line why not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from directmax._validation import check_dense, check_has_numbers


def unit_images(images: Any, shape: tuple[int, ...]) -> Float[Tensor, "N d"]:
    """Rows of pixels in [0, 1], in the order channels, rows, columns.

    Args:
        images: a tensor, an array or nested lists: 8-bit (divided by 255), whole numbers 0 and 1,
            bool, or numbers in [0, 1]; of any shape that fits: `(N, d)`, `(N, h, w)`, with an axis
            of channels in front or at the end, or one image without the first axis.
        shape: (height, width) or (channels, height, width) of an image.

    Raises:
        TypeError: no numbers, or integers of more than 8 bits.
        ValueError: another shape, no image, NaN, or values outside of [0, 1].

    Example:
        >>> unit_images(np.full((5, 4, 6), 255, dtype=np.uint8), (4, 6)).shape
        torch.Size([5, 24])
        >>> unit_images([[0.0, 0.5], [1.0, 1.0]], (1, 2))
        tensor([[0.0000, 0.5000],
                [1.0000, 1.0000]])
    """
    tensor = as_tensor("images", images)
    rows = _rows(tensor, shape)
    # 0/1 in whole numbers are what tables have, and no picture of 8 bits is as dark as that.
    if rows.dtype == torch.bool or (not rows.is_floating_point() and _zero_or_one(rows)):
        return rows.float()
    if rows.dtype == torch.uint8:
        return rows.float() / 255
    if not rows.is_floating_point():
        raise TypeError(
            f"images must be 8-bit (uint8), bool, or numbers in [0, 1], got {rows.dtype}; convert "
            "whole numbers from 0 to 255 to uint8"
        )
    low, high = (float(bound) for bound in rows.aminmax())
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise ValueError(
            f"images must be from 0 to 1, or 8-bit (uint8), got values from {low:g} to {high:g}"
        )
    return rows.float()


def _zero_or_one(rows: Tensor) -> bool:
    return bool(((rows == 0) | (rows == 1)).all())


def byte_images(
    images: Any, shape: tuple[int, int, int]
) -> UInt8[Tensor, "N channels height width"]:
    """8-bit images, from all that `unit_images` takes.

    Example:
        >>> byte_images(torch.ones(2, 4, 6, 3), (3, 4, 6)).shape
        torch.Size([2, 3, 4, 6])
    """
    tensor = as_tensor("images", images)
    if tensor.dtype != torch.uint8:
        tensor = (unit_images(tensor, shape) * 255).round().to(torch.uint8)
    return _rows(tensor, shape).unflatten(-1, shape)


def as_tensor(name: str, values: Any) -> Tensor:
    """Real numbers on the CPU, from a tensor, an array or lists.

    Raises:
        TypeError: something else.

    Example:
        >>> as_tensor("z", [[1, 2]])
        tensor([[1, 2]])
    """
    try:
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise TypeError(f"{name} must be a tensor or an array of numbers: {reason}") from error
    if tensor.is_complex():
        raise TypeError(f"{name} must be real numbers, got {tensor.dtype}")
    check_has_numbers(name, tensor)
    check_dense(name, tensor)
    return tensor.detach().cpu()


def _rows(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    channels, height, width = (1, *shape) if len(shape) == 2 else shape
    pixels = math.prod(shape)
    first, last = (channels, height, width), (height, width, channels)
    known: list[tuple[int, ...]] = [(height, width)] if channels == 1 else []
    known += [first, last, (pixels,)]
    found = tuple(images.shape)
    if found in known and found[1:] not in known:  # one image
        images, found = images.unsqueeze(0), (1, *found)
    if found[1:] not in known:
        words = [f"(N, {', '.join(map(str, each))})" for each in known]
        raise ValueError(
            f"images must have shape {', '.join(words[:-1])} or {words[-1]}, got {found}"
        )
    if not len(images):
        raise ValueError("images must be at least one, got none")
    if found[1:] == last and channels > 1 and first != last:
        images = images.movedim(-1, 1)
    return images.reshape(len(images), pixels)
