"""What every `PairwiseSolver` must do. A solver's tests are a subclass that says which it is.

class TestMySolver(PairwiseConformance):
    solver = MySolver
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax.solvers import PairwiseSolver, Solution, Status


@dataclass
class PairwiseProblem:
    """unary `(*s, b, n, 2)`, pairwise `(b, P)`."""

    unary: Tensor
    pairwise: Tensor

    def potential(self, z: Tensor) -> Tensor:
        """The potential of bits `(*s, b, n)`, in float64, term by term."""
        unary, pairwise = self.unary.detach().double(), self.pairwise.detach().double()
        n = unary.shape[-2]
        value = torch.zeros(unary.shape[:-2], dtype=torch.float64)
        for i in range(n):
            value += torch.where(z[..., i].bool(), unary[..., i, 1], unary[..., i, 0])
        for p, (i, j) in enumerate(itertools.combinations(range(n), 2)):
            value += pairwise[:, p] * (z[..., i] * z[..., j])
        return value

    def best(self) -> Tensor:
        """The largest potential of each problem, by brute force."""
        shape = self.unary.shape[:-1]
        every = [
            self.potential(torch.tensor(code, dtype=torch.float64).expand(shape))
            for code in itertools.product((0, 1), repeat=shape[-1])
        ]
        return torch.stack(every).amax(0)

    def row(self, index: int) -> PairwiseProblem:
        """One problem of the batch, as a batch."""
        part = slice(index, index + 1)
        return PairwiseProblem(self.unary[..., part, :, :], self.pairwise[part])


class PairwiseConformance:
    """Inherit, and set `solver`."""

    solver: ClassVar[type[PairwiseSolver]]
    supermodular: ClassVar[bool] = False
    """Whether it takes pairwise potentials of 0 or more only."""
    batches = st.tuples(st.lists(st.integers(0, 3), max_size=2), st.integers(0, 3))
    """Leading sample dimensions, and b."""
    variables = st.integers(1, 6)

    def make(self) -> PairwiseSolver:
        reason = self.solver.missing()
        if reason is not None:
            pytest.skip(reason)
        return self.solver()

    def problem(self, unary: Tensor, pairwise: Tensor) -> PairwiseProblem:
        return PairwiseProblem(unary, pairwise.abs() if self.supermodular else pairwise)

    def normal(
        self,
        n: int,
        *,
        samples: tuple[int, ...] = (),
        batch: int = 3,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
        size: float = 1.0,
    ) -> PairwiseProblem:
        g = torch.Generator().manual_seed(seed)
        unary = torch.randn(*samples, batch, n, 2, generator=g, dtype=torch.float64)
        pairwise = torch.randn(batch, n * (n - 1) // 2, generator=g, dtype=torch.float64)
        if self.supermodular:  # else all variables would be on
            unary[..., 1] -= n / 3
        return self.problem((size * unary).to(dtype), (size * pairwise).to(dtype))

    def check(self, problem: PairwiseProblem) -> Solution:
        """Solve, and compare with brute force."""
        solution = self.make()(problem.unary, problem.pairwise)
        unary, wide = problem.unary, torch.promote_types(problem.unary.dtype, torch.float32)
        assert solution.status is Status.OPTIMAL
        assert solution.value.shape == unary.shape
        assert solution.value.dtype == unary.dtype
        assert solution.value.device == unary.device
        assert not solution.value.requires_grad
        assert not solution.objective.requires_grad
        assert solution.objective.shape == unary.shape[:-2]
        assert solution.objective.dtype == wide
        assert ((solution.value == 0) | (solution.value == 1)).all()
        assert (solution.value.sum(-1) == 1).all()
        if unary.numel():
            entries = torch.cat([unary.detach().flatten(), problem.pairwise.detach().flatten()])
            size = unary.shape[-2] ** 2 * float(entries.double().abs().max())
            close = {"rtol": 0, "atol": 4 * torch.finfo(wide).eps * size}
            reached = problem.potential(solution.value[..., 1].double())
            torch.testing.assert_close(solution.objective.double(), reached, **close)
            torch.testing.assert_close(reached, problem.best(), **close)
        return solution

    @given(
        batches=batches,
        n=variables,
        seed=st.integers(0, 2**31),
        dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
        size=st.sampled_from([1.0, 1e-6, 1e6]),
    )
    def test_reaches_the_brute_force_optimum(
        self,
        batches: tuple[list[int], int],
        n: int,
        seed: int,
        dtype: torch.dtype,
        size: float,
    ) -> None:
        samples, batch = batches
        self.check(
            self.normal(n, samples=(*samples,), batch=batch, seed=seed, dtype=dtype, size=size)
        )

    @given(n=variables, seed=st.integers(0, 2**31))
    def test_ties(self, n: int, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        unary = torch.randint(-1, 2, (2, n, 2), generator=g).double()
        pairwise = torch.randint(-1, 2, (2, n * (n - 1) // 2), generator=g).double()
        self.check(self.problem(unary, pairwise))

    @pytest.mark.parametrize("level", [0.0, 0.25, -0.3])
    def test_all_equal(self, level: float) -> None:
        unary = torch.full((3, 5, 2), level, dtype=torch.float64)
        self.check(self.problem(unary, torch.full((3, 10), level, dtype=torch.float64)))
        unary[..., 1] = -2 * level
        self.check(self.problem(unary, torch.full((3, 10), level, dtype=torch.float64)))

    def test_one_variable(self) -> None:
        self.check(self.normal(1, batch=5))

    def test_no_coupling(self) -> None:
        unary = self.normal(6).unary
        solution = self.check(PairwiseProblem(unary, torch.zeros(3, 15, dtype=torch.float64)))
        assert torch.equal(solution.value.argmax(-1), unary.argmax(-1))

    def test_some_pairs_are_not_coupled(self) -> None:
        problem = self.normal(6)
        problem.pairwise[:, ::2] = 0
        self.check(problem)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("size", [1e-6, 1e6])
    def test_large_and_small_potentials(self, dtype: torch.dtype, size: float) -> None:
        self.check(self.normal(6, dtype=dtype, size=size))

    def test_large_beside_small(self) -> None:
        problem = self.normal(5)
        problem.unary[:, ::2] *= 1e-6
        problem.pairwise[:, 1] *= 1e6
        self.check(problem)

    @pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
    def test_empty(self, shape: tuple[int, ...]) -> None:
        solution = self.check(self.normal(3, samples=shape[:-1], batch=shape[-1]))
        assert solution.objective.shape == shape

    def test_samples_share_the_couplings_of_their_problem(self) -> None:
        problem = self.normal(5, samples=(2, 3), batch=4)
        together = self.check(problem)
        for s, t, b in itertools.product(range(2), range(3), range(4)):
            part = problem.row(b)
            alone = self.check(PairwiseProblem(part.unary[s, t], part.pairwise))
            assert torch.equal(alone.value[0], together.value[s, t, b])

    def test_the_order_of_the_pairs(self) -> None:
        """Three variables, one strong pair: only the right order of the pairs finds it."""
        unary = torch.tensor([0.0, -1.0], dtype=torch.float64).expand(3, 3, 2)
        solution = self.check(PairwiseProblem(unary, 3 * torch.eye(3, dtype=torch.float64)))
        assert solution.value.argmax(-1).tolist() == [[1, 1, 0], [1, 0, 1], [0, 1, 1]]

    def test_leaves_potentials_with_gradient_alone(self) -> None:
        problem = self.normal(4)
        tensors = problem.unary.requires_grad_(), problem.pairwise.requires_grad_()
        before = [tensor.detach().clone() for tensor in tensors]
        self.check(problem)
        for tensor, old in zip(tensors, before, strict=True):
            assert torch.equal(tensor.detach(), old)
            assert tensor.grad is None

    def test_takes_strided_potentials(self) -> None:
        problem = self.normal(4, batch=6)
        self.check(PairwiseProblem(problem.unary[::2].flip(1), problem.pairwise[::2]))
        across = problem.unary.transpose(0, 1).contiguous().transpose(0, 1)
        self.check(PairwiseProblem(across, problem.pairwise.T.contiguous().T))

    def test_the_same_twice(self) -> None:
        problem = self.problem(torch.zeros(4, 6, 2), torch.ones(4, 15).neg())  # many maximisers
        assert torch.equal(self.check(problem).value, self.check(problem).value)

    def test_several_threads_at_once(self) -> None:
        solver = self.make()
        problems = [self.normal(7, batch=4, seed=seed) for seed in range(8)]
        alone = [solver(p.unary, p.pairwise) for p in problems]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda p: solver(p.unary, p.pairwise), problems))
        for one, other in zip(alone, together, strict=True):
            assert torch.equal(one.value, other.value)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
    def test_refuses_potentials_that_are_not_finite(self, bad: float) -> None:
        solver, problem = self.make(), self.normal(3)
        broken = problem.pairwise.clone()
        broken[1, 2] = bad
        with pytest.raises(ValueError, match=r"pairwise must be finite, .* at index \(1, 2\)"):
            solver(problem.unary, broken)
        if bad == -float("inf"):
            return  # a forbidden value
        broken = problem.unary.clone()
        broken[2, 1, 0] = bad
        with pytest.raises(ValueError, match=r"unary must be finite.* at index \(2, 1, 0\)"):
            solver(broken, problem.pairwise)

    def test_refuses_wrong_shapes(self) -> None:
        solver = self.make()
        for unary, pairwise in [
            ((2, 3, 3), (2, 3)),
            ((3, 2), (1, 3)),
            ((2, 0, 2), (2, 0)),
            ((2, 3, 2), (2, 4)),
            ((2, 3, 2), (1, 3)),
            ((2, 3, 2), (2, 3, 3)),
        ]:
            with pytest.raises(ValueError, match="must"):
                solver(torch.zeros(unary), torch.zeros(pairwise))

    def test_refuses_wrong_types(self) -> None:
        solver = self.make()
        with pytest.raises(TypeError, match=r"unary must be a torch\.Tensor, got list"):
            solver([[1.0]], torch.zeros(1, 0))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="pairwise must be floating point"):
            solver(torch.zeros(1, 2, 2), torch.zeros(1, 1, dtype=torch.long))
        with pytest.raises(ValueError, match="one type"):
            solver(torch.zeros(1, 2, 2), torch.zeros(1, 1, dtype=torch.float64))
