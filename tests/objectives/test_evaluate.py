"""Plain callables as objectives: samples, every state, every single-variable change, errors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from directmax import Categorical, LocalExpectation
from directmax.objectives import _evaluate, evaluate, single_change_losses, state_losses
from reference import Interaction, changes_around, state_table

EXACT = {"rtol": 0, "atol": 1e-9}
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4))


@given(SIZES, st.sampled_from([1, 7, 2**22]))
def test_state_losses(sizes: tuple[int, int, int], chunk: int) -> None:
    objective = Interaction(*sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_evaluate, "CHUNK_ELEMENTS", chunk)
        table = state_losses(objective, sizes, dtype=torch.float64)
    expected = state_table(torch.zeros(sizes, dtype=torch.float64), objective)
    torch.testing.assert_close(table, expected, **EXACT)
    gradients = torch.autograd.grad(table.square().sum(), list(objective.parameters()))
    wanted = torch.autograd.grad(expected.square().sum(), list(objective.parameters()))
    torch.testing.assert_close(gradients, wanted, rtol=1e-9, atol=1e-9)


@given(st.lists(st.integers(1, 3), max_size=2), SIZES, st.sampled_from([1, 11, 2**22]))
def test_single_change_losses(leading: list[int], sizes: tuple[int, int, int], chunk: int) -> None:
    objective = Interaction(*sizes)
    num_samples = int(torch.tensor(leading).prod())
    z = Categorical(torch.zeros(sizes, dtype=torch.float64)).sample(
        num_samples, generator=torch.Generator().manual_seed(1)
    )
    z = z.reshape(*leading, *sizes)
    before = z.clone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_evaluate, "CHUNK_ELEMENTS", chunk)
        table = single_change_losses(objective, z)
    assert table.shape == z.shape
    assert not table.requires_grad
    torch.testing.assert_close(table, changes_around(objective, z).detach(), **EXACT)
    assert torch.equal(z, before)


def test_only_distinct_changes_are_evaluated() -> None:
    seen: list[Tensor] = []

    def objective(z: Tensor) -> Tensor:
        seen.append(z.reshape(-1, 1, 3, 4))
        return z.sum((-2, -1))

    single_change_losses(objective, torch.eye(4)[torch.tensor([[0, 3, 1]])])
    assert sum(len(z) for z in seen) == 3 * (4 - 1) + 1
    assert len(torch.unique(torch.cat(seen), dim=0)) == 3 * (4 - 1) + 1


def test_chunks_bound_what_an_objective_is_given() -> None:
    largest = 0

    def objective(z: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, z.numel())
        return z.sum((-2, -1))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_evaluate, "CHUNK_ELEMENTS", 100)
        state_losses(objective, (2, 5, 2))
        single_change_losses(objective, torch.eye(2)[torch.zeros(2, 5, dtype=torch.int64)])
    assert 0 < largest <= 100


def test_empty_batch() -> None:
    def objective(z: Tensor) -> Tensor:
        return z.sum((-2, -1))

    assert state_losses(objective, (0, 2, 3)).shape == (0, 9)
    assert single_change_losses(objective, torch.zeros(2, 0, 2, 3)).shape == (2, 0, 2, 3)


def test_too_many_states() -> None:
    with pytest.raises(ValueError, match=r"2\^3 = 8 states, the limit is 7"):
        state_losses(lambda z: z.sum((-2, -1)), (1, 3, 2), max_states=7)


@pytest.mark.parametrize(
    ("objective", "got"),
    [
        (lambda z: z.sum(), r"\(\)"),
        (lambda z: z.sum((-2, -1)).mean(0), r"\(3,\)"),
        (lambda z: z.sum(-1), r"\(2, 3, 4\)"),
        (lambda z: z.sum((-2, -1), keepdim=True), r"\(2, 3, 1, 1\)"),
    ],
)
def test_wrong_shapes_are_one_line_errors(objective: _evaluate.Objective, got: str) -> None:
    z = torch.eye(5)[torch.zeros(2, 3, 4, dtype=torch.int64)]
    for call in (evaluate, single_change_losses):
        with pytest.raises(ValueError, match=rf"^the objective must return.*\(2, 3\).*got {got}"):
            call(objective, z)
    with pytest.raises(ValueError, match=r"^the objective must return one loss per assignment"):
        state_losses(objective, (3, 1, 2))


def test_other_results_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^the objective must return a torch.Tensor, got float$"):
        evaluate(lambda z: 1.0, torch.zeros(1, 1, 2))


def test_one_choice_for_many_rows() -> None:
    q, x = Categorical(torch.zeros(1, 4, 2)), torch.rand(9, 4)

    def squares(z: Tensor) -> Tensor:
        return ((x * z[..., 1]) ** 2).sum(-1)

    for f in (squares, lambda z: squares(z).mean(-1)):
        with pytest.raises(ValueError, match=r"rows, \.mean\(-1, keepdim=True\)$"):
            LocalExpectation()(q, f)
    LocalExpectation()(q, lambda z: squares(z).mean(-1, keepdim=True))
