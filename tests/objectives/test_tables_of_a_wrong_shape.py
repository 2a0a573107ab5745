"""What optional methods of an objective return is checked: another shape may be broadcast."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from directmax import (
    Categorical,
    ClampedArgmax,
    CorrectedDirect,
    Direct,
    Estimator,
    Exact,
    LinearCost,
    LocalDivergence,
    LocalExpectation,
    LocalSearch,
    PairwiseBinary,
)

TABLED: list[Estimator] = [
    Direct(),
    CorrectedDirect(),
    LocalExpectation(num_samples=2),
    LocalDivergence(),
    LocalSearch(),
]


Losses = Callable[[Tensor], Tensor]


def count(z: Tensor) -> Tensor:
    return z[..., 0].sum(-1)


class States:
    """Has a table of all values."""

    def __init__(self, *shape: int) -> None:
        self.table = torch.zeros(shape)

    def __call__(self, z: Tensor) -> Tensor:
        return count(z)

    def state_losses(self, n: int, k: int, *, max_states: int) -> Tensor:
        return self.table


class Changes:
    """Has a table of changes."""

    def __init__(self, losses: Losses, changes: Losses) -> None:
        self.losses, self.changes = losses, changes

    def __call__(self, z: Tensor) -> Tensor:
        return count(z)

    def losses_and_changes(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.losses(z), self.changes(z)

    losses_and_others = staticmethod(lambda z, others: (count(z)[0], count(others)))


@pytest.mark.parametrize("estimator", [Exact(), *TABLED], ids=repr)
@pytest.mark.parametrize("shape", [(4, 2), (4,), (4, 1, 3), ()])
def test_of_all_values(estimator: Estimator, shape: tuple[int, ...]) -> None:
    q = Categorical(torch.zeros(4, 1, 3, requires_grad=True))
    with pytest.raises(ValueError, match=r"state_losses of the objective must return losses \(pr"):
        estimator(q, States(*shape))


@pytest.mark.parametrize("estimator", TABLED, ids=repr)
@pytest.mark.parametrize(
    ("losses", "changes"),
    [
        (count, lambda z: z[0]),
        (count, lambda z: F.pad(z, (0, 1))),
        (count, lambda z: z[..., 0]),
        (lambda z: count(z)[0], lambda z: z),
        (lambda z: count(z).mean(), lambda z: z),
    ],
)
def test_of_changes(estimator: Estimator, losses: Losses, changes: Losses) -> None:
    q = Categorical(torch.zeros(4, 2, 3, requires_grad=True))
    with pytest.raises(ValueError, match="losses_and_changes of the objective must return losses"):
        estimator(q, Changes(losses, changes))


def test_of_others() -> None:
    q = PairwiseBinary(torch.zeros(4, 2, 2, requires_grad=True), torch.zeros(4, 1))
    with pytest.raises(ValueError, match="losses_and_others of the objective must return losses"):
        ClampedArgmax(num_samples=2)(q, Changes(count, count))


@pytest.mark.parametrize("estimator", [Exact(), *TABLED], ids=repr)
def test_one_table_serves_all_problems(estimator: Estimator) -> None:
    """`LinearCost` of `(n, k)` and one variable."""
    logits = torch.zeros(4, 1, 3, requires_grad=True)
    estimator(
        Categorical(logits), LinearCost(torch.tensor([[1.0, 2.0, 4.0]]))
    ).loss.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
