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
    """Indices of `count` images of a split, drawn at random: in turn one of every class.

    So there are as many of every class, or of some one more. A class that has not so many gives all
    that it has, one that has none gives none.

    Args:
        split: the images to draw from.
        count: how many, of every class one or more.
        num_classes: classes 0 … num_classes − 1.
        generator: source of randomness, on the CPU.
        name: of `count`, for errors.

    Returns:
        Indices `(count,)`, ascending.

    Raises:
        ValueError: there are more classes than `count`, or fewer images.

    Example:
        >>> from directmax.tool.data import load_images
        >>> train = load_images("digits").train
        >>> chosen = balanced_indices(train, 22, 10)
        >>> train.labels[chosen].bincount().sort().values.tolist()
        [2, 2, 2, 2, 2, 2, 2, 2, 3, 3]
    """
    order = torch.randperm(len(split), generator=generator)
    classes = split.labels[order]
    members = [order[classes == number] for number in range(num_classes)]
    present = [each for each in members if len(each)]
    if count < len(present):
        raise ValueError(
            f"{name} must be at least the {len(present)} classes, so that each has one, got {count}"
        )
    if count > len(split):
        raise ValueError(f"{name} must be at most the {len(split)} training images, got {count}")
    most = max(map(len, present))
    each = 0
    while each < most and sum(min(each + 1, len(some)) for some in present) <= count:
        each += 1
    chosen = torch.cat([some[:each] for some in present])
    more = torch.tensor([int(some[each]) for some in present if len(some) > each]).long()
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order))
    drawn = more[places[more].argsort()][: count - len(chosen)]  # whose next image is first
    return torch.cat([chosen, drawn]).sort().values
