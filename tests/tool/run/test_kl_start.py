"""The weight at which codes part, of many binary pixels."""

from __future__ import annotations

import pytest
import torch

from directmax.tool.config import annealing


def test_of_many_pixels_the_largest_eigenvalue_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """All eigenvalues of 5,000 pixels took 13 seconds, of 64×64 pixels in colours minutes."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(3, 90, generator=generator)
    images = torch.bernoulli(probabilities.repeat(40, 1), generator=generator)
    expected = annealing.critical_kl_weight(images)
    monkeypatch.setattr(annealing, "MOST_ALL", 80)
    monkeypatch.setattr(torch.linalg, "eigvalsh", None)
    assert annealing.critical_kl_weight(images) == pytest.approx(expected, rel=1e-8)
    assert annealing.critical_kl_weight(images[:20]) > 1
