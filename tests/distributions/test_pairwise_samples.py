"""PairwiseBinary: noise, argmax, samples of both kinds, solvers, alternatives."""

from __future__ import annotations

import warnings
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pairwise_problems import EXACT, random_problem, seeded
from torch import Tensor

from directmax import PairwiseBinary
from directmax.solvers import Exhaustive, MaxFlow, PairwiseSolver, Solution, Status
from reference import (
    all_states,
    gibbs_probs,
    is_one_hot,
    pairwise_argmax,
    pairwise_scores,
    perturb_and_map_probs,
)
from significance import assert_mean

SIZES = st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 3, 6, 7, 8, 9]))


# Argmax


@given(SIZES, st.integers(0, 1000), st.lists(st.integers(1, 3), max_size=2), st.booleans())
def test_argmax_of_unary_noise(
    sizes: tuple[int, int], seed: int, samples: list[int], shifted: bool
) -> None:
    unary, pairwise = random_problem(*sizes, seed=seed)
    q = PairwiseBinary(unary, pairwise)
    g = seeded(seed)
    noise = torch.randn(*samples, *unary.shape, generator=g, dtype=torch.float64)
    shift = torch.randn(*samples, *unary.shape, generator=g, dtype=torch.float64)
    z = q.argmax(noise, shift if shifted else None)
    assert z.shape == noise.shape
    total = unary + noise + shift if shifted else unary + noise
    assert torch.equal(z, pairwise_argmax(total, pairwise))


@given(SIZES, st.integers(0, 1000), st.integers(1, 3), st.booleans())
def test_argmax_of_noise_on_states(
    sizes: tuple[int, int], seed: int, num_samples: int, shifted: bool
) -> None:
    batch, n = sizes
    unary, pairwise = random_problem(batch, n, seed=seed)
    q = PairwiseBinary(unary, pairwise, perturbation="states")
    noise = q.noise(num_samples, generator=seeded(seed))
    assert noise.shape == (num_samples, batch, 2**n)
    assert noise.dtype == torch.float64
    shift = torch.randn(num_samples, *unary.shape, generator=seeded(1), dtype=torch.float64)
    z = q.argmax(noise, shift if shifted else None)
    scores = pairwise_scores(unary + shift if shifted else unary.expand_as(shift), pairwise)
    assert torch.equal(z, all_states(n, 2)[(scores + noise).argmax(-1)])


@pytest.mark.parametrize("perturbation", ["unary", "states"])
def test_samples(perturbation: str) -> None:
    unary, pairwise = random_problem(3, 4, gradient=True)
    q = PairwiseBinary(unary, pairwise, perturbation=perturbation)
    state = torch.get_rng_state()
    noise = q.noise(5, generator=seeded())
    assert noise.shape == ((5, 3, 4, 2) if perturbation == "unary" else (5, 3, 16))
    z = q.sample(5, generator=seeded())
    assert torch.equal(torch.get_rng_state(), state)
    assert z.shape == (5, 3, 4, 2)
    assert z.dtype == torch.float64
    assert is_one_hot(z)
    assert torch.equal(z, q.argmax(noise))
    assert not torch.equal(z, q.sample(5, generator=seeded(8)))
    for result in (z, noise, q.mode(), q.argmax(noise, torch.ones_like(z, requires_grad=True))):
        assert not result.requires_grad
    assert q.sample().shape == (1, 3, 4, 2)


def test_a_shift_is_of_the_assignment_not_of_the_noise() -> None:
    """A large shift decides, whatever was drawn; one for both values decides nothing."""
    for perturbation in ("unary", "states"):
        q = PairwiseBinary(*random_problem(2, 3), perturbation=perturbation)
        noise = q.noise(4, generator=seeded())
        wanted = q.sample(4, generator=seeded(3))
        assert torch.equal(q.argmax(noise, 1e3 * wanted), wanted)
        assert torch.equal(q.argmax(noise, torch.full_like(wanted, 1e3)), q.argmax(noise))


# Distributions of the samples

DRAWS = 40_000
PROBLEMS = {
    "attractive pair": ([[0.0, -2.0], [0.3, -1.5]], [3.0]),
    "repulsive pair": ([[0.0, 1.0], [0.0, 2.0]], [-4.0]),
    "frustrated": ([[0.0, 1.0], [0.0, 0.5], [0.2, 0.0]], [-2.0, 1.5, 2.0]),
    "attractive": ([[0.0, -3.0], [0.0, -2.0], [0.0, -3.0]], [2.5, 2.0, 2.5]),
}


def frequencies(name: str, perturbation: str) -> tuple[Tensor, Tensor, Tensor]:
    """States drawn `(N, K)`, and the problem."""
    unary, pairwise = (torch.tensor(x, dtype=torch.float64) for x in PROBLEMS[name])
    q = PairwiseBinary(unary[None], pairwise[None], perturbation=perturbation)
    z = q.sample(DRAWS, generator=seeded())[:, 0]
    drawn = (z[:, None] == all_states(len(unary), 2)).all((-2, -1))
    return drawn.double(), unary, pairwise


@pytest.mark.parametrize("name", PROBLEMS)
def test_noise_on_states_draws_from_the_gibbs_distribution(name: str) -> None:
    drawn, unary, pairwise = frequencies(name, "states")
    gibbs = gibbs_probs(unary[None], pairwise[None])[0]
    assert_mean(drawn, gibbs)
    with pytest.raises(AssertionError, match="standard errors off"):
        assert_mean(drawn, perturb_and_map_probs(unary, pairwise))


@pytest.mark.parametrize("name", PROBLEMS)
def test_unary_noise_draws_perturb_and_map_samples_which_are_not_gibbs(name: str) -> None:
    drawn, unary, pairwise = frequencies(name, "unary")
    expected = perturb_and_map_probs(unary, pairwise)
    assert_mean(drawn, expected)
    gibbs = gibbs_probs(unary[None], pairwise[None])[0]
    with pytest.raises(AssertionError, match="standard errors off"):
        assert_mean(drawn, gibbs)
    assert (expected - gibbs).abs().sum() / 2 > 0.03  # total variation


def test_the_reference_quadrature_without_couplings() -> None:
    """It is a product of softmaxes there, in closed form."""
    unary, _ = random_problem(1, 3)
    probs = perturb_and_map_probs(unary[0], torch.zeros(3))
    torch.testing.assert_close(probs, gibbs_probs(unary, torch.zeros(1, 3).double())[0], **EXACT)
    unary, pairwise = random_problem(1, 3, seed=1, scale=3.0)
    coarse = perturb_and_map_probs(unary[0], pairwise[0])
    fine = perturb_and_map_probs(unary[0], pairwise[0], panels=40)
    torch.testing.assert_close(coarse, fine, **EXACT)


# Solvers


class Stopped(PairwiseSolver):
    """Gives up at once."""

    name: ClassVar[str] = "stopped"
    status: ClassVar[Status] = Status.TIME_LIMIT

    def _maximise(self, field: Tensor, pairwise: Tensor) -> tuple[Tensor, Status]:
        return field > 0, self.status


class OutOfNodes(Stopped):
    status = Status.NODE_LIMIT


@pytest.mark.parametrize(("solver", "limit"), [(Stopped, "time limit"), (OutOfNodes, "node limit")])
def test_a_solver_that_stops_early_is_announced(solver: type[Stopped], limit: str) -> None:
    q = PairwiseBinary(*random_problem(2, 3), solver=solver())
    noise = q.noise(1, generator=seeded())
    message = rf"^the solver 'stopped' stopped at its {limit}: .* may not be the argmax"
    with pytest.warns(RuntimeWarning, match=message):
        z = q.argmax(noise)
    for call in (q.mode, q.sample, lambda: q.alternatives(noise, z)):
        with pytest.warns(RuntimeWarning, match=message):
            call()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PairwiseBinary(*random_problem(2, 3)).sample()


def test_solvers_by_name_and_as_objects() -> None:
    unary, pairwise = random_problem(2, 4)
    pairwise = pairwise.abs()
    samples = []
    for solver in ("auto", "exhaustive", "max-flow", Exhaustive(), MaxFlow()):
        q = PairwiseBinary(unary, pairwise, solver=solver)
        assert solver in (q.solver.name, q.solver)
        samples.append(q.sample(20, generator=seeded()))
        assert torch.equal(samples[0], samples[-1])
    with pytest.raises(ValueError, match="max-flow"):
        PairwiseBinary(unary, -pairwise, solver="max-flow").sample()


# Alternatives


class Plain(PairwiseSolver):
    """Brute force, with the alternatives of the base class."""

    name: ClassVar[str] = "plain"

    def _maximise(self, field: Tensor, pairwise: Tensor) -> tuple[Tensor, Status]:
        unary = torch.stack([torch.zeros_like(field), field], -1)
        return pairwise_argmax(unary, pairwise)[..., 1] > 0, Status.OPTIMAL


def held_argmaxes(unary: Tensor, pairwise: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """For every variable the best assignment with its value changed, and its score."""
    scores, states = pairwise_scores(unary, pairwise), all_states(unary.shape[-2], 2)
    assignments, best = [], []
    for i in range(unary.shape[-2]):
        found = torch.where(
            z[..., i : i + 1, 1:] > 0,
            pairwise_argmax(unary, pairwise, (i, 0)),
            pairwise_argmax(unary, pairwise, (i, 1)),
        )
        assignments.append(found)
        where = (found.unsqueeze(-3) == states).all((-2, -1))
        best.append((scores * where).sum(-1))
    return torch.stack(assignments), torch.stack(best)


def check_alternatives(solver: PairwiseSolver, unary: Tensor, pairwise: Tensor, z: Tensor) -> None:
    solution = solver.alternatives(unary, pairwise, z)
    assert isinstance(solution, Solution)
    assert solution.status is Status.OPTIMAL
    n = unary.shape[-2]
    assert solution.value.shape == (n, *unary.shape)
    assert solution.objective.shape == (n, *unary.shape[:-2])
    assignments, best = held_argmaxes(unary, pairwise, z)
    assert torch.equal(solution.value, assignments)
    torch.testing.assert_close(solution.objective, best, rtol=0, atol=1e-10)
    for i in range(n):
        assert torch.equal(solution.value[i, ..., i, :], 1 - z[..., i, :])


SOLVERS = [Plain(), Exhaustive(), MaxFlow()]


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
@settings(max_examples=12)
@given(
    sizes=SIZES,
    samples=st.lists(st.integers(1, 3), max_size=2),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.01, 1.0, 100.0]),
    of_argmax=st.booleans(),
)
def test_alternatives_are_clamped_argmaxes(
    solver: PairwiseSolver,
    sizes: tuple[int, int],
    samples: list[int],
    seed: int,
    scale: float,
    of_argmax: bool,
) -> None:
    """Around the argmax, and around any other assignment."""
    base, pairwise = random_problem(*sizes, seed=seed, scale=scale)
    if isinstance(solver, MaxFlow):
        pairwise = pairwise.abs()
        base[..., 1] -= scale * sizes[1] / 3
    noise = torch.randn(*samples, *base.shape, generator=seeded(seed), dtype=torch.float64)
    unary = base + scale * noise
    z = pairwise_argmax(unary if of_argmax else -unary, pairwise)
    check_alternatives(solver, unary, pairwise, z)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_alternatives_of_nothing(solver: PairwiseSolver, shape: tuple[int, ...]) -> None:
    unary, pairwise = torch.zeros(*shape, 3, 2), torch.zeros(shape[-1], 3)
    solution = solver.alternatives(unary, pairwise, unary)
    assert solution.value.shape == (3, *shape, 3, 2)
    assert solution.objective.shape == (3, *shape)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_alternatives_in_other_types(dtype: torch.dtype) -> None:
    unary, pairwise = (t.to(dtype) for t in random_problem(4, 9))
    z = Exhaustive()(unary, pairwise).value
    wide = unary.double(), pairwise.double()
    expected, best = held_argmaxes(*wide, z.double())
    for solver in (Exhaustive(), Plain()):
        solution = solver.alternatives(unary, pairwise, z)
        reached = pairwise_scores(*wide)[
            range(4),
            (solution.value.double().unsqueeze(-3) == all_states(9, 2))
            .all((-2, -1))
            .int()
            .argmax(-1),
        ]
        torch.testing.assert_close(reached, best, rtol=0, atol=1e-4)
        assert solution.objective.dtype == torch.float32
        assert torch.equal(
            solution.value.double().argmax(-1).diagonal(0, 0, 2),
            expected.argmax(-1).diagonal(0, 0, 2),
        )


def test_alternatives_in_threads() -> None:
    unary, pairwise = random_problem(41, 9)
    unary = unary + torch.randn(5, *unary.shape, generator=seeded(), dtype=torch.float64)
    z, before = Exhaustive()(unary, pairwise).value, torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(Exhaustive().alternatives(unary, pairwise, z).value)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


@given(SIZES, st.integers(1, 3), st.integers(0, 1000))
def test_the_gap_of_an_alternative_leaves_out_its_own_noise(
    sizes: tuple[int, int], num_samples: int, seed: int
) -> None:
    unary, pairwise = random_problem(*sizes, seed=seed)
    q = PairwiseBinary(unary, pairwise)
    noise = q.noise(num_samples, generator=seeded(seed))
    z = q.argmax(noise)
    value, gap = q.alternatives(noise, z)
    assignments, _ = held_argmaxes(unary + noise, pairwise, z)
    assert torch.equal(value, assignments)
    states = all_states(sizes[1], 2)
    for i in range(sizes[1]):
        others = noise.clone()
        others[..., i, :] = 0
        scores = pairwise_scores(unary + others, pairwise)

        def best(bit: int, scores: Tensor = scores, i: int = i) -> Tensor:
            return scores.masked_fill(states[:, i, bit] == 0, -torch.inf).amax(-1)

        gain = best(1) - best(0)  # t_i
        expected = torch.where(z[..., i, 1] > 0, gain, -gain)
        torch.testing.assert_close(gap[i], expected, **EXACT)
