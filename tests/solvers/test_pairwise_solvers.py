"""All solvers of pairwise binary problems: the conformance suite, and against each other."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from pairwise_conformance import PairwiseConformance
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow
from torch import Tensor

from directmax._precision import widened
from directmax.solvers import (
    SOLVERS,
    Auto,
    BranchAndBound,
    Cplex,
    Exhaustive,
    Highs,
    MaxFlow,
    PairwiseSolver,
    PyMaxflow,
    Status,
)
from directmax.solvers._compiled import CompiledSolver

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


@pytest.mark.parametrize("n", [63, 64, 65, 130])
def test_sets_of_more_nodes_than_a_word_has_bits(n: int) -> None:
    """Against another maximum flow, of integers: Σ e_i z_i − Σ p_ij/2 |z_i − z_j| is a cut."""
    g = torch.Generator().manual_seed(n)
    pairwise = 2 * torch.randint(-8, 3, (1, n * (n - 1) // 2), generator=g).clamp_min(0)
    first, second = torch.triu_indices(n, n, 1)
    total = torch.zeros(n, dtype=torch.long)
    total = total.index_add(0, first, pairwise[0] // 2).index_add(0, second, pairwise[0] // 2)
    excess = torch.randint(-n // 2, n // 2, (n,), generator=g)
    field = (excess - total).double()
    found = MaxFlow()(torch.stack([torch.zeros(n), field], -1).unsqueeze(0), pairwise.double())
    capacity = np.zeros((n + 2, n + 2), np.int32)
    capacity[first, second] = capacity[second, first] = pairwise[0] // 2
    capacity[n, :n], capacity[:n, n + 1] = excess.clamp_min(0), (-excess).clamp_min(0)
    flow = maximum_flow(csr_matrix(capacity), n, n + 1).flow_value
    assert float(found.objective) == int(excess.clamp_min(0).sum()) - flow
    assert 0 < float(found.value[..., 1].mean()) < 1
    assert 0 < flow < int(excess.clamp_min(0).sum())


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("solver", [Exhaustive, MaxFlow, BranchAndBound, Auto])
def test_what_is_compiled_around_a_search_changes_no_digit(
    solver: type[CompiledSolver], kind: torch.dtype
) -> None:
    unary, pairwise = supermodular(14, 6)
    unary, pairwise = unary.to(kind).expand(3, -1, -1, -1).clone(), pairwise.to(kind)
    unary[1:] += torch.arange(2).view(-1, 1, 1, 1)
    unary[2, 3, 4, 0] = -torch.inf if kind is torch.float64 else 3
    found = solver()(unary, pairwise)
    plain = PairwiseSolver._solution(solver(), widened(unary), widened(pairwise))
    assert torch.equal(found.objective, plain.objective)
    assert torch.equal(found.value, plain.value.to(kind))


def test_a_compiled_solver_with_a_search_of_ones_own_uses_it() -> None:
    class Nothing(MaxFlow):
        def _maximise(self, field: Tensor, pairwise: Tensor) -> tuple[Tensor, Status]:
            return torch.zeros_like(field, dtype=torch.bool), Status.TIME_LIMIT

    found = Nothing()(*supermodular(8, 5))
    assert found.status is Status.TIME_LIMIT
    assert not found.value[..., 1].any()


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
