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


def test_in_turn_one_of_every_class() -> None:
    split = split_of(*[0] * 50, *[1] * 3, *[2] * 20, *[4] * 9)  # and none of class 3
    for count, sizes in ((4, [1] * 4), (12, [3] * 4), (30, [9, 3, 9, 9]), (82, [50, 3, 20, 9])):
        drawn = split.labels[balanced_indices(split, count, 5, generator=seeded())]
        assert drawn.bincount()[[0, 1, 2, 4]].tolist() == sizes
    more = {
        tuple(split.labels[balanced_indices(split, 13, 5, generator=seeded(s))].bincount().tolist())
        for s in range(60)
    }
    assert more == {(4, 3, 3, 0, 3), (3, 3, 4, 0, 3), (3, 3, 3, 0, 4)}  # class 1 has no fourth


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "count must be at least the 2 classes, .* got 0"),
        (-2, "count must be at least the 2 classes, .* got -2"),
        (1, "count must be at least the 2 classes, .* got 1"),
        (6, "count 6 is more than the 5 training images"),
    ],
)
def test_refused(count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        balanced_indices(split_of(0, 0, 0, 1, 1), count, 2)
