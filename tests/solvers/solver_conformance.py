"""What every solver must do. A solver's tests are a subclass that says how to call it.

    class TestMySolver(SolverConformance):
        def solve(self, problem):
            return my_solver(problem.unary, problem.pairwise)

A solver of problems with pairs of variables also overrides `make_problem`, to draw the pairwise
potentials, and `sizes`, where it is limited to some n and k.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax.solvers import Solution, Status


@dataclass
class Problem:
    """Potentials of a batch: unary `(*s, b, n, k)`, pairwise `(*s, b, n, n, k, k)` or None."""

    unary: Tensor
    pairwise: Tensor | None = None

    def potential(self, z: Tensor) -> Tensor:
        """The potential of one-hot assignments, `(*s, b)`, in float64."""
        z = z.double()
        value = (self.unary.double() * z).sum((-2, -1))
        if self.pairwise is not None:
            value = value + torch.einsum("...ik,...ijkl,...jl->...", z, self.pairwise.double(), z)
        return value

    def best(self) -> Tensor:
        """The largest potential of each problem, by brute force."""
        n, k = self.unary.shape[-2:]
        codes = torch.tensor(list(itertools.product(range(k), repeat=n)))
        states = torch.eye(k, dtype=torch.float64)[codes]
        every = torch.stack([self.potential(state.expand(self.unary.shape)) for state in states])
        return every.amax(0)


class SolverConformance:
    """Inherit, and override `solve`."""

    sizes = st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(2, 4))
    """(b, n, k); k^n brute-force states."""

    def solve(self, problem: Problem) -> Solution:
        raise NotImplementedError

    def make_problem(self, unary: Tensor) -> Problem:
        """A problem with these unary potentials."""
        return Problem(unary)

    def check(self, problem: Problem) -> Solution:
        solution = self.solve(problem)
        unary = problem.unary
        assert solution.status is Status.OPTIMAL
        assert solution.value.shape == unary.shape
        assert solution.value.dtype == unary.dtype
        assert solution.value.device == unary.device
        assert not solution.value.requires_grad
        assert not solution.objective.requires_grad
        assert solution.objective.shape == unary.shape[:-2]
        assert solution.objective.dtype == unary.dtype
        assert ((solution.value == 0) | (solution.value == 1)).all()
        assert (solution.value.sum(-1) == 1).all()
        if unary.numel():
            size = max(1.0, float(unary.detach().abs().max())) * unary.shape[-2] ** 2
            close = {"rtol": 0, "atol": 8 * torch.finfo(unary.dtype).eps * size}
            reached = problem.potential(solution.value)
            torch.testing.assert_close(solution.objective.double(), reached, **close)
            torch.testing.assert_close(reached, problem.best(), **close)
        return solution

    @given(data=st.data(), seed=st.integers(0, 2**31), wide=st.booleans())
    def test_reaches_the_brute_force_optimum(
        self, data: st.DataObject, seed: int, wide: bool
    ) -> None:
        shape = data.draw(self.sizes)
        g = torch.Generator().manual_seed(seed)
        dtype = torch.float64 if wide else torch.float32
        self.check(self.make_problem(torch.randn(shape, generator=g, dtype=dtype)))

    @given(data=st.data(), seed=st.integers(0, 2**31))
    def test_ties(self, data: st.DataObject, seed: int) -> None:
        shape = data.draw(self.sizes)
        g = torch.Generator().manual_seed(seed)
        self.check(self.make_problem(torch.randint(-1, 2, shape, generator=g).double()))

    def test_all_equal(self) -> None:
        problem = self.make_problem(torch.full((3, 2, 2), 0.25, dtype=torch.float64))
        first, second = self.check(problem), self.check(problem)
        assert torch.equal(first.value, second.value)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("size", [1e-6, 1e6])
    def test_large_and_small_potentials(self, dtype: torch.dtype, size: float) -> None:
        g = torch.Generator().manual_seed(5)
        self.check(self.make_problem(size * torch.randn(4, 3, 2, generator=g, dtype=dtype)))
        signs = torch.randint(0, 2, (4, 3, 2), generator=g).to(dtype) * 2 - 1
        self.check(self.make_problem(size * signs))

    def test_one_variable(self) -> None:
        g = torch.Generator().manual_seed(6)
        self.check(self.make_problem(torch.randn(5, 1, 2, generator=g, dtype=torch.float64)))

    def test_empty_batch(self) -> None:
        assert self.check(self.make_problem(torch.zeros(0, 3, 2))).objective.shape == (0,)

    def test_problems_of_a_batch_do_not_touch(self) -> None:
        g = torch.Generator().manual_seed(7)
        problem = self.make_problem(torch.randn(4, 3, 2, generator=g, dtype=torch.float64))
        together = self.check(problem)
        for row in range(4):
            pairwise = None if problem.pairwise is None else problem.pairwise[row : row + 1]
            alone = self.check(Problem(problem.unary[row : row + 1], pairwise))
            assert torch.equal(alone.value[0], together.value[row])

    def test_takes_potentials_with_gradient_and_leaves_them_alone(self) -> None:
        unary = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(8)).requires_grad_()
        before = unary.detach().clone()
        self.check(self.make_problem(unary))
        assert torch.equal(unary.detach(), before)
        assert unary.grad is None
