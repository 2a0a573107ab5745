"""Binarisation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from directmax.tool.data import BINARIZATIONS, best_threshold, binarize, load_images

QUANTILE = 4.9  # |z| of a standard normal exceeds it with probability 1e-6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def grey() -> Tensor:
    return torch.rand(50, 64, generator=seeded(3))


def test_threshold_is_strict() -> None:
    values = torch.tensor([[0.0, 0.5, 0.5000001, 1.0]])
    assert binarize(values, "threshold").tolist() == [[0, 0, 1, 1]]


def test_none_returns_grey_values(grey: Tensor) -> None:
    assert torch.equal(binarize(grey, "none"), grey)
    assert binarize(grey.double(), "none").dtype == torch.float32


@pytest.mark.parametrize("mode", ["threshold", "static", "dynamic"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_result_is_binary_float32_and_new(grey: Tensor, mode: str, dtype: torch.dtype) -> None:
    images = grey.to(dtype)
    before = images.clone()
    binary = binarize(images, mode, generator=seeded())
    assert binary.dtype == torch.float32
    assert binary.shape == images.shape
    assert set(binary.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(images, before)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_draws_are_bernoulli(mode: str) -> None:
    draws, levels = 40_000, torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    binary = binarize(levels.expand(draws, -1), mode, generator=seeded())
    mean = binary.double().mean(0)
    assert mean[0] == 0
    assert mean[-1] == 1
    inner = levels[1:-1].double()
    error = (inner * (1 - inner) / draws).sqrt()
    assert ((mean[1:-1] - inner).abs() / error < QUANTILE).all()
    assert (error < 0.003).all()  # small enough to see a wrong probability


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_generator_decides_the_draw(grey: Tensor, mode: str) -> None:
    generator = seeded(1)
    first, second = (binarize(grey, mode, generator=generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, binarize(grey, mode, generator=seeded(1)))
    assert not torch.equal(first, binarize(grey, mode, generator=seeded(2)))


def test_static_and_dynamic_are_the_same_draw(grey: Tensor) -> None:
    static = binarize(grey, "static", generator=seeded())
    assert torch.equal(static, binarize(grey, "dynamic", generator=seeded()))


def test_default_generator_is_left_alone(grey: Tensor) -> None:
    before = torch.get_rng_state()
    binarize(grey, "static", generator=seeded())
    binarize(grey, "threshold")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("mode", BINARIZATIONS)
def test_empty_images(mode: str) -> None:
    assert binarize(torch.zeros(0, 64), mode).shape == (0, 64)


def test_unknown_mode(grey: Tensor) -> None:
    with pytest.raises(ValueError, match="threshold, static, dynamic, none; got 'treshold'"):
        binarize(grey, "treshold")


@pytest.mark.parametrize("images", [torch.ones(2, 2, dtype=torch.uint8), [[0.5]]])
def test_wrong_type(images: object) -> None:
    with pytest.raises(TypeError, match="images must be"):
        binarize(images, "none")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", BINARIZATIONS)
@pytest.mark.parametrize("bad", [-0.01, 1.01, float("nan"), float("inf")])
def test_values_outside(grey: Tensor, mode: str, bad: float) -> None:
    grey[3, 5] = bad
    with pytest.raises(ValueError, match=r"finite and in \[0, 1\]"):
        binarize(grey, mode)


def test_another_threshold() -> None:
    grey = torch.tensor([0.0, 0.1, 0.2, 1.0])
    assert binarize(grey, "threshold", threshold=0.1).tolist() == [0, 0, 1, 1]
    assert binarize(grey, "none", threshold=0.1) is grey


def test_half_where_it_does_nearly_as_well() -> None:
    """As for all data sets that have published bounds."""
    assert best_threshold(load_images("digits").train.images) == 0.5
    draw = torch.Generator().manual_seed(0)
    assert best_threshold(torch.rand(90, 50, generator=draw)) == 0.5
    for same in (0.0, 0.3, 1.0):
        assert best_threshold(torch.full((9, 4), same)) == 0.5
    assert best_threshold(torch.eye(7)) == 0.5


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "omniglot"])
def test_half_for_published_protocols(name: str, official_folder: Path) -> None:
    images = load_images(name, data_dir=official_folder).train.images
    assert best_threshold(images[:: len(images) // 5000]) == 0.5


def test_faint_strokes_are_parted_from_the_ground() -> None:
    """As by trying every threshold: the two groups differ least within."""
    draw = torch.Generator().manual_seed(0)
    ink = torch.rand(4000, generator=draw) < 0.1
    grey = torch.where(ink, 0.3, 0.05) + 0.04 * torch.randn(4000, generator=draw)
    grey = grey.clamp(0, 1).mul(255).round() / 255

    def within(threshold: float) -> float:
        groups = (grey[grey > threshold], grey[grey <= threshold])
        return sum(len(each) * float(each.var(correction=0)) for each in groups if len(each))

    best = best_threshold(grey.view(-1, 8))
    assert 0.1 < best < 0.25
    assert within(best) == pytest.approx(min(within((i + 0.5) / 255) for i in range(255)))
    assert ((grey > best) == ink).double().mean() > 0.99
