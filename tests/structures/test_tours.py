"""Round trips."""

from __future__ import annotations

import itertools

import networkx
import pytest
import torch
from structure_conformance import Case, StructureConformance
from torch import Tensor

from directmax.structures import Tours


def is_tour(z: Tensor, vertices: int) -> bool:
    pairs = itertools.combinations(range(vertices), 2)
    graph = networkx.Graph([pair for pair, on in zip(pairs, z.tolist(), strict=True) if on])
    two = all(degree == 2 for _, degree in graph.degree())
    return len(graph) == vertices and two and networkx.is_connected(graph)


class TestTours(StructureConformance):
    def cases(self) -> list[Case]:
        return [Case(Tours(v), lambda z, p, v=v: is_tour(z, v)) for v in (3, 4, 5)]


def test_larger_ones_by_all_orders() -> None:
    v = 8
    weights = torch.randn(4, v * (v - 1) // 2, dtype=torch.float64)
    number = {pair: e for e, pair in enumerate(itertools.combinations(range(v), 2))}
    orders = [
        [number[min(a, b), max(a, b)] for a, b in itertools.pairwise((0, *order, 0))]
        for order in itertools.permutations(range(1, v))
    ]
    best = weights[:, torch.tensor(orders)].sum(-1).amax(-1)
    torch.testing.assert_close((Tours(v).argmax(weights) * weights).sum(-1), best)


@pytest.mark.parametrize("wrong", [2, 17, 4.0])
def test_refused_in_one_line(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        Tours(wrong)
    assert "\n" not in str(error.value)
