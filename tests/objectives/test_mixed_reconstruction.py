"""MixedReconstruction: against plain loops, its tables, its gradients, errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from directmax import Categorical, Decoder, LocalExpectation, MixedReconstruction
from directmax.objectives import single_change_losses, state_losses

EXACT = {"rtol": 0, "atol": 1e-9}
BATCH, VALUES, DIMENSIONS, PIXELS = 4, 3, 2, 5


def drawn(*sizes: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*sizes, generator=g, dtype=torch.float64)


def make(dtype: torch.dtype = torch.float64) -> MixedReconstruction:
    decoder = Decoder(VALUES, DIMENSIONS, PIXELS, hidden=6).to(dtype)
    with torch.no_grad():
        for seed, parameter in enumerate(decoder.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=seed))
    return MixedReconstruction(
        decoder,
        drawn(BATCH, PIXELS, seed=10).sigmoid().round().to(dtype),
        drawn(BATCH, VALUES, DIMENSIONS, seed=11).to(dtype).requires_grad_(),
        drawn(BATCH, VALUES, seed=12).abs().to(dtype).requires_grad_(),
    )


def by_hand(objective: MixedReconstruction) -> Tensor:
    """f of every image and value, `(b, k)`, one decoding each; differentiable."""
    losses = []
    for image, rows, row_kl in zip(objective.images, objective.rows, objective.row_kl, strict=True):
        for value in range(VALUES):
            matrix = torch.zeros(VALUES, DIMENSIONS, dtype=rows.dtype)
            matrix = torch.cat([matrix[:value], rows[value : value + 1], matrix[value + 1 :]])
            logits = objective.decoder(matrix)
            loss = F.binary_cross_entropy_with_logits(logits, image, reduction="sum")
            losses.append(loss + row_kl[value])
    return torch.stack(losses).view(BATCH, VALUES)


def leaves(objective: MixedReconstruction) -> list[Tensor]:
    return [objective.rows, objective.row_kl, *objective.decoder.parameters()]


def one_hots(*leading: int) -> Tensor:
    g = torch.Generator().manual_seed(3)
    values = torch.randint(VALUES, (*leading, BATCH, 1), generator=g)
    return F.one_hot(values, VALUES).double()


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_one_hot(leading: tuple[int, ...]) -> None:
    objective, z = make(), one_hots(*leading)
    expected = (by_hand(objective) * z.squeeze(-2)).sum(-1)
    torch.testing.assert_close(objective(z), expected, **EXACT)


def test_relaxed_rows_are_weighted() -> None:
    objective = make()
    z = drawn(BATCH, 1, VALUES, seed=4).softmax(-1)
    for image in range(BATCH):
        weights = z[image, 0]
        logits = objective.decoder(weights[:, None] * objective.rows[image])
        loss = F.binary_cross_entropy_with_logits(logits, objective.images[image], reduction="sum")
        expected = loss + (weights * objective.row_kl[image]).sum()
        torch.testing.assert_close(objective(z)[image], expected, **EXACT)


def test_state_table_and_its_gradient() -> None:
    objective = make()
    table, expected = state_losses(objective, (BATCH, 1, VALUES)), by_hand(objective)
    torch.testing.assert_close(table, expected, **EXACT)
    weight = drawn(BATCH, VALUES, seed=5)
    got = torch.autograd.grad((table * weight).sum(), leaves(objective))
    wanted = torch.autograd.grad((expected * weight).sum(), leaves(objective))
    for mine, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, right, **EXACT)


def test_single_changes_are_all_values() -> None:
    objective = make()
    table = single_change_losses(objective, one_hots(2))
    assert table.shape == (2, BATCH, 1, VALUES)
    assert not table.requires_grad
    torch.testing.assert_close(table[1, :, 0], by_hand(objective).detach(), **EXACT)


@pytest.mark.parametrize("samples", [1, 5])
def test_losses_and_table(samples: int) -> None:
    """The gradient is that of the drawn codes alone; the table has none."""
    objective = make()
    weights = one_hots(samples).mean(0).squeeze(1)
    losses, table = objective.losses_and_table(weights)
    expected = by_hand(objective)
    torch.testing.assert_close(losses, (expected * weights).sum(-1), **EXACT)
    torch.testing.assert_close(table, expected.detach(), **EXACT)
    assert not table.requires_grad
    got = torch.autograd.grad(losses.sum(), leaves(objective))
    wanted = torch.autograd.grad((expected * weights).sum(), leaves(objective))
    for mine, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, right, **EXACT)


def test_estimators_use_the_table_without_gradient() -> None:
    """An estimator decodes with gradient what it drew, and no other code."""
    objective = make()
    q = Categorical(drawn(BATCH, 1, VALUES, seed=6).requires_grad_())
    estimate = LocalExpectation()(q, objective, generator=torch.Generator().manual_seed(0))
    assert estimate.sample is not None
    (gradient,) = torch.autograd.grad(estimate.loss.sum(), [objective.rows])
    drawn_rows = estimate.sample.squeeze(0).squeeze(1) > 0
    assert bool((gradient[~drawn_rows] == 0).all())
    assert bool((gradient[drawn_rows] != 0).any(-1).all())


def test_bfloat16_candidates_are_close() -> None:
    objective = make(torch.float32)
    losses, table = objective.losses_and_table(one_hots().squeeze(1).float())
    torch.testing.assert_close(table, by_hand(objective), rtol=2e-2, atol=2e-2)
    assert losses.dtype == torch.float32


def test_refused() -> None:
    objective = make()
    decoder, images = objective.decoder, objective.images
    rows, row_kl = objective.rows, objective.row_kl
    with pytest.raises(TypeError, match="decoder must have a linear layer `first`"):
        MixedReconstruction(torch.nn.Linear(6, 5), images, rows, row_kl)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rows and row_kl must be for the 4 images"):
        MixedReconstruction(decoder, images, rows[:3], row_kl[:3])
    with pytest.raises(ValueError, match="rows and row_kl must be for the 4 images"):
        MixedReconstruction(decoder, images, rows, row_kl[:, :2])
    with pytest.raises(ValueError, match=r"must take values · dimensions = 3 numbers, got 6"):
        MixedReconstruction(decoder, images, rows[..., :1], row_kl)
    with pytest.raises(TypeError, match="rows must be floating point"):
        MixedReconstruction(decoder, images, rows.long(), row_kl)
    with pytest.raises(ValueError, match=r"z must end in \(batch, 1, values\) = \(4, 1, 3\)"):
        objective(torch.zeros(4, 2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="the objective is for 1 variable with 3 values"):
        objective.state_losses(2, 3)
