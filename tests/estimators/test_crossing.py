"""The automatic step for a linear loss on a set: by hand, and what it does not depend on."""

from __future__ import annotations

import pytest
import torch
from estimator_problems import seeded
from torch import Tensor

from directmax import Direct, PerturbedArgmax
from directmax.distributions import enumerate_states
from directmax.objectives import LinearCost
from directmax.structures import Chain, Matching, Paths, Structure, Subsets

SETS = {
    "subsets": Subsets(5, 2),
    "paths": Paths.grid(3, 3),
    "chain": Chain(3, 2, torch.tensor([[1.0, -1.0], [0.5, 2.0]])),
    "matching": Matching(3),
}


@pytest.fixture(params=SETS)
def structure(request: pytest.FixtureRequest) -> Structure:
    return SETS[request.param]


def problem(structure: Structure) -> tuple[Tensor, Tensor]:
    """Weights and costs, as the structure has them."""
    g = torch.Generator().manual_seed(1)
    shape = 4, *structure.shape
    return torch.randn(shape, generator=g), torch.rand(shape, generator=g)


def gradient(
    structure: Structure, weights: Tensor, cost: Tensor, **settings: object
) -> tuple[Tensor, float]:
    """Of the weights, and ε."""
    leaf = weights.clone().requires_grad_()
    estimator = Direct(num_samples=2, **settings)
    objective = LinearCost(cost, binary=len(structure.shape) == 1)
    loss = estimator(PerturbedArgmax(leaf, structure), objective, generator=seeded()).loss
    (found,) = torch.autograd.grad(loss.sum(), leaf)
    return found, estimator.latest()["epsilon"]


def test_the_step_is_that_of_enumeration(structure: Structure) -> None:
    weights, cost = problem(structure)
    q = PerturbedArgmax(weights, structure)
    noise = q.noise(2, generator=seeded())
    states = enumerate_states(q.num_variables, q.num_values)
    inside = structure.is_feasible(structure.from_one_hot(states).unsqueeze(1)).squeeze(-1)
    z = structure.from_one_hot(states[inside])  # (K, *shape)
    losses = cost.flatten(1) @ z.flatten(1).T  # (b, K)
    scores = (states[inside].flatten(1) @ (q.unary + noise).flatten(2).mT).mT
    offset = structure.offset(z)
    scores = scores if offset is None else scores + offset
    first, best = scores.argmax(-1), losses.argmin(-1).expand(2, -1)

    def gap(table: Tensor) -> Tensor:
        rows = table.expand(2, *table.shape[-2:])
        at = [rows.gather(-1, index.unsqueeze(-1)) for index in (first, best)]
        return (at[0] - at[1]).sum()

    assert bool((first != best).any())
    wanted = 2 * float(gap(scores) / gap(losses))
    assert gradient(structure, weights, cost)[1] == pytest.approx(wanted, rel=1e-4)


def test_what_is_constant_on_the_set_does_not_matter(structure: Structure) -> None:
    """Nor does the size of the loss, except in the gradient, where it should."""
    weights, cost = problem(structure)
    found, epsilon = gradient(structure, weights, cost)
    assert found.abs().max() > 0.01
    raised, same = gradient(structure, weights, cost + 3)  # all z have as many elements
    assert same == pytest.approx(epsilon, rel=1e-3)
    torch.testing.assert_close(raised, found, rtol=1e-3, atol=1e-6)
    tenfold, tenth = gradient(structure, weights, 10 * cost)
    assert tenth == pytest.approx(epsilon / 10, rel=1e-4)
    torch.testing.assert_close(tenfold, 10 * found, rtol=1e-4, atol=1e-6)
    assert gradient(structure, weights, cost, scale=3.0)[1] == pytest.approx(3 * epsilon)


def test_nothing_to_gain_is_no_gradient(structure: Structure) -> None:
    weights, cost = problem(structure)
    found, _ = gradient(structure, weights, torch.ones_like(cost))
    assert torch.equal(found, torch.zeros_like(found))


def test_masks_and_losses_without_end() -> None:
    weights = torch.tensor([[0.0, -torch.inf, 1.0, 2.0], [0.0, 1.0, 1.0, 2.0]])
    cost = torch.tensor([[1.0, 0.0, 3.0, 5.0], [1.0, 2.0, torch.inf, 0.5]])
    found, epsilon = gradient(Subsets(4, 2), weights, cost)
    assert 0 < epsilon < torch.inf
    assert bool(found.isfinite().all())
    assert found[0, 1] == 0
