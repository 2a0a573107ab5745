"""Knapsacks."""

from __future__ import annotations

import pytest
import torch
from structure_conformance import Case, StructureConformance

from directmax.structures import Knapsack

SIZES = torch.tensor([3, 4, 5, 0, 2])
OWN = torch.tensor([[1, 2, 3], [9, 1, 1], [2, 2, 2]])
CAPACITY = torch.tensor([7, 0, 30])


class TestKnapsack(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            Case(Knapsack(SIZES, 8), lambda z, p: (z * SIZES).sum() <= 8),
            Case(Knapsack(SIZES, CAPACITY), lambda z, p: (z * SIZES).sum() <= CAPACITY[p]),
            Case(Knapsack(OWN, 4), lambda z, p: (z * OWN[p]).sum() <= 4),
        ]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Knapsack(SIZES.float(), 3),
        lambda: Knapsack("12", 3),
        lambda: Knapsack([], 3),
        lambda: Knapsack(-SIZES, 3),
        lambda: Knapsack(SIZES, -1),
        lambda: Knapsack(SIZES, 1.5),
        lambda: Knapsack(SIZES, 10**9),
        lambda: Knapsack(OWN, torch.tensor([1, 2])),
        lambda: Knapsack(SIZES[:0], 3),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_small_weights() -> None:
    """They are pushed by their own size, not by 1, in which they would be lost."""
    items = Knapsack(torch.tensor([1, 2, 3, 4, 2]), 6)
    weights = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = items.max_marginals(1e-30 * weights)
    torch.testing.assert_close(1e30 * found, items.max_marginals(weights))


def test_sizes_may_be_a_list() -> None:
    weights = torch.tensor([[2.0, 2.5, 4.0]])
    expected = Knapsack(torch.tensor([3, 4, 5]), 7).argmax(weights)
    assert torch.equal(Knapsack([3, 4, 5], 7).argmax(weights), expected)
    with pytest.raises(TypeError, match=r"sizes must be an integer of at least 0, got 1\.5"):
        Knapsack([3, 1.5], 7)
