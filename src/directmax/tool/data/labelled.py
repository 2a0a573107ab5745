"""Which images of a split have labels in a semi-supervised run."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from directmax.tool.data.types import Split


def balanced_indices(
    split: Split,
    count: int,
    num_classes: int,
    *,
    generator: torch.Generator | None = None,
    name: str = "count",
) -> Int64[Tensor, " count"]:
    """Indices of `count` images of a split, drawn at random, as many of every class.

    Args:
        split: the images to draw from.
        count: how many; a multiple of `num_classes`.
        num_classes: classes 0 … num_classes − 1.
        generator: source of randomness, on the CPU.
        name: of `count`, for errors.

    Returns:
        Indices `(count,)`, ascending.

    Raises:
        ValueError: `count` is no positive multiple of `num_classes`, or a class has too few images.

    Example:
        >>> from directmax.tool.data import load_images
        >>> train = load_images("digits").train
        >>> chosen = balanced_indices(train, 20, 10)
        >>> train.labels[chosen].bincount().tolist()
        [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    if count < 1 or count % num_classes:
        raise ValueError(
            f"{name} must be a multiple of the {num_classes} classes, so that every class has as "
            f"many, got {count}"
        )
    each = count // num_classes
    order = torch.randperm(len(split), generator=generator)
    chosen = []
    for number in range(num_classes):
        members = order[split.labels[order] == number]
        if len(members) < each:
            raise ValueError(
                f"{name} must leave every class its images: class {number} has {len(members)} "
                f"training images, and {count} labels are {each} of each"
            )
        chosen.append(members[:each])
    return torch.cat(chosen).sort().values
