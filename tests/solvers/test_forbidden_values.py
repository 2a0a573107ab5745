"""Potentials of −∞: every solver finds the best of what is allowed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from directmax.solvers import SOLVERS, Exhaustive, Highs, PairwiseSolver
from reference import all_states, pairwise_argmax, pairwise_scores


def masked_problem(n: int, seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Couplings ≥ 0, and about a third of the variables with one value only."""
    g = torch.Generator().manual_seed(seed)
    unary = scale * torch.randn(2, 4, n, 2, generator=g, dtype=torch.float64)
    pairwise = scale * torch.rand(4, n * (n - 1) // 2, generator=g, dtype=torch.float64)
    held = torch.rand(2, 4, n, generator=g) < 0.4
    value = torch.rand(2, 4, n, generator=g) < 0.5
    unary[..., 0].masked_fill_(held & value, -torch.inf)
    unary[..., 1].masked_fill_(held & ~value, -torch.inf)
    return unary, pairwise


def solvers() -> list[PairwiseSolver]:
    return [each.cls() for each in SOLVERS.values() if each.cls.missing() is None]


@pytest.mark.parametrize("solver", solvers(), ids=lambda solver: solver.name)
@pytest.mark.parametrize("n", [3, 9])
def test_argmax_and_alternatives(solver: PairwiseSolver, n: int) -> None:
    unary, pairwise = masked_problem(n, seed=n)
    solution = solver(unary, pairwise)
    states = all_states(n, 2)
    features = states.flatten(1)
    finite = torch.where(unary == -torch.inf, -1e6, unary)
    scores = pairwise_scores(finite, pairwise)  # (s, b, K)
    assert ((solution.value > 0) & (unary == -torch.inf)).sum() == 0
    torch.testing.assert_close(solution.objective, scores.amax(-1), rtol=0, atol=1e-7)
    if solver.supermodular_only or n > 3:
        return
    other = solver.alternatives(unary, pairwise, solution.value)
    for variable in range(n):
        on = solution.value[..., variable, 1] > 0
        wanted = states[:, variable, 0][None, None] == on[..., None].double()
        best = scores.masked_fill(~wanted, -torch.inf).amax(-1)
        forbidden = (unary[..., variable, :] == -torch.inf).any(-1)
        assert torch.equal(other.objective[variable] == -torch.inf, forbidden)
        close = torch.where(forbidden, 0.0, other.objective[variable] - best)
        assert close.abs().max() < 1e-7
        assert torch.equal(other.value[variable][forbidden], solution.value[forbidden])
    assert features.shape == (2**n, 2 * n)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_others_are_refused(value: float) -> None:
    unary = torch.zeros(1, 2, 2)
    unary[0, 1, 0] = value
    with pytest.raises(ValueError, match=r"^unary must be finite, or −inf for forbidden values"):
        Exhaustive()(unary, torch.zeros(1, 1))
    unary[0, 1] = -torch.inf
    with pytest.raises(ValueError, match=r"^unary must leave every variable a value.*\(0, 1\)"):
        Exhaustive()(unary, torch.zeros(1, 1))


def test_a_solver_of_ones_own_may_write_to_what_it_gets() -> None:
    class Rude(PairwiseSolver):
        name = "rude"

        def _maximise(self, field: Tensor, pairwise: Tensor) -> object:
            found = Exhaustive()._maximise(field.clone(), pairwise.clone())
            field.zero_()
            pairwise.zero_()
            return found

    unary, pairwise = masked_problem(3, seed=1)
    before = unary.clone(), pairwise.clone()
    value = Rude()(unary, pairwise).value
    assert torch.equal(value, Exhaustive()(unary, pairwise).value)
    assert torch.equal(unary, before[0])
    assert torch.equal(pairwise, before[1])


@pytest.mark.parametrize("scale", [1e-9, 1e9])
@pytest.mark.parametrize("name", ["highs", "cplex"])
def test_alternatives_of_tiny_and_huge_potentials(name: str, scale: float) -> None:
    if SOLVERS[name].cls.missing() is not None:
        pytest.skip(str(SOLVERS[name].cls.missing()))
    g = torch.Generator().manual_seed(5)
    unary = scale * torch.randn(3, 6, 2, generator=g, dtype=torch.float64)
    pairwise = scale * torch.randn(3, 15, generator=g, dtype=torch.float64)
    solver = SOLVERS[name].cls()
    value = solver(unary, pairwise).value
    found = solver.alternatives(unary, pairwise, value).objective
    for variable in range(6):
        for problem in range(3):
            held = (variable, int(value[problem, variable, 0]))
            one = unary[problem, None], pairwise[problem, None]
            best = pairwise_argmax(*one, held=held)
            score = (pairwise_scores(*one) * (all_states(6, 2) == best[0]).all(-1).all(-1)).sum()
            assert abs(float(found[variable, problem] - score)) < 1e-6 * scale


def test_a_time_limit_does_not_lose_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found in time may be worse than what was there before."""
    if Highs.missing() is not None:
        pytest.skip("highspy is not installed")
    solver = Highs(time_limit=10.0)
    nothing = torch.zeros(6).numpy()
    monkeypatch.setattr(Highs, "_solve", lambda self, program, seconds: (nothing, _late()))
    unary = torch.stack([torch.zeros(1, 6), torch.ones(1, 6)], -1)
    pairwise = torch.full((1, 15), -0.1)
    pairwise[0, 0] = -20.0
    best = Exhaustive()(unary, pairwise).objective
    assert solver(unary, pairwise).objective >= best - 1e-5


def _late() -> object:
    from directmax.solvers import Status

    return Status.TIME_LIMIT


@pytest.mark.parametrize("solver", solvers(), ids=lambda solver: solver.name)
def test_small_potentials_beside_a_mask(solver: PairwiseSolver) -> None:
    """What stands for −∞ is of their size: in a sum with 1 they would be lost."""
    unary, pairwise = (each.float() for each in masked_problem(6, seed=1))
    small = solver(1e-9 * unary, 1e-9 * pairwise).value
    whole = solver(unary, pairwise)
    n = unary.shape[-2]
    first, second = torch.triu_indices(n, n, 1)
    on = small[..., 1]
    scores = torch.where(small > 0, unary, 0.0).sum((-2, -1))
    scores = scores + (pairwise * on[..., first] * on[..., second]).sum(-1)
    torch.testing.assert_close(scores, whole.objective, rtol=1e-5, atol=1e-5)
