"""Balanced labelled subsets."""

from __future__ import annotations

import pytest
import torch

from directmax.tool.data import Split, balanced_indices, load_images


def split_of(*labels: int) -> Split:
    return Split(images=torch.zeros(len(labels), 4), labels=torch.tensor(labels))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_as_many_of_every_class() -> None:
    train = load_images("digits").train
    chosen = balanced_indices(train, 50, 10, generator=seeded())
    assert train.labels[chosen].bincount().tolist() == [5] * 10
    assert len(set(chosen.tolist())) == 50
    assert chosen.tolist() == sorted(chosen.tolist())


def test_the_seed_decides() -> None:
    train = load_images("digits").train
    first, again, other = (balanced_indices(train, 50, 10, generator=seeded(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_image_of_a_class_can_be_drawn() -> None:
    split = split_of(0, 0, 0, 1, 1)
    drawn = {tuple(balanced_indices(split, 2, 2, generator=seeded(s)).tolist()) for s in range(60)}
    assert drawn == {(i, j) for i in (0, 1, 2) for j in (3, 4)}
    assert balanced_indices(split, 4, 2, generator=seeded()).tolist()[-2:] == [3, 4]


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "count must be a multiple of the 2 classes, .* got 0"),
        (-2, "count must be a multiple of the 2 classes, .* got -2"),
        (3, "count must be a multiple of the 2 classes, .* got 3"),
        (6, "class 1 has 2 training images, and 6 labels are 3 of each"),
    ],
)
def test_refused(count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        balanced_indices(split_of(0, 0, 0, 1, 1), count, 2)
