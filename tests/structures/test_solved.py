"""Structures that a solver stands behind."""

from __future__ import annotations

import itertools

import pytest
import torch
from structure_conformance import Case, StructureConformance
from torch import Tensor

from directmax.solvers import Status
from directmax.structures import Milp, Pairwise

PAIRS = torch.randn(3, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
MATRIX = torch.tensor([[1.0, 2.0, 1.0, -1.0], [1.0, 1.0, 1.0, 1.0]])
LOWER, UPPER = torch.tensor([-torch.inf, 1.0]), torch.tensor([2.0, 3.0])


def couplings(z: Tensor, problem: int) -> float:
    pairs = itertools.combinations(range(4), 2)
    return sum(float(h * z[i] * z[j]) for h, (i, j) in zip(PAIRS[problem], pairs, strict=True))


class TestPairwise(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            Case(Pairwise(4, PAIRS, solver), lambda z, p: True, couplings)
            for solver in ("auto", "branch-and-bound")
        ]


class TestMilp(StructureConformance):
    def cases(self) -> list[Case]:
        pytest.importorskip("highspy")

        def allowed(z: Tensor, problem: int) -> bool:
            sums = MATRIX.double() @ z
            return bool(((sums >= LOWER) & (sums <= UPPER)).all())

        return [Case(Milp(MATRIX, LOWER, UPPER), allowed)]


def test_gradients_with_respect_to_the_pairs() -> None:
    z = (torch.rand(2, 3, 4) < 0.5).double()
    weights, leaf = torch.zeros(2, 3, 4).double(), PAIRS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda h: Pairwise(4, h).score(weights, z), leaf)


def test_a_status_says_what_is_proved() -> None:
    pytest.importorskip("highspy")
    weights = torch.randn(2, 3, 4)
    solution = Milp(MATRIX, LOWER, UPPER).solve(weights)
    assert solution.status is Status.OPTIMAL
    assert torch.equal(solution.value, Milp(MATRIX, LOWER, UPPER).argmax(weights))
    torch.testing.assert_close(solution.objective, (solution.value * weights).sum(-1))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Pairwise(4, PAIRS[:, :5]),
        lambda: Pairwise(4, PAIRS.long()),
        lambda: Pairwise(4, PAIRS, "best"),
        lambda: Milp(MATRIX[0]),
        lambda: Milp(MATRIX, UPPER[:1]),
        lambda: Milp(MATRIX, torch.tensor([torch.nan, 0.0])),
        lambda: Milp(MATRIX, time_limit=0),
        lambda: Milp(MATRIX, LOWER + 9, UPPER).solve(torch.zeros(1, 4)),
        lambda: Milp(MATRIX, LOWER + 9, UPPER).argmax(torch.zeros(1, 4)),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    pytest.importorskip("highspy")
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)
