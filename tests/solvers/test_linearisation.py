"""Integer programs: the linearisation, what the packages return, limits, missing packages."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys

import numpy as np
import pytest
import torch

from directmax.solvers import Cplex, Highs, PairwiseSolver, PyMaxflow, Status
from directmax.solvers._linearisation import LinearisedSolver, climb, linearise, to_bits


def make(solver: type[LinearisedSolver], **settings: float) -> LinearisedSolver:
    reason = solver.missing()
    if reason is not None:
        pytest.skip(reason)
    return solver(**settings)


def test_the_best_products_are_the_products() -> None:
    """For every binary z, the largest cost over the allowed y is the potential."""
    field = np.array([1.0, -2.0, 0.5])
    pairwise = np.array([3.0, -1.5, 0.0])
    program = linearise(field, pairwise)
    assert len(program.cost) == 5  # three variables, two products: the third potential is 0
    scale = field[0] / program.cost[0]
    assert 0.5 <= abs(program.cost).max() < 1
    matrix = np.zeros((len(program.upper), 5))
    for row, part in enumerate(itertools.pairwise(program.start)):
        matrix[row, program.column[slice(*part)]] = program.entry[slice(*part)]
    for z in itertools.product((0.0, 1.0), repeat=3):
        costs = [
            scale * program.cost @ (*z, *y)
            for y in itertools.product((0.0, 0.5, 1.0), repeat=2)
            if (matrix @ (*z, *y) <= program.upper).all()
        ]
        assert max(costs) == field @ z + pairwise @ (z[0] * z[1], z[0] * z[2], z[1] * z[2])


def test_values_are_rounded_not_truncated() -> None:
    assert to_bits(np.array([0.9999999, 1.0000001, -1e-7, 1e-7])).tolist() == [1, 1, 0, 0]
    with pytest.raises(RuntimeError, match=r"not binary: \[0.5\]"):
        to_bits(np.array([0.5]))
    with pytest.raises(RuntimeError, match="not binary"):
        to_bits(np.array([np.nan]))


@pytest.mark.parametrize("solver", [Highs, Cplex])
def test_a_solver_rounds(solver: type[LinearisedSolver], monkeypatch: pytest.MonkeyPatch) -> None:
    almost = np.array([0.9999999, 0.0000001])
    monkeypatch.setattr(solver, "_solve", lambda *_: (almost, Status.OPTIMAL))
    unary, pairwise = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), torch.tensor([[-3.0]])
    assert make(solver)(unary, pairwise).value.argmax(-1).tolist() == [[1, 0]]


def test_climbing_ends_where_no_single_flip_gains() -> None:
    g = np.random.default_rng(0)
    i, j = np.triu_indices(8, 1)
    for _ in range(20):
        field, pairwise = g.normal(size=8), g.normal(size=28)
        bits = np.zeros(8, dtype=bool)
        climb(field, pairwise, bits)
        flipped = bits ^ np.eye(9, 8, dtype=bool)  # one bit in each row, none in the last
        values = flipped @ field + (flipped[:, i] & flipped[:, j]) @ pairwise
        assert values.argmax() == 8


@pytest.mark.parametrize("solver", [Highs, Cplex])
def test_the_time_limit_shows(solver: type[LinearisedSolver]) -> None:
    g = torch.Generator().manual_seed(1)
    unary = torch.randn(3, 30, 2, generator=g)
    pairwise = torch.randn(3, 435, generator=g)
    solution = make(solver, time_limit=0.05)(unary, pairwise)
    assert solution.status is Status.TIME_LIMIT
    assert (solution.value.sum(-1) == 1).all()
    assert (solution.objective > unary[..., 0].sum(-1)).all()  # better than all zeros


@pytest.mark.parametrize("solver", [Highs, Cplex])
def test_bad_settings(solver: type[LinearisedSolver]) -> None:
    make(solver)
    with pytest.raises(ValueError, match="time_limit must be a finite number above 0, got 0"):
        solver(time_limit=0)
    with pytest.raises(TypeError, match="time_limit must be a number above 0, got 'x'"):
        solver(time_limit="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("solver", [Highs, Cplex])
def test_a_failure_is_one_line(solver: type[LinearisedSolver]) -> None:
    ready = make(solver)
    program = linearise(np.ones(3), np.ones(3))
    broken = dataclasses.replace(program, upper=program.upper - 9)  # without a solution
    with pytest.raises(RuntimeError, match=f"^{solver.name} failed.*") as caught:
        ready._solve(broken, None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("solver", [Highs, Cplex])
def test_a_failure_reaches_the_caller_once(
    solver: type[LinearisedSolver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the batch is not tried, and the next call is not affected."""
    calls = []

    def fail(*_: object) -> None:
        calls.append(1)
        raise RuntimeError("out of paper")

    ready = make(solver)
    unary, pairwise = torch.zeros(50, 3, 2), torch.ones(50, 3)
    with monkeypatch.context() as patch:
        patch.setattr(solver, "_solve", fail)
        with pytest.raises(RuntimeError, match="out of paper"):
            ready(unary, pairwise)
    assert len(calls) <= torch.get_num_threads()
    assert ready(torch.zeros(1, 3, 2), torch.ones(1, 3)).objective.tolist() == [3.0]


def test_the_community_edition_says_its_limit() -> None:
    cplex = make(Cplex)
    n = 45
    unary, pairwise = torch.zeros(2, n, 2), torch.ones(2, n * (n - 1) // 2)
    try:
        with pytest.raises(ValueError, match="Community Edition") as caught:
            cplex(unary, pairwise)
    except pytest.fail.Exception:
        pytest.skip("a licensed edition of CPLEX is installed")
    assert str(caught.value) == (
        "cplex is installed as Community Edition, which takes at most 1000 variables and 1000 "
        "constraints; this problem, with n = 45, has 1035 and 1980: choose 'branch-and-bound' or "
        "'highs', or install a licensed edition"
    )


@pytest.mark.parametrize(
    ("solver", "module", "line"),
    [
        (Highs, "highspy", "highspy is not installed: pip install 'directmax[highs]'"),
        (Cplex, "cplex", "cplex is not installed: pip install 'directmax[cplex]'"),
        (PyMaxflow, "maxflow", "PyMaxflow is not installed: pip install 'directmax[maxflow]'"),
    ],
)
def test_a_missing_package_is_named(
    solver: type[PairwiseSolver], module: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert solver.missing() == line
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        solver()
