"""Subsets, and lists of assignments."""

from __future__ import annotations

import pytest
import torch
from structure_conformance import Case, StructureConformance

from directmax.structures import Listed, Subsets

COUNTS = torch.tensor([0, 2, 4])


class TestSubsets(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            Case(Subsets(5, 2), lambda z, p: z.sum() == 2),
            Case(Subsets(3, 3), lambda z, p: z.sum() == 3),
            Case(Subsets(4, 2, at_most=True), lambda z, p: z.sum() <= 2),
            Case(Subsets(4, COUNTS), lambda z, p: z.sum() == COUNTS[p]),
            Case(Subsets(4, COUNTS, at_most=True), lambda z, p: z.sum() <= COUNTS[p]),
        ]


ELEMENTS = torch.tensor([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1]])
VARIABLES = torch.eye(3)[torch.tensor([[0, 1], [1, 2], [2, 2], [0, 0]])]


class TestListed(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            Case(Listed(states), lambda z, p, states=states: (z == states).flatten(1).all(1).any())
            for states in (ELEMENTS, VARIABLES)
        ]


def test_a_pool_grows_by_what_is_new() -> None:
    pool = Listed(ELEMENTS[:2]).extended(ELEMENTS).extended(ELEMENTS[1:])
    assert pool.states.long().tolist()[:2] == ELEMENTS[:2].tolist()
    assert sorted(pool.states.long().tolist()) == sorted(ELEMENTS.tolist())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Subsets(0, 0),
        lambda: Subsets(3, 4),
        lambda: Subsets(3, -1),
        lambda: Subsets(3, 1.0),
        lambda: Subsets(3, torch.tensor([1, 4])),
        lambda: Subsets(3, torch.tensor([1.0])),
        lambda: Listed(ELEMENTS[[0, 0]]),
        lambda: Listed(ELEMENTS * 2),
        lambda: Listed(torch.ones(2, 2, 2)),
        lambda: Listed(ELEMENTS[0]),
        lambda: Listed([[0, 1]]),
        lambda: Listed(ELEMENTS).extended(ELEMENTS[:, :2]),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)
