"""Directed and undirected trees."""

from __future__ import annotations

import networkx
import pytest
import torch
from structure_conformance import Case, StructureConformance
from torch import Tensor

from directmax.structures import Arborescence, ProjectiveTree, SpanningTree, Structure

LENGTHS = torch.tensor([1, 3, 2])
SQUARE = [(0, 1), (2, 1), (2, 3), (3, 0), (0, 2)]


def edges_of(z: Tensor, length: int) -> list[tuple[int, int]] | None:
    """(head, node), if the nodes within the length have one head each and the others none."""
    if z.sum(-1).tolist() != [1] * length + [0] * (len(z) - length):
        return None
    return [(int(z[j].argmax()), j + 1) for j in range(length)]


def is_tree(z: Tensor, length: int, single: bool, projective: bool) -> bool:
    edges = edges_of(z, length)
    if edges is None or (single and sum(head == 0 for head, _ in edges) != 1):
        return False
    graph = networkx.DiGraph(edges)
    if set(graph) != set(range(length + 1)) or not networkx.is_arborescence(graph):
        return False
    spans = [tuple(sorted(edge)) for edge in edges]
    crossing = any(a < c < b < d for a, b in spans for c, d in spans)
    return not (projective and crossing)


def case(structure: Structure, projective: bool) -> Case:
    lengths = structure.lengths.expand(3) if len(structure.lengths) == 1 else structure.lengths
    return Case(
        structure,
        lambda z, p: is_tree(z, int(lengths[p]), structure.single_root, projective),
        padded=structure.has_lengths,
    )


@pytest.mark.parametrize("kind", [Arborescence, ProjectiveTree])
def test_larger_argmax_and_sums_agree(kind: type[Arborescence]) -> None:
    """At a low temperature nothing but the best is left of the sums."""
    g = torch.Generator().manual_seed(0)
    for single in (False, True):
        weights = torch.randn(6, 9, 10, generator=g, dtype=torch.float64)
        trees = kind(9, single_root=single)
        z = trees.argmax(weights)
        torch.testing.assert_close(
            trees.log_partition(weights * 1000) / 1000,
            trees.score(weights, z),
            rtol=0,
            atol=1e-4,
        )


def test_large_arborescences_as_networkx() -> None:
    weights = torch.randn(5, 15, 16, dtype=torch.float64).round(decimals=1)
    z = Arborescence(15).argmax(weights)
    for one, tree in zip(weights, z, strict=True):
        graph = networkx.DiGraph()
        for j in range(15):
            for h in range(16):
                if h != j + 1:
                    graph.add_edge(h, j + 1, weight=float(one[j, h]))
        best = networkx.maximum_spanning_arborescence(graph).size("weight")
        assert float((one * tree).sum()) == pytest.approx(best)


class TestArborescence(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            case(Arborescence(1), False),
            case(Arborescence(3), False),
            case(Arborescence(3, single_root=True), False),
            case(Arborescence(3, lengths=LENGTHS), False),
            case(Arborescence(3, single_root=True, lengths=LENGTHS), False),
        ]


class TestProjectiveTree(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            case(ProjectiveTree(1), True),
            case(ProjectiveTree(3), True),
            case(ProjectiveTree(3, single_root=True), True),
            case(ProjectiveTree(3, lengths=LENGTHS), True),
            case(ProjectiveTree(3, single_root=True, lengths=LENGTHS), True),
        ]


def spans(structure: SpanningTree) -> Case:
    def allowed(z: Tensor, problem: int) -> bool:
        graph = networkx.Graph(structure.edges[z > 0].tolist())
        whole = graph.number_of_nodes() == structure.num_vertices
        return whole and int(z.sum()) == graph.number_of_nodes() - 1 and networkx.is_tree(graph)

    return Case(structure, allowed)


class TestSpanningTree(StructureConformance):
    def cases(self) -> list[Case]:
        return [spans(SpanningTree(2)), spans(SpanningTree(4)), spans(SpanningTree(4, SQUARE))]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Arborescence(0),
        lambda: Arborescence(3, lengths=torch.tensor([0, 1])),
        lambda: ProjectiveTree(3, lengths=torch.tensor([4])),
        lambda: SpanningTree(1),
        lambda: SpanningTree(4, [(0, 1), (2, 3)]),
        lambda: SpanningTree(2, [(0, 1), (1, 0)]),
        lambda: SpanningTree(2, [(0, 2)]),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)
