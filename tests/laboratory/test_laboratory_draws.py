"""Draws that are made together: the same as one after the other, and counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from directmax import (
    Categorical,
    ClampedArgmax,
    CorrectedDirect,
    Decoder,
    Direct,
    Estimator,
    Exact,
    GumbelSoftmax,
    ImplicitMLE,
    LocalExpectation,
    PairwiseBinary,
    Reconstruction,
    ScoreFunction,
    StraightThrough,
)
from directmax.laboratory import PotentialGradients
from directmax.laboratory._objectives import FAST, Counted, Repeated
from directmax.objectives import Objective
from reference import Interaction

BATCH, PIXELS = 3, 7

INDEPENDENT: dict[str, Callable[[], Estimator]] = {
    "direct": lambda: Direct(5.0),
    "direct auto": lambda: Direct(two_sided=True),
    "corrected": lambda: CorrectedDirect(5.0),
    "exact": Exact,
    "gumbel-softmax": lambda: GumbelSoftmax(0.5),
    "local expectation": LocalExpectation,
    "score function": ScoreFunction,
    "straight through": StraightThrough,
    "implicit MLE": lambda: ImplicitMLE(5.0),
}
COUPLED: dict[str, Callable[[], Estimator]] = {
    "direct": lambda: Direct(5.0, two_sided=True),
    "clamped argmax": ClampedArgmax,
    "exact": Exact,
}


def reconstruction(n: int, k: int) -> Reconstruction:
    torch.manual_seed(0)
    decoder = Decoder(n, k, PIXELS, hidden=5).double()
    return Reconstruction(decoder, torch.rand(BATCH, PIXELS, dtype=torch.float64).round())


def objective_of(kind: str, n: int, k: int) -> Objective:
    if kind == "plain":
        return Interaction(BATCH, n, k).requires_grad_(False)
    return reconstruction(n, k)


def potentials(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def one_by_one(gradients: PotentialGradients, estimator: Estimator, count: int) -> Tensor:
    """Plain calls, whose noise together is that of one call with copies."""
    generator = torch.Generator().manual_seed(5)
    draws = []
    for _ in range(count):
        q = gradients.distribution()
        leaf = q.logits if isinstance(q, Categorical) else q.unary
        loss = estimator(q, gradients.objective, generator=generator).loss
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        draws.append(gradient.flatten(1))
    return torch.stack(draws)


@pytest.mark.parametrize("sizes", [(1, 4), (3, 2)])
@pytest.mark.parametrize("kind", ["plain", "reconstruction"])
@pytest.mark.parametrize("name", INDEPENDENT)
def test_together_as_one_by_one(name: str, kind: str, sizes: tuple[int, int]) -> None:
    q = Categorical(potentials(BATCH, *sizes))
    gradients = PotentialGradients(q, objective_of(kind, *sizes))
    estimator = INDEPENDENT[name]().eval()
    together = gradients.draws(estimator, 4, torch.Generator().manual_seed(5))
    torch.testing.assert_close(together, one_by_one(gradients, estimator, 4), rtol=0, atol=1e-10)
    assert together.abs().sum() > 0


@pytest.mark.parametrize("perturbation", ["unary", "states"])
@pytest.mark.parametrize("name", COUPLED)
def test_coupled_together_as_one_by_one(name: str, perturbation: str) -> None:
    if (name, perturbation) == ("clamped argmax", "states"):
        pytest.skip("not for noise on states")
    q = PairwiseBinary(potentials(BATCH, 3, 2), potentials(BATCH, 3), perturbation=perturbation)
    gradients = PotentialGradients(q, reconstruction(3, 2))
    estimator = COUPLED[name]().eval()
    together = gradients.draws(estimator, 4, torch.Generator().manual_seed(5))
    torch.testing.assert_close(together, one_by_one(gradients, estimator, 4), rtol=0, atol=1e-10)
    assert together.abs().sum() > 0


def test_one_loss_for_all_problems_stays_one() -> None:
    class Shared:
        def __call__(self, z: Tensor) -> Tensor:
            return z[..., 0, 1]

        def state_losses(self, n: int, k: int, *, max_states: int = 0) -> Tensor:
            return torch.tensor([[0.0, 1.0]], dtype=torch.float64)

    gradients = PotentialGradients(Categorical(potentials(BATCH, 1, 2)), Shared())
    draws = gradients.draws(LocalExpectation(), 2, None)
    torch.testing.assert_close(draws[0], gradients.exact(10).value)


def test_a_gradient_that_does_not_depend_on_the_potentials_is_zero() -> None:
    gradients = PotentialGradients(Categorical(potentials(2, 1, 2)), lambda z: z.sum((-2, -1)) * 0)
    assert not gradients.draws(StraightThrough(), 2, None).any()

    def constant(z: Tensor) -> Tensor:
        return torch.ones(z.shape[:-2], dtype=z.dtype)

    gradients = PotentialGradients(Categorical(potentials(2, 1, 2)), constant)
    assert not gradients.draws(ScoreFunction(num_samples=2), 2, None).any()
    with pytest.raises(TypeError, match="needs an f that is differentiable in z"):
        gradients.draws(GumbelSoftmax(), 2, None)


# How many at a time


def test_memory_is_bounded() -> None:
    q = Categorical(torch.zeros(10, 3, 4))
    gradients = PotentialGradients(q, lambda z: z.sum((-2, -1)))
    assert gradients.most(Direct(), 1000) == 100
    assert gradients.most(Direct(num_samples=4), 1000) == 25
    assert gradients.most(Direct(), 3) == 1
    large = PotentialGradients(Categorical(torch.zeros(10, 100, 100)), lambda z: z.sum((-2, -1)))
    assert large.most(Direct(), 10_000) == 41  # 2^22 / 10^5
    states = PairwiseBinary(torch.zeros(4, 18, 2), torch.zeros(4, 153), perturbation="states")
    assert PotentialGradients(states, lambda z: z.sum((-2, -1))).most(Direct(), 10_000) == 4


# Objectives around objectives


def test_only_the_methods_that_are_inside() -> None:
    for around in (Repeated(lambda z: z, 2), Counted(lambda z: z)):
        assert not any(hasattr(around, name) for name in FAST)
    for around in (Repeated(reconstruction(2, 3), 2), Counted(reconstruction(2, 3))):
        assert all(hasattr(around, name) for name in FAST)


@pytest.mark.parametrize("sizes", [(1, 3), (2, 3)])
def test_tables_of_copies(sizes: tuple[int, int]) -> None:
    n, k = sizes
    inside = reconstruction(n, k)
    repeated = Repeated(inside, 2)
    z = torch.nn.functional.one_hot(torch.randint(k, (5, 2 * BATCH, n)), k).double()
    halves = z.split(BATCH, dim=1)
    expected = torch.cat([inside(half) for half in halves], 1)
    changes = torch.cat([inside.single_change_losses(half) for half in halves], 1)
    torch.testing.assert_close(repeated(z), expected)
    torch.testing.assert_close(repeated.single_change_losses(z), changes)
    both = repeated.losses_and_changes(z)
    torch.testing.assert_close(both[0], expected)
    torch.testing.assert_close(both[1], changes)
    table = repeated.state_losses(n, k, max_states=100)
    torch.testing.assert_close(table, inside.state_losses(n, k).repeat(2, 1))
    losses, others = repeated.losses_and_others(z, torch.stack([z.roll(1, -1), z]))
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(others[1], expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("sizes", [(1, 4), (3, 2)])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("kind", ["plain", "reconstruction"])
def test_counts(kind: str, samples: int, sizes: tuple[int, int]) -> None:
    n, k = sizes
    z = torch.nn.functional.one_hot(torch.zeros(samples, BATCH, n).long(), k).double()
    changes = n * (k - 1) + 1
    counted = Counted(objective_of(kind, n, k))
    counted(z)
    assert counted.evaluations == samples
    if kind == "plain":
        return
    expected = samples
    for name, arguments, count in (
        ("state_losses", (n, k), k**n),
        ("single_change_losses", (z,), k if n == 1 else changes * samples),
        ("losses_and_changes", (z,), k + samples if n == 1 else changes * samples),
        ("losses_and_others", (z, torch.stack([z, z])), 3 * samples),
    ):
        getattr(counted, name)(*arguments)
        expected += count
        assert counted.evaluations == expected, name
