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

    So there are as many of every class, or of some one more; a class that has not so many gives all
    that it has. See `labelled_rows`.

    Args:
        split: the images to draw from.
        count: how many, of every class one or more.
        num_classes: classes 0 … num_classes − 1; images of others are not drawn.
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
    labels = split.labels.where(split.labels < num_classes, -1)
    there = len(labels[labels >= 0].unique())
    if count < there:
        raise ValueError(
            f"{name} must be at least the {there} classes, so that each has one, got {count}"
        )
    rows = labelled_rows(labels.unsqueeze(1), count, generator, name)
    return rows.sort().values


def labelled_rows(
    attributes: Int64[Tensor, "N n"],
    count: int,
    generator: torch.Generator | None,
    name: str = "--labels",
) -> Int64[Tensor, " count"]:
    """Images to label, drawn so that all combinations of attributes come as often as they can.

    In turn one of every combination that there is, until there are enough. What is not known is
    part of a combination; an image of which nothing is known is not drawn.

    Args:
        attributes: of the training images, 0 or 1; −1 where it is not known.
        count: how many.
        generator: draws them, on the CPU.
        name: of `count`, for errors.

    Raises:
        ValueError: there are not so many images.

    Example:
        >>> attributes = torch.tensor([[0, 0], [0, 0], [0, 0], [1, 0], [1, 1]])
        >>> labelled_rows(attributes, 4, torch.Generator()).sort().values[-2:]
        tensor([3, 4])
    """
    there = int((attributes >= 0).any(-1).sum())
    if count > there:
        of = "" if there == len(attributes) else " of which anything is known"
        raise ValueError(
            f"{name} {count} is more than the {there} training images{of}; choose fewer"
        )
    mixed = torch.randperm(len(attributes), generator=generator)
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, bits in zip(mixed.tolist(), attributes[mixed].tolist(), strict=True):
        if max(bits) >= 0:
            groups.setdefault(tuple(bits), []).append(row)
    rows: list[int] = []
    turn = 0
    while True:
        members = [groups[bits][turn] for bits in sorted(groups) if turn < len(groups[bits])]
        missing = count - len(rows)
        if missing <= len(members):  # not always the same combinations are left out
            chosen = torch.randperm(len(members), generator=generator)[:missing].sort().values
            return torch.tensor(rows + [members[each] for each in chosen.tolist()])
        rows += members
        turn += 1
