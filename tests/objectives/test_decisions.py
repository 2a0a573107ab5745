"""Losses of decisions, and the tasks that are generated for them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from directmax import LabelledDirect, PerturbedArgmax
from directmax.objectives import (
    fenchel_young,
    knapsack_task,
    matching_task,
    noise_contrastive,
    polynomial_costs,
    regret,
    shortest_path_task,
    spo_plus,
)
from directmax.structures import Chain, Listed, Matching, Paths, Structure, Subsets


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


STRUCTURES = [Paths.grid(2, 3), Subsets(4, 2), Matching(3), Listed(torch.eye(3))]


def costs_of(structure: Structure, seed: int = 0) -> Tensor:
    return torch.randn(6, *structure.shape, generator=seeded(seed), dtype=torch.float64)


def best_score(weights: Tensor, structure: Structure) -> Tensor:
    """By max-marginals, which the conformance of structures compares with enumeration."""
    return structure.max_marginals(weights).flatten(1).amax(-1)


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_regret_and_its_bound(structure: Structure) -> None:
    costs, predicted = costs_of(structure), costs_of(structure, 1)
    found = regret(predicted, costs, structure)
    chosen = structure.argmax(-predicted)
    optimum = -best_score(-costs, structure)
    torch.testing.assert_close(found, (chosen * costs).flatten(1).sum(-1) - optimum)
    assert float(found.min()) >= 0
    assert float(found.max()) > 0
    bound = spo_plus(predicted, costs, structure)
    assert bool((bound >= found - 1e-12).all())
    torch.testing.assert_close(
        bound,
        best_score(costs - 2 * predicted, structure)
        + ((2 * predicted - costs) * structure.argmax(-costs)).flatten(1).sum(-1),
    )
    assert float(spo_plus(costs, costs, structure).abs().max()) < 1e-12
    labels = structure.argmax(-costs)
    torch.testing.assert_close(spo_plus(predicted, costs, structure, labels=labels), bound)


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
@pytest.mark.parametrize("noise", ["none", "gaussian", "gumbel"])
def test_gradients_are_those_of_finite_differences(structure: Structure, noise: str) -> None:
    labels = structure.argmax(costs_of(structure, 2))
    predicted, costs = costs_of(structure).requires_grad_(), costs_of(structure, 1)
    settings = {"noise": noise, "scale": 0.5, "num_samples": 3}

    def of(loss: object, *others: object) -> object:
        return lambda w: loss(w, *others, structure, generator=seeded(), **settings)

    assert torch.autograd.gradcheck(of(fenchel_young, labels), predicted)
    assert torch.autograd.gradcheck(of(spo_plus, costs), predicted)


def test_the_gradient_is_that_of_labelled_direct() -> None:
    structure, predicted = Paths.grid(3, 3), costs_of(Paths.grid(3, 3)).requires_grad_()
    costs = costs_of(structure, 1)
    loss = spo_plus(predicted, costs, structure, noise="gumbel", num_samples=2, generator=seeded())
    (found,) = torch.autograd.grad(loss.sum(), predicted)
    q = PerturbedArgmax(costs - 2 * predicted, structure)
    labels = structure.one_hot(structure.argmax(-costs))
    labelled = LabelledDirect(num_samples=2)(q, labels, generator=seeded())
    torch.testing.assert_close(found, torch.autograd.grad(labelled.loss.sum(), predicted)[0])


def test_the_potentials_of_a_structure_learn_too() -> None:
    transitions = torch.randn(2, 2, generator=seeded(), dtype=torch.float64).requires_grad_()
    weights, labels = torch.zeros(5, 4, 2).double(), torch.zeros(5, 4, 2).double()
    labels[:, ::2, 0], labels[:, 1::2, 1] = 1, 1  # alternate

    def loss(t: Tensor) -> Tensor:
        return fenchel_young(weights, labels, Chain(4, 2, t), generator=seeded()).sum()

    assert torch.autograd.gradcheck(loss, transitions)
    (gradient,) = torch.autograd.grad(loss(transitions), transitions)
    assert float(gradient[0, 1]) < 0 < float(gradient.diagonal().sum())


def test_contrastive_losses_of_a_pool() -> None:
    paths = Paths.grid(3, 3)
    solutions = paths.argmax(torch.randn(30, 12, generator=seeded())).unique(dim=0)
    pool = Listed(solutions[:4])
    predicted = costs_of(paths).requires_grad_()
    labels = solutions[[0, 1, 2, 3, 0, 1]].double()
    assert torch.autograd.gradcheck(lambda c: noise_contrastive(c, labels, pool), predicted)
    each = predicted @ pool.states.double().T  # (b, K)
    own = (predicted * labels).sum(-1)
    torch.testing.assert_close(noise_contrastive(predicted, labels, pool), own - each.mean(-1))
    contrastive_map = fenchel_young(-predicted, labels, pool, noise="none")
    torch.testing.assert_close(contrastive_map, own - each.amin(-1))


def test_generated_tasks() -> None:
    features, costs = polynomial_costs(4000, 5, 3, degree=2, noise=0.5, generator=seeded())
    assert features.shape == (4000, 5)
    # Of a normal with variance v about 3, E[(u + 3)²] = 9 + v; v is the share of ones in a row.
    variances = torch.tensor([0, 1, 2, 3, 4, 5]) / 5
    expected = (9 + variances + 1) / 3.5**2
    nearest = (costs.mean(0).unsqueeze(-1) - expected).abs().amin(-1)
    assert float(nearest.max()) < 0.03
    same = shortest_path_task(7, degree=4, noise=0.5, generator=seeded(3))
    again = shortest_path_task(7, degree=4, noise=0.5, generator=seeded(3))
    assert torch.equal(same.costs, again.costs)
    for task in (same, knapsack_task(7, generator=seeded()), matching_task(7, persons=3)):
        decision = task.structure.argmax(-task.costs)
        assert bool(task.structure.is_feasible(decision).all())
        assert task.features.shape == (7, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: regret(torch.zeros(1, 3), torch.zeros(1, 4), Subsets(3, 1)),
        lambda: regret([0.0], torch.zeros(1, 4), Subsets(3, 1)),
        lambda: spo_plus(torch.zeros(2, 3), torch.zeros(1, 3), Subsets(3, 1)),
        lambda: fenchel_young(torch.zeros(1, 3), torch.zeros(3), Subsets(3, 1)),
        lambda: fenchel_young(torch.zeros(1, 3), torch.zeros(1, 3), Subsets(3, 1), num_samples=0),
        lambda: noise_contrastive(torch.zeros(1, 3), torch.zeros(1, 3), Subsets(3, 1)),
        lambda: polynomial_costs(0, 5, 5),
        lambda: polynomial_costs(5, 5, 5, noise=1.0),
        lambda: knapsack_task(5, capacity=0),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)
