"""Pools of solutions that grow, multiplicative noise, and tasks of tours and portfolios."""

from __future__ import annotations

import pytest
import torch

from directmax.objectives import (
    SolutionPool,
    fenchel_young,
    portfolio_task,
    regret,
    travelling_salesman_task,
)
from directmax.structures import Paths, Ranking, Subsets

PAIRS = Subsets(5, 2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_pool_grows_until_it_has_all() -> None:
    pool = SolutionPool(PAIRS, torch.tensor([[1.0, 1, 0, 0, 0], [1, 1, 0, 0, 0]]), share=1.0)
    assert len(pool.listed.states) == 1
    g = seeded()
    for _ in range(20):
        costs = torch.randn(16, 5, generator=g)
        listed = pool.grown(costs, generator=g)
        assert bool(PAIRS.is_feasible(listed.states).all())
        best = (PAIRS.argmax(-costs) * costs).sum(-1)
        torch.testing.assert_close((listed.argmax(-costs) * costs).sum(-1), best)
    assert len(listed.states) == 10


def test_a_share_of_the_calls_solves() -> None:
    class Counted(Subsets):
        calls = 0

        def _argmax(self, rows, masked):
            Counted.calls += 1
            return super()._argmax(rows, masked)

    pool = SolutionPool(Counted(5, 2), torch.tensor([[1.0, 1, 0, 0, 0]]), share=0.2)
    g = seeded()
    for _ in range(500):
        pool.grown(torch.randn(2, 5, generator=g), generator=g)
    assert 60 < Counted.calls < 140
    never = SolutionPool(PAIRS, torch.tensor([[1.0, 1, 0, 0, 0]]), share=0.0)
    assert len(never.grown(torch.zeros(3, 5)).states) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SolutionPool(PAIRS, torch.ones(1, 5)),
        lambda: SolutionPool(PAIRS, torch.ones(1, 4)),
        lambda: SolutionPool(PAIRS, [[1, 1, 0, 0, 0]]),
        lambda: SolutionPool(Ranking(3), torch.zeros(1, 3)),
        lambda: SolutionPool(Subsets(3, torch.tensor([1, 2])), torch.eye(3)),
        lambda: SolutionPool(PAIRS, PAIRS.argmax(torch.zeros(1, 5)), share=1.5),
        lambda: SolutionPool(PAIRS, PAIRS.argmax(torch.zeros(1, 5))).grown(torch.zeros(1, 4)),
        lambda: portfolio_task(3, assets=4, chosen=5),
        lambda: portfolio_task(3, noise=-1.0),
        lambda: travelling_salesman_task(3, cities=17),
        lambda: travelling_salesman_task(3, noise=1.0),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_multiplicative_noise_keeps_signs_and_has_the_gradient_of_its_mean() -> None:
    grid = Paths.grid(3, 3, neighbours="8", on="vertices", clip=False)  # Dijkstra: costs above 0
    costs = torch.rand(4, *grid.shape, generator=seeded(), dtype=torch.float64) + 0.1
    weights, label = (-costs).requires_grad_(), grid.argmax(-torch.ones_like(costs))

    def loss(at: torch.Tensor) -> torch.Tensor:
        settings = {"noise": "multiplicative", "scale": 0.8, "num_samples": 2000}
        return fenchel_young(at, label, grid, generator=seeded(1), **settings).sum()

    value = loss(weights)
    (found,) = torch.autograd.grad(value, weights)
    step = 1e-6 * torch.randn(costs.shape, generator=seeded(2), dtype=torch.float64)
    change = float(loss(weights.detach() + step) - loss(weights.detach() - step)) / 2
    assert change == pytest.approx(float((found * step).sum()), rel=1e-4)
    best = (weights * grid.argmax(weights.detach())).sum() - (weights * label).sum()
    assert bool(value > best)  # the mean of a maximum


def test_generated_tours_and_portfolios() -> None:
    for task in (
        travelling_salesman_task(50, cities=6, degree=3, noise=0.5, generator=seeded()),
        portfolio_task(50, assets=12, chosen=4, degree=3, generator=seeded()),
    ):
        assert task.features.shape == (50, 5)
        assert float(regret(task.costs, task.costs, task.structure).abs().max()) == 0
        assert float(regret(-task.costs, task.costs, task.structure).min()) > 0
        design = torch.cat([task.features, torch.ones(50, 1)], 1)
        fitted = design @ torch.linalg.lstsq(design, task.costs).solution
        error = ((fitted - task.costs) ** 2).sum() / ((task.costs - task.costs.mean(0)) ** 2).sum()
        assert 0.01 < float(error) < 0.9  # features say something, and not all
