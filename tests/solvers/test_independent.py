"""Independent variables: the conformance suite, sample dimensions, and who wins a tie."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from solver_conformance import Problem, SolverConformance

from directmax.solvers import Solution, solve_independent


class TestSolveIndependent(SolverConformance):
    def solve(self, problem: Problem) -> Solution:
        return solve_independent(problem.unary)

    @given(
        st.lists(st.integers(1, 3), max_size=3),
        st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 3)),
    )
    def test_leading_sample_dimensions(
        self, leading: list[int], sizes: tuple[int, int, int]
    ) -> None:
        g = torch.Generator().manual_seed(0)
        unary = torch.randn(*leading, *sizes, generator=g, dtype=torch.float64)
        self.check(Problem(unary))

    def test_the_lowest_value_wins_a_tie(self) -> None:
        unary = torch.tensor([[[0.0, 2.0, 2.0], [1.0, 1.0, 1.0]]])
        assert solve_independent(unary).value.argmax(-1).tolist() == [[1, 0]]
