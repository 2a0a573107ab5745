"""Groups of images, without labels and with a few."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from directmax.models import _groups, group_images
from directmax.models._groups import neighbours

NONE = torch.full((9,), -1)
ONE = torch.tensor([2, *[-1] * 8])


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Four kinds of digits that are easily told apart, and which each is."""
    images, labels = load_digits(return_X_y=True)
    few = labels < 4
    return torch.from_numpy(images[few] / 16).float(), torch.from_numpy(labels[few])


def test_neighbours_are_the_nearest() -> None:
    images = torch.randn(230, 7, generator=torch.Generator().manual_seed(0))
    distances = torch.cdist(images, images).fill_diagonal_(torch.inf)
    expected = distances.topk(4, largest=False).indices  # all seven components
    assert torch.equal(neighbours(images, 4).sort().values, expected.sort().values)


def test_neighbours_of_many_are_the_nearest_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_groups, "CANDIDATES", 80)
    monkeypatch.setattr(_groups, "DISTANCES", 77 * 10)  # ten images at a time
    images = torch.randn(230, 7, generator=torch.Generator().manual_seed(0))
    distances = torch.cdist(images, images).fill_diagonal_(torch.inf)
    distances[:, torch.arange(230) % 3 != 0] = torch.inf
    expected = distances.topk(4, largest=False).indices
    assert torch.equal(neighbours(images, 4).sort().values, expected.sort().values)


def test_groups_are_what_people_see() -> None:
    images, labels = digits()
    state = torch.get_rng_state()
    probs = group_images(
        images, 4, shape=(8, 8), steps=240, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(probs.sum(1), torch.ones(len(images)))
    counts = torch.zeros(4, 4)
    counts.index_put_((labels, probs.argmax(1)), torch.ones(()), accumulate=True)
    assert counts.amax(0).sum() > 0.9 * len(images)  # 0.25 by chance
    assert counts.argmax(0).unique().numel() == 4
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("shared", [False, True])
def test_labels_name_groups_and_shares_say_how_frequent_they_are(shared: bool) -> None:
    """Two digits in one group, 6 labels each: with equal shares half of them must leave it."""
    images, digit = digits()
    classes = torch.tensor([0, 0, 0, 1])[digit]
    labels = torch.full_like(classes, -1)
    for number in (0, 1):
        rows = (classes == number).nonzero().squeeze(1)[:6]
        labels[rows] = number
    shares = torch.bincount(classes) / len(classes)
    probs = group_images(
        images,
        2,
        labels=labels,
        shares=shares if shared else None,
        shape=(8, 8),
        steps=200,
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(probs.sum(1), torch.ones(len(images)))
    right = float((probs.argmax(1) == classes).float().mean())
    assert right > 0.9 if shared else right < 0.85


def test_a_generator_decides_groups_and_all_steps_are_told() -> None:
    images, _ = digits()
    told: list[float] = []
    first, second = (
        group_images(
            images[:100],
            3,
            steps=16,
            generator=torch.Generator().manual_seed(1),
            progress=told.append,
        )
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert told[:16] == [(step + 1) / 16 for step in range(16)]


def test_it_does_not_matter_where_it_is_called() -> None:
    images = torch.rand(20, 6, generator=torch.Generator().manual_seed(0))

    def found() -> torch.Tensor:
        return group_images(images, 3, steps=8, generator=torch.Generator().manual_seed(1))

    expected = found()
    for context in (torch.inference_mode(), torch.autocast("cpu"), torch.device("meta")):
        with context:
            assert torch.equal(found(), expected)
    with torch.inference_mode():
        again = images.clone()
    images = again
    assert torch.equal(found(), expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(found(), expected)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("count", [6, 40])
@pytest.mark.parametrize("pixels", [1, 3])
def test_images_that_differ_in_nothing(count: int, pixels: int) -> None:
    images = torch.full((count, pixels), 0.3)
    images[:, 1:] = 1
    probs = group_images(images, 6, shape=(1, pixels), steps=8)
    torch.testing.assert_close(probs, probs[:1].expand(count, 6))


@pytest.mark.parametrize(
    ("images", "settings", "message"),
    [
        (torch.zeros(5, 4), {}, "images must be more than 5, got 5"),
        (torch.full((9, 4), 2.0), {}, "images must be from 0 to 1"),
        (torch.zeros(9, 4), {"num_groups": 1}, "num_groups must be an integer of at least 2"),
        (torch.zeros(9, 4), {"steps": 0}, "steps must be an integer of at least 1"),
        (torch.zeros(9, 4), {"shape": (3, 3)}, r"shape must be \(height, width\)"),
        (torch.zeros(9, 4), {"shape": (0, 4)}, "shape, height, must be an integer of at least 1"),
        (torch.zeros(9, 4), {"num_groups": 10}, "num_groups must be at most the number of images"),
        (torch.zeros(9, 4), {"shares": torch.ones(3) / 3}, "shares are of groups with names"),
        (torch.zeros(9, 4), {"labels": NONE}, "labels must be known of an image, got −1 for all"),
        (torch.zeros(9, 4), {"labels": NONE + 4}, "from 0 to 2, or −1 where unknown, got"),
        (torch.zeros(9, 4), {"labels": NONE[:8]}, "labels must be one for each of the 9 images"),
        (torch.zeros(9, 4), {"labels": ONE, "shares": torch.ones(3)}, "the sum 1, got 3"),
        (torch.zeros(9, 4), {"labels": ONE, "shares": torch.ones(2) / 2}, "must be 3 numbers"),
        (torch.zeros(9, 4), {"labels": ONE, "shares": torch.eye(3)[0]}, "3 numbers above 0"),
    ],
)
def test_what_cannot_be_grouped_is_refused(
    images: torch.Tensor, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        group_images(images, **{"num_groups": 3, **settings})  # type: ignore[arg-type]
