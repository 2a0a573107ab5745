"""Paths of a graph."""

from __future__ import annotations

import itertools

import pytest
import torch
from structure_conformance import Case, StructureConformance
from torch import Tensor

from directmax.structures import Paths

DIAMOND = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (0, 3), (4, 3), (3, 5)]
ROUND = [(0, 1), (1, 0), (1, 2), (2, 1), (0, 3), (3, 2), (2, 3), (3, 0)]
ENDS = torch.tensor([0, 1, 0]), torch.tensor([3, 3, 2])


def ways(graph: Paths, problem: int) -> set[tuple[int, ...]]:
    """All paths as sets of variables, by trying every order of vertices."""
    source, target = (int(x[problem % len(x)]) for x in (graph.source, graph.target))
    number = {tuple(edge): e for e, edge in enumerate(graph.edges.tolist())}
    others = [v for v in range(graph.num_vertices) if v not in (source, target)]
    found = set()
    for count in range(len(others) + 1):
        for middle in itertools.permutations(others, count):
            visited = (source, *middle, target)
            steps = list(itertools.pairwise(visited))
            if all(step in number for step in steps):
                variables = [number[s] for s in steps] if graph.on == "edges" else visited
                found.add(tuple(sorted(variables)))
    return found


def case(graph: Paths) -> Case:
    each = [ways(graph, p) for p in range(3)]

    def allowed(z: Tensor, problem: int) -> bool:
        return tuple(z.nonzero().squeeze(-1).tolist()) in each[problem]

    return Case(graph, allowed, costs=graph.has_cycles, clamps=not graph.has_cycles)


class TestPaths(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            case(Paths.grid(2, 3)),
            case(Paths.grid(3, 3, on="vertices")),
            case(Paths(DIAMOND, 0, 5)),
            case(Paths(DIAMOND, *ENDS)),
            case(Paths(DIAMOND, *ENDS, on="vertices")),
            case(Paths(ROUND, 0, 2)),
            case(Paths(ROUND, *ENDS)),
            case(Paths.grid(2, 3, neighbours="8", on="vertices")),
            case(Paths.grid(2, 2, neighbours="4")),
        ]


def test_edges_of_a_grid_are_in_the_order_of_pyepo() -> None:
    expected = [(0, 1), (1, 2), (0, 3), (1, 4), (2, 5), (3, 4), (4, 5)]
    assert [tuple(edge) for edge in Paths.grid(2, 3).edges.tolist()] == expected
    assert len(Paths.grid(5, 5).edges) == 40
    assert len(Paths.grid(3, 3, neighbours="8").edges) == 40


def test_dijkstra_and_topological_order_agree_on_larger_grids() -> None:
    weights = -torch.rand(30, 12 * 12, dtype=torch.float64)
    forward = Paths.grid(12, 12, on="vertices")
    backward = Paths([*map(tuple, forward.edges.tolist()), (143, 0)], 0, 143, on="vertices")
    assert backward.has_cycles
    assert torch.equal(forward.argmax(weights), backward.argmax(weights))


def test_weights_above_zero_with_cycles() -> None:
    weights = torch.tensor([[-1.0, 1.0, -1.0, 0.0, -3.0, 0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="at most 0"):
        Paths(ROUND, 0, 2).argmax(weights)
    clipped = Paths(ROUND, 0, 2, clip=True).argmax(weights)
    assert torch.equal(clipped, Paths(ROUND, 0, 2).argmax(weights.clamp_max(0)))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Paths([(0, 1), (0, 1)], 0, 1),
        lambda: Paths([(0, 0)], 0, 0),
        lambda: Paths([(-1, 0)], 0, 0),
        lambda: Paths([(0, 1.5)], 0, 1),
        lambda: Paths([(0, 1, 2)], 0, 1),
        lambda: Paths([], 0, 1),
        lambda: Paths("edges", 0, 1),
        lambda: Paths([(0, 1)], 0, 2),
        lambda: Paths([(0, 1)], 1, 0),
        lambda: Paths([(0, 1)], torch.tensor([0, 0]), torch.tensor([1])),
        lambda: Paths([(0, 1)], 0, 1, on="faces"),
        lambda: Paths.grid(0, 3),
        lambda: Paths.grid(2, 3, neighbours="5"),
        lambda: Paths(ROUND, 0, 2).max_marginals(torch.zeros(1, 8)),
        lambda: Paths(ROUND, 0, 2).entropy(torch.zeros(1, 8)),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)
