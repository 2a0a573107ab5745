"""All assignments of a structure, and sums over them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from directmax import Exact, Gibbs
from directmax.distributions import enumerate_states
from directmax.objectives import LinearCost
from directmax.structures import (
    Arborescence,
    Chain,
    Listed,
    Matching,
    Paths,
    ProjectiveTree,
    SpanningTree,
    Structure,
    Subsets,
    Tours,
    all_states,
)

STRUCTURES: dict[str, Structure] = {
    "subsets": Subsets(6, 2),
    "at most": Subsets(5, 3, at_most=True),
    "none": Subsets(4, 0),
    "matching": Matching(3, 4),
    "paths": Paths.grid(3, 3),
    "vertices": Paths.grid(3, 3, on="vertices"),
    "trees": SpanningTree(4, [(i, j) for i in range(4) for j in range(i)]),
    "directed trees": Arborescence(3),
    "one root": Arborescence(3, single_root=True),
    "projective trees": ProjectiveTree(3),
    "listed": Listed(torch.tensor([[1, 1, 0], [0, 1, 1]])),
}


def by_force(structure: Structure) -> Tensor:
    every = structure.from_one_hot(enumerate_states(structure.shape[0], structure.num_values))
    return every[structure.is_feasible(every.unsqueeze(1)).squeeze(-1)]


@pytest.mark.parametrize("name", STRUCTURES)
def test_all_states(name: str) -> None:
    structure = STRUCTURES[name]
    found = all_states(structure, 2**16)
    assert found is not None
    assert torch.equal(found.unique(dim=0), by_force(structure).unique(dim=0))
    assert len(found.unique(dim=0)) == len(found)


@pytest.mark.parametrize(
    ("name", "masked"),
    [(name, False) for name in STRUCTURES]
    + [(name, True) for name in STRUCTURES if name != "none"],  # of one z none can be taken out
)
def test_exact_gradients(name: str, masked: bool) -> None:
    """Those of the sum, written out."""
    structure = STRUCTURES[name]
    states = by_force(structure).double()
    g = torch.Generator().manual_seed(0)
    weights = torch.randn(3, *structure.shape, generator=g, dtype=torch.float64)
    if masked:  # what the first state lacks, and some state too
        others = [z for z in range(len(states)) if bool((states[z] > states[0]).any())]
        weights[1, states[others[0]] > states[0]] = -torch.inf
    price = torch.randn(3, *structure.shape, generator=g, dtype=torch.float64)

    def f(z: Tensor) -> Tensor:
        inside = structure.from_one_hot(z)
        assert bool(structure.is_feasible(inside).all())
        return (inside * price).flatten(-len(structure.shape)).sum(-1) ** 2

    leaf = weights.clone().requires_grad_()
    loss = Exact()(Gibbs(leaf, structure), f).loss
    (found,) = torch.autograd.grad(loss.sum(), leaf)

    free = weights.masked_fill(weights == -torch.inf, -1e4).requires_grad_()
    q = (free.flatten(1) @ states.flatten(1).T).softmax(-1)
    expected = (q * (price.flatten(1) @ states.flatten(1).T) ** 2).sum(-1)
    assert torch.allclose(loss, expected)
    gradient = torch.autograd.grad(expected.sum(), free)[0]
    assert torch.allclose(found, gradient, atol=1e-10)


def test_sets_beyond_all_bits() -> None:
    weights = torch.zeros(2, 24, requires_grad=True)
    structure = Subsets(24, 2)
    loss = Exact()(Gibbs(weights, structure), lambda z: z[..., 0, 1]).loss
    assert torch.allclose(loss, torch.full((2,), 1 / 12))
    with pytest.raises(
        ValueError, match=r"^enumeration of Subsets\(24, 2\) needs 276 states, the "
    ):
        Exact(max_states=200)(Gibbs(weights, structure), lambda z: z[..., 0, 1])
    with pytest.raises(ValueError, match=r"needs 137,846,528,820 states, the limit is 65,536"):
        Exact()(Gibbs(torch.zeros(2, 40), Subsets(40, 20)), lambda z: z[..., 0, 1])


def test_what_has_sets_or_potentials_of_problems_goes_through_all() -> None:
    for structure in (Subsets(4, torch.tensor([1, 2])), Chain(4, 2, torch.eye(2))):
        assert all_states(structure, 100) is None
        weights = torch.zeros(2, *structure.shape)
        Exact()(Gibbs(weights, structure), lambda z: z[..., 0, 1])


def test_a_table_is_used() -> None:
    weights, cost = torch.zeros(2, 5, requires_grad=True), torch.rand(2, 5)
    q, known = Gibbs(weights, Subsets(5, 2)), LinearCost(cost, binary=True)
    table = Exact()(q, known).loss
    assert torch.allclose(table, Exact()(q, lambda z: known(z)).loss)


def test_structures_without_sums_are_refused() -> None:
    cases: list[tuple[Any, str]] = [(Tours(5), "Tours"), (3, "3")]
    for wrong, got in cases:
        with pytest.raises(
            TypeError, match=rf"^structure must be a Structure with sums, got .*{got}"
        ):
            all_states(wrong, 10)
    with pytest.raises(ValueError, match=r"^max_states must be an integer of at least 1"):
        all_states(Subsets(3, 1), 0)
