"""Assignments and orders."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from structure_conformance import Case, StructureConformance

from directmax.structures import Matching, Ranking


class TestMatching(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            Case(Matching(n, m), lambda z, p: (z.sum(0) <= 1).all() and (z.sum(1) == 1).all())
            for n, m in ((1, 1), (3, None), (2, 4), (4, 4))
        ]


def test_larger_ones_as_scipy() -> None:
    weights = torch.randn(20, 15, 25, dtype=torch.float64).round(decimals=1)
    found = (Matching(15, 25).argmax(weights) * weights).sum((-2, -1))
    best = [w[linear_sum_assignment(w, maximize=True)].sum() for w in weights.numpy()]
    torch.testing.assert_close(found, torch.tensor(best, dtype=torch.float64))


def test_ranks_are_those_of_a_sort() -> None:
    weights = torch.randn(2, 5, 4)
    ranking, ranks = Ranking(4), Ranking(4).argmax(weights)
    assert torch.equal(ranks, weights.argsort(-1).argsort(-1).float())
    assert bool(ranking.is_feasible(ranks).all())
    assert not bool(ranking.is_feasible(ranks.clamp_min(1)).any())
    one_hot = ranking.argmax_potentials(ranking.potentials(weights))
    assert torch.equal(one_hot, ranking.one_hot(ranks))
    torch.testing.assert_close(
        ranking.score(weights, ranks), (ranking.potentials(weights) * one_hot).sum((-2, -1))
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Matching(0),
        lambda: Matching(3, 2),
        lambda: Matching(2.0),
        lambda: Ranking(0),
        lambda: Ranking(2).max_marginals(torch.zeros(1, 2)),
        lambda: Ranking(2).argmax(torch.full((1, 2), -torch.inf)),
        lambda: Ranking(2).log_partition(torch.zeros(1, 2)),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_what_inference_keeps_serves_training() -> None:
    matching = Matching(4, 6)  # of sizes that no other test has
    with torch.inference_mode():
        matching.log_partition(torch.zeros(1, *matching.shape))
    scores = torch.zeros(1, *matching.shape, requires_grad=True)
    matching.log_partition(scores).sum().backward()
    assert scores.grad is not None
    assert torch.allclose(scores.grad.sum(), torch.tensor(4.0))


def test_the_compiler_leaves_the_kernel_as_it_is() -> None:
    """It looked into the kernel, and ended with an error of its own."""
    matching, scores = Matching(3, 3), torch.randn(2, 3, 3)
    torch.compiler.reset()
    argmax = torch.compile(lambda w: matching.argmax(w, validate=False), backend="eager")
    assert torch.equal(argmax(scores), matching.argmax(scores))
    torch.compiler.reset()
