"""Branch and bound: sizes and shapes beyond brute force, limits, settings."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import Tensor

from directmax.solvers import BranchAndBound, Exhaustive, Status


def balanced(n: int, batch: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """No fields in terms of spins, so z and 1 − z are equally good: the hardest kind."""
    g = torch.Generator().manual_seed(seed)
    pairwise = torch.randn(batch, n * (n - 1) // 2, generator=g, dtype=torch.float64)
    i, j = torch.triu_indices(n, n, 1)
    unary = torch.zeros(batch, n, 2, dtype=torch.float64)
    unary[..., 1].index_add_(1, i, pairwise, alpha=-0.5)
    unary[..., 1].index_add_(1, j, pairwise, alpha=-0.5)
    return unary, pairwise


def same_optimum(unary: Tensor, pairwise: Tensor) -> None:
    best = Exhaustive()(unary, pairwise)
    found = BranchAndBound()(unary, pairwise)
    assert found.status is Status.OPTIMAL
    size = float(pairwise.abs().sum(-1).max() + unary.abs().sum((-2, -1)).max())
    torch.testing.assert_close(found.objective, best.objective, rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_without_fields(size: float) -> None:
    unary, pairwise = balanced(14, 100)
    same_optimum(size * unary, size * pairwise)


def test_strong_and_weak_fields() -> None:
    unary, pairwise = balanced(14, 100, seed=1)
    noise = torch.randn(unary.shape, generator=torch.Generator().manual_seed(2)).double()
    strength = torch.logspace(-8, 1, 100)[:, None, None]
    same_optimum(unary + strength * noise, pairwise)


def test_sparse_couplings() -> None:
    unary, pairwise = balanced(16, 30, seed=3)
    keep = torch.rand(pairwise.shape, generator=torch.Generator().manual_seed(4)) < 0.25
    same_optimum(unary, pairwise * keep)


@pytest.mark.parametrize("unit", [1.0, 0.1])
def test_small_integers(unit: float) -> None:
    """Ties everywhere. 0.1 has no exact multiples in floating point."""
    g = torch.Generator().manual_seed(5)
    unary = torch.randint(-2, 3, (50, 14, 2), generator=g).double()
    pairwise = torch.randint(-2, 3, (50, 91), generator=g).double()
    same_optimum(unit * unary, unit * pairwise)


@pytest.mark.parametrize("level", [1.0, 0.3])
def test_equal_potentials_take_few_nodes(level: float) -> None:
    """C(35, 17) assignments are equally good, which must not be tried one by one."""
    n = 35
    unary = torch.zeros(1, n, 2, dtype=torch.float64)
    unary[..., 1] = level * (n // 2)
    pairwise = torch.full((1, n * (n - 1) // 2), -level, dtype=torch.float64)
    solution = BranchAndBound(node_limit=100)(unary, pairwise)
    assert solution.status is Status.OPTIMAL
    on = n // 2
    best = level * on * (n // 2) - level * on * (on - 1) / 2
    torch.testing.assert_close(solution.objective.item(), best)


def search_alone(
    unary: Tensor, pairwise: Tensor, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tensor, int]:
    """Bits found without tabu search, which hides what the search would miss; and its nodes."""
    from directmax.solvers import _branch_and_bound_kernel as kernel

    def no_tabu(g: np.ndarray, couplings: np.ndarray, best: np.ndarray) -> float:
        best[:] = 1
        return float(g.sum() + 0.5 * couplings.sum())

    monkeypatch.setattr(kernel, "_tabu", no_tabu)
    monkeypatch.setattr(kernel, "_search", kernel._search.py_func)
    field = (unary[..., 1] - unary[..., 0]).numpy()
    bits, ended = np.empty(field.shape, np.uint8), np.empty((len(field), 2), np.int64)
    halt = np.zeros(1, np.int64)
    kernel.maximise.py_func(field, pairwise.numpy(), 0, len(field), 10**9, halt, bits, ended)
    assert (ended[:, 0] == kernel.OPTIMAL).all()
    return torch.from_numpy(bits), int(ended[:, 1].sum())


@pytest.mark.parametrize("kind", ["balanced", "fields", "integers", "tenths", "one sign"])
def test_the_search_needs_no_good_start(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unary, pairwise = balanced(13, 500, seed=9)
    if kind == "fields":
        unary += torch.randn(unary.shape, generator=torch.Generator().manual_seed(10)).double()
    if kind in ("integers", "tenths"):
        unary, pairwise = unary.round(), pairwise.round()
    if kind == "tenths":
        unary, pairwise = 0.1 * unary, 0.1 * pairwise
    if kind == "one sign":
        pairwise = -pairwise.abs()
        unary[..., 1] += 4
    bits, nodes = search_alone(unary, pairwise, monkeypatch)
    assert nodes > 500  # beyond the root
    i, j = torch.triu_indices(13, 13, 1)
    reached = torch.where(bits.bool(), unary[..., 1], unary[..., 0]).sum(-1)
    reached += (bits[:, i] * bits[:, j] * pairwise).sum(-1)
    best = Exhaustive()(unary, pairwise).objective
    torch.testing.assert_close(reached, best, rtol=0, atol=1e-11)


def test_the_bound_is_the_maximum_over_real_spins() -> None:
    from directmax.solvers import _branch_and_bound_bound as kernel

    rng = np.random.default_rng(11)
    n, m = 8, 5
    couplings = rng.normal(size=(n, n))
    couplings = (couplings + couplings.T) * (1 - np.eye(n))
    free, g = np.array([6, 0, 3, 5, 2]), rng.normal(size=m)
    among = couplings[np.ix_(free, free)]
    diagonal = np.abs(among).sum(1) + rng.random(m)
    inverse, x = np.empty((n, n)), np.empty(n)
    definite, log_det, value = kernel._evaluate(couplings, free, m, g, diagonal, inverse, x)
    matrix = np.diag(diagonal) - among
    assert definite
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrix)[1])
    np.testing.assert_allclose(inverse[:m, :m], np.linalg.inv(matrix), atol=1e-12)
    np.testing.assert_allclose(x[:m], np.linalg.solve(matrix, g), atol=1e-12)
    np.testing.assert_allclose(value, 0.5 * g @ np.linalg.solve(matrix, g) + 0.5 * diagonal.sum())
    assert not kernel._evaluate(couplings, free, m, g, diagonal - 9, inverse, x)[0]


def test_a_planted_optimum_of_sixty_variables() -> None:
    """In spins, fields and couplings agree with one assignment, by signs that look random."""
    n, g = 60, torch.Generator().manual_seed(6)
    planted = torch.randint(0, 2, (3, n), generator=g)
    spins = 2.0 * planted.double() - 1
    i, j = torch.triu_indices(n, n, 1)
    weight = torch.rand(3, len(i), generator=g, dtype=torch.float64) * spins[:, i] * spins[:, j]
    unary = torch.zeros(3, n, 2, dtype=torch.float64)
    unary[..., 1] = 2 * 0.3 * spins  # a field of 0.3
    unary[..., 1].index_add_(1, i, weight, alpha=-2)
    unary[..., 1].index_add_(1, j, weight, alpha=-2)
    solution = BranchAndBound()(unary, 4 * weight)
    assert solution.status is Status.OPTIMAL
    assert torch.equal(solution.value.argmax(-1), planted)


def test_forty_variables_take_milliseconds() -> None:
    g = torch.Generator().manual_seed(7)
    unary = torch.randn(20, 40, 2, generator=g, dtype=torch.float64)
    pairwise = torch.randn(20, 780, generator=g, dtype=torch.float64)
    solution = BranchAndBound(node_limit=2000)(unary, pairwise)
    assert solution.status is Status.OPTIMAL


def check_limited(unary: Tensor, pairwise: Tensor, solver: BranchAndBound, status: Status) -> None:
    """The status is `status`, and the assignment is a good one."""
    solution = solver(unary, pairwise)
    assert solution.status is status
    assert (solution.value.sum(-1) == 1).all()
    bits = solution.value[..., 1]
    n = bits.shape[-1]
    i, j = torch.triu_indices(n, n, 1)
    reached = (solution.value * unary).sum((-2, -1)) + (bits[:, i] * bits[:, j] * pairwise).sum(-1)
    torch.testing.assert_close(solution.objective, reached)
    random = torch.rand(1000, 1, n, generator=torch.Generator().manual_seed(8)).round().double()
    linear = (random * unary[..., 1]).sum(-1)
    others = linear + (random[..., i] * random[..., j] * pairwise).sum(-1)
    assert (solution.objective > others.amax(0)).all()


def test_the_node_limit_shows() -> None:
    unary, pairwise = balanced(40, 2)
    check_limited(unary, pairwise, BranchAndBound(node_limit=1), Status.NODE_LIMIT)
    easy = torch.cat([unary[:1], unary[1:] * 1e6])  # the second needs one node
    check_limited(easy, pairwise, BranchAndBound(node_limit=2), Status.NODE_LIMIT)
    assert BranchAndBound(node_limit=1)(easy[1:], pairwise[1:]).status is Status.OPTIMAL


def test_the_time_limit_shows() -> None:
    unary, pairwise = balanced(100, 3)
    BranchAndBound()(torch.zeros(1, 2, 2), torch.zeros(1, 1))  # compiles
    start = time.monotonic()
    check_limited(unary, pairwise, BranchAndBound(time_limit=0.2), Status.TIME_LIMIT)
    assert time.monotonic() - start < 5


def test_limits_that_are_not_reached_change_nothing() -> None:
    unary, pairwise = balanced(20, 5)
    limited = BranchAndBound(time_limit=100.0, node_limit=10**6)(unary, pairwise)
    assert limited.status is Status.OPTIMAL
    assert torch.equal(limited.value, BranchAndBound()(unary, pairwise).value)


def test_ends_on_unchecked_potentials_that_are_not_finite() -> None:
    unary = torch.full((1, 12, 2), float("nan"))
    solution = BranchAndBound()(unary, torch.ones(1, 66), validate=False)
    assert (solution.value.sum(-1) == 1).all()


@pytest.mark.parametrize("bad", ["1", True, float("inf"), 0, -1.0])
def test_refuses_bad_time_limits(bad: object) -> None:
    with pytest.raises((TypeError, ValueError), match="time_limit must be"):
        BranchAndBound(time_limit=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [1.5, True, 0, -1])
def test_refuses_bad_node_limits(bad: object) -> None:
    with pytest.raises((TypeError, ValueError), match="node_limit must be"):
        BranchAndBound(node_limit=bad)  # type: ignore[arg-type]
