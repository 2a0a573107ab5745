"""What compiled code and sums need on the CPU is made there, whatever the default device is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from directmax import (
    Decoder,
    Direct,
    DiscreteVAE,
    Encoder,
    PairwiseBinary,
    PerturbedArgmax,
    candidate_noise,
    compare_gradients,
)
from directmax import structures as sets


@pytest.fixture
def elsewhere() -> Iterator[Callable[[], None]]:
    """Makes the default a device where nothing can be looked at."""
    yield lambda: torch.set_default_device("meta")
    torch.set_default_device(None)


def squared(z: Tensor) -> Tensor:
    return (z[..., 1].sum(-1) - 0.3) ** 2


@pytest.mark.parametrize("solver", ["exhaustive", "branch-and-bound", "max-flow"])
def test_solvers(elsewhere: Callable[[], None], solver: str) -> None:
    q = PairwiseBinary(torch.linspace(-1, 1, 12).view(2, 3, 2), torch.ones(2, 3), solver=solver)
    expected = q.mode()
    elsewhere()
    assert torch.equal(q.mode(), expected)
    if solver == "exhaustive":
        q.alternatives(q.noise(1), q.mode().unsqueeze(0))


@pytest.mark.parametrize("epsilon", ["auto", 0.1])
def test_models(elsewhere: Callable[[], None], epsilon: float | str) -> None:
    model = DiscreteVAE(Encoder(4, 2, 3), Decoder(2, 3, 4), Direct(epsilon))
    images = torch.ones(3, 4)
    elsewhere()
    sum(model(images).reconstruction).backward()
    assert model.bound(images).bound.isfinite().all()


def test_laboratory_and_candidates(elsewhere: Callable[[], None]) -> None:
    q = PairwiseBinary(torch.linspace(-1, 1, 12).view(2, 3, 2), torch.ones(2, 3))
    expected = candidate_noise(5, 3, 2)
    elsewhere()
    compare_gradients(q, squared, {"direct": Direct()}, num_draws=8, timing=False)
    assert torch.equal(candidate_noise(5, 3, 2), expected)


STRUCTURES: list[tuple[Callable[[], sets.Structure], int]] = [
    (lambda: sets.Chain(3, 2), 6),
    (lambda: sets.Knapsack(torch.tensor([1, 2, 3], device="cpu"), 3), 3),
    (lambda: sets.Matching(2, 3), 6),
    (lambda: sets.Paths([(0, 1), (1, 2), (0, 2)], 0, 2), 3),
    (lambda: sets.SpanningTree(3), 3),
    (lambda: sets.Subsets(3, 1), 3),
    (lambda: sets.Tours(4), 6),
    (lambda: sets.Milp(torch.ones(1, 3, device="cpu"), upper=torch.ones(1, device="cpu")), 3),
]


@pytest.mark.parametrize(("make", "size"), STRUCTURES)
def test_structures(
    elsewhere: Callable[[], None], make: Callable[[], sets.Structure], size: int
) -> None:
    weights = torch.linspace(-1, 1, 2 * size)
    expected = PerturbedArgmax(weights.view(2, *make().shape), make(), noise="none").mode()
    elsewhere()
    q = PerturbedArgmax(weights.view(2, *make().shape), make(), noise="none")
    assert torch.equal(q.mode(), expected)
    Direct()(q, squared)
