"""All solvers of pairwise binary problems: the conformance suite, and against each other."""

from __future__ import annotations

import re

import pytest
import torch
from pairwise_conformance import PairwiseConformance
from torch import Tensor

from directmax.solvers import (
    SOLVERS,
    BranchAndBound,
    Cplex,
    Exhaustive,
    Highs,
    MaxFlow,
    PairwiseSolver,
    PyMaxflow,
    Status,
)

for each in SOLVERS.values():  # a suite for every one that is declared
    suite = f"Test{each.class_name}"
    globals()[suite] = type(
        suite,
        (PairwiseConformance,),
        {"solver": each.cls, "supermodular": each.supermodular_only, "__module__": __name__},
    )


def make(solver: type[PairwiseSolver]) -> PairwiseSolver:
    reason = solver.missing()
    if reason is not None:
        pytest.skip(reason)
    return solver()


def normal(n: int, batch: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    unary = torch.randn(batch, n, 2, generator=g, dtype=torch.float64)
    return unary, torch.randn(batch, n * (n - 1) // 2, generator=g, dtype=torch.float64)


def supermodular(n: int, batch: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """With fields that leave neither all on nor all off."""
    unary, pairwise = normal(n, batch, seed)
    unary *= n / 4
    unary[..., 1] -= 0.4 * n
    return unary, pairwise.abs()


@pytest.mark.parametrize("name", SOLVERS)
def test_the_registry(name: str) -> None:
    solver = SOLVERS[name].cls
    assert (solver.name, solver.supermodular_only) == (name, SOLVERS[name].supermodular_only)
    unary, pairwise = supermodular(8, 5)
    solution = make(solver)(unary, pairwise)
    best = Exhaustive()(unary, pairwise).objective
    torch.testing.assert_close(solution.objective, best, rtol=0, atol=1e-12)
    assert 0 < float(solution.value[..., 1].mean()) < 1


@pytest.mark.parametrize("solver", [BranchAndBound, Highs, Cplex])
def test_fifteen_variables(solver: type[PairwiseSolver]) -> None:
    unary, pairwise = normal(15, 3)
    best = Exhaustive()(unary, pairwise).objective
    found = make(solver)(unary, pairwise).objective
    torch.testing.assert_close(found, best, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("solver", "variables"), [(Highs, 24), pytest.param(Cplex, 30, marks=pytest.mark.slow)]
)
def test_more_variables_than_are_enumerated(solver: type[PairwiseSolver], variables: int) -> None:
    unary, pairwise = normal(variables, 1)
    best = BranchAndBound()(unary, pairwise)
    found = make(solver)(unary, pairwise)
    assert found.status is best.status is Status.OPTIMAL
    torch.testing.assert_close(found.objective, best.objective, rtol=0, atol=1e-11)


@pytest.mark.parametrize("solver", [BranchAndBound, Highs, Cplex, PyMaxflow])
def test_thirty_supermodular_variables(solver: type[PairwiseSolver]) -> None:
    unary, pairwise = supermodular(30, 5)
    best = MaxFlow()(unary, pairwise)
    found = make(solver)(unary, pairwise)
    torch.testing.assert_close(found.objective, best.objective, rtol=0, atol=1e-11)
    assert 0 < float(best.value[..., 1].mean()) < 1


@pytest.mark.parametrize("solver", [MaxFlow, PyMaxflow])
def test_a_negative_coupling_is_named(solver: type[PairwiseSolver]) -> None:
    pairwise = torch.ones(8, 15)
    pairwise[7, 11] = -0.3  # the pairs of 0: 0…4, of 1: 5…8, of 2: 9 (2, 3), 10, 11 (2, 5)
    line = (
        f"{solver.name} needs pairwise potentials of 0 or more, got -0.3 for variables (2, 5) of "
        "problem 7; choose 'exhaustive' or 'branch-and-bound'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        make(solver)(torch.zeros(8, 6, 2), pairwise)


def test_exhaustive_search_has_a_limit() -> None:
    with pytest.raises(ValueError, match="'exhaustive' takes at most 24 variables, got 25"):
        Exhaustive()(torch.zeros(1, 25, 2), torch.zeros(1, 300))
