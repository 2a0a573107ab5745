"""Sequences of states."""

from __future__ import annotations

import itertools

import pytest
import torch
from structure_conformance import Case, StructureConformance
from torch import Tensor

from directmax.structures import Chain

G = torch.Generator().manual_seed(1)
SHARED = torch.randn(3, 3, generator=G, dtype=torch.float64)
OWN = torch.randn(3, 3, 2, 2, generator=G, dtype=torch.float64)
BANNED = SHARED.masked_fill(torch.tensor([[0, 1, 0], [0, 0, 1], [0, 0, 0]]).bool(), -torch.inf)
LENGTHS = torch.tensor([1, 4, 2])


def full(z: Tensor, problem: int) -> bool:
    return bool((z.sum(-1) == 1).all())


def walk(z: Tensor, transitions: Tensor) -> float:
    """Along the places that have a state."""
    states = [int(row.argmax()) for row in z if row.any()]
    return sum(float(transitions[t, i, j]) for t, (i, j) in enumerate(itertools.pairwise(states)))


class TestChain(StructureConformance):
    def cases(self) -> list[Case]:
        return [
            Case(Chain(4, 2), full),
            Case(Chain(1, 3), full),
            Case(Chain(4, 3, SHARED), full, lambda z, p: walk(z, SHARED.expand(3, 3, 3))),
            Case(
                Chain(3, 2, 40 * SHARED[:2, :2]),
                full,
                lambda z, p: walk(z, 40 * SHARED[:2, :2].expand(2, 2, 2)),
            ),
            Case(Chain(4, 2, OWN), full, lambda z, p: walk(z, OWN[p])),
            Case(
                Chain(3, 3, BANNED),
                lambda z, p: full(z, p) and walk(z, BANNED.expand(2, 3, 3)) > -torch.inf,
                lambda z, p: walk(z, BANNED.expand(2, 3, 3)),
            ),
            Case(
                Chain(4, 2, OWN, lengths=LENGTHS),
                lambda z, p: z.sum(-1).tolist() == [1] * LENGTHS[p] + [0] * (4 - LENGTHS[p]),
                lambda z, p: walk(z, OWN[p]),
                padded=True,
            ),
        ]


def test_gradients_with_respect_to_the_transitions() -> None:
    weights = torch.randn(3, 4, 2, generator=G, dtype=torch.float64)

    def of(name: str) -> object:
        return lambda t: getattr(Chain(4, 2, t, lengths=LENGTHS), name)(weights)

    leaf = OWN.clone().requires_grad_()
    assert torch.autograd.gradcheck(of("log_partition"), leaf)
    assert torch.autograd.gradcheck(of("entropy"), leaf)
    z = Chain(4, 2, OWN).argmax(weights)
    assert torch.autograd.gradcheck(lambda t: Chain(4, 2, t).score(weights, z), leaf)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Chain(0, 2),
        lambda: Chain(3, 1),
        lambda: Chain(3, 2, torch.zeros(3, 3)),
        lambda: Chain(3, 2, torch.zeros(3, 2, 2)),
        lambda: Chain(3, 2, torch.zeros(2, 2).long()),
        lambda: Chain(3, 2, torch.full((2, 2), torch.nan)),
        lambda: Chain(3, 2, [[0, 1], [1, 0]]),
        lambda: Chain(3, 2, lengths=torch.tensor([0, 1])),
        lambda: Chain(4, 2, OWN, lengths=torch.tensor([1, 1])),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_transitions_of_inference_mode() -> None:
    """A network's, in a loop of evaluation."""
    weights, transitions = torch.randn(2, 4, 3), torch.randn(3, 3)
    with torch.inference_mode():
        found = Chain(4, 3, transitions.clone()).marginals(weights.clone())
    torch.testing.assert_close(found, Chain(4, 3, transitions).marginals(weights))


def test_a_single_place_has_no_transitions() -> None:
    """Those of places, (n - 1, k, k), were refused as what was asked for."""
    weights = torch.randn(3, 1, 2)
    for shape in ((0, 2, 2), (3, 0, 2, 2)):
        chain = Chain(1, 2, torch.zeros(shape, requires_grad=True))
        torch.testing.assert_close(chain.marginals(weights), weights.softmax(-1))
