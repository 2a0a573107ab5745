"""Functions of one batch axis, sums over variables, and hints where shapes do not fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directmax import Categorical, ClampedArgmax, Direct, Exact, PerturbedArgmax
from directmax.objectives import LinearCost, batched, evaluate, single_change_losses, state_losses
from directmax.structures import Subsets
from reference import separable

EXACT = {"rtol": 0, "atol": 1e-12}


def one_hot(*shape: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.eye(shape[-1], dtype=torch.float64)[
        torch.randint(shape[-1], shape[:-1], generator=g)
    ]


TARGETS = torch.tensor([0, 3, 1, 2])
IMAGES = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
CLASSIFY = nn.Linear(6, 4).double()
CONVOLVE = nn.Conv2d(7, 1, 3, padding=1).double()


def cross_entropy(z: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(CLASSIFY(z.flatten(1)), targets, reduction="none")


def convolution(z: Tensor, images: Tensor) -> Tensor:
    planes = z.flatten(1)[..., None, None].expand(-1, -1, 5, 5)
    logits = CONVOLVE(torch.cat([images, planes], 1))
    return F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum((1, 2, 3))


def codebook(z: Tensor, targets: Tensor) -> Tensor:
    vectors = torch.arange(12.0, dtype=torch.float64).view(2, 3, 2)
    return torch.einsum("bnk,nkd->b", z, vectors) * targets


@pytest.mark.parametrize(
    ("function", "belongs"),
    [(cross_entropy, TARGETS), (convolution, IMAGES), (codebook, TARGETS)],
)
def test_samples_are_folded_into_the_batch(
    function: Callable[..., Tensor], belongs: Tensor
) -> None:
    """Each row as if it were alone, in any number of sample axes, and its gradient."""
    f = batched(function, belongs)
    z = one_hot(2, 3, 4, 2, 3).requires_grad_()
    losses = evaluate(f, z)
    for s in range(2):
        for t in range(3):
            torch.testing.assert_close(losses[s, t], function(z[s, t], belongs), **EXACT)
    torch.testing.assert_close(f(z[0, 0]), losses[0, 0], **EXACT)
    logits = torch.zeros(4, 2, 3, dtype=torch.float64, requires_grad=True)
    exact = Exact()(Categorical(logits), f).loss
    states = state_losses(f, (4, 2, 3), dtype=torch.float64)
    torch.testing.assert_close(exact, states.mean(-1), **EXACT)
    Direct()(Categorical(logits), f).loss.sum().backward()


def test_what_does_not_fit_is_named() -> None:
    q = Categorical(torch.zeros(4, 2, 3))
    with pytest.raises(ValueError, match=r"^inputs must have one entry for each of the 4 problems"):
        Direct()(q, batched(cross_entropy, TARGETS[:3]))
    with pytest.raises(ValueError, match=r"one loss per assignment, shape \(4,\).*got \(\)"):
        Direct()(q, batched(lambda z: z.sum()))
    with pytest.raises(TypeError, match=r"^inputs must be tensors"):
        batched(cross_entropy, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^function must be callable"):
        batched(3)  # type: ignore[arg-type]


def test_torchs_own_errors_name_the_adapter() -> None:
    q = Categorical(torch.zeros(4, 2, 3, dtype=torch.float64))
    for wrong in (
        lambda z: cross_entropy(z, TARGETS),
        lambda z: convolution(z, IMAGES),
        lambda z: codebook(z, TARGETS),
    ):
        with pytest.raises((RuntimeError, ValueError, IndexError)) as error:
            Direct(num_samples=2)(q, wrong)
        notes = " ".join([str(error.value), *getattr(error.value, "__notes__", [])])
        assert "directmax.batched" in notes


@pytest.mark.parametrize("shape", [(4, 3, 2), (1, 3, 2)])
def test_a_linear_cost_has_the_tables_of_its_function(shape: tuple[int, int, int]) -> None:
    g = torch.Generator().manual_seed(0)
    cost = torch.randn(shape, generator=g, dtype=torch.float64, requires_grad=True)
    fast, plain = LinearCost(cost), separable(cost)
    z = one_hot(2, 4, 3, 2)
    torch.testing.assert_close(fast(z), plain(z), **EXACT)
    for found in (fast.single_change_losses(z), fast.losses_and_changes(z)[1]):
        torch.testing.assert_close(found, single_change_losses(plain, z), **EXACT)
    table = state_losses(fast, (4, 3, 2))
    torch.testing.assert_close(
        table.expand(4, -1), state_losses(plain, (4, 3, 2), dtype=torch.float64), **EXACT
    )
    table.sum().backward()
    assert cost.grad is not None
    assert torch.equal(LinearCost(cost[..., 1], binary=True).cost[..., 0], torch.zeros(shape[:2]))


def test_a_linear_cost_has_the_derivative_of_its_function_at_values_that_z_has_not() -> None:
    """Straight-through estimators take it there; a forbidden value gives none, and not NaN."""
    cost = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = one_hot(2, 4, 3, 2).requires_grad_()
    (found,) = torch.autograd.grad(LinearCost(cost)(z).sum(), z)
    torch.testing.assert_close(found, cost.expand_as(z), **EXACT)
    forbidden = cost.masked_fill(z[0].detach() == 0, torch.inf)
    losses = LinearCost(forbidden)(z[:1])
    (found,) = torch.autograd.grad(losses.sum(), z)
    assert losses.isfinite().all()
    assert found.isfinite().all()


def test_the_second_argmax_of_a_linear_cost_is_exact() -> None:
    """h + γ − ε c, up to a constant of each variable."""
    cost = torch.randn(5, 6, 2, generator=torch.Generator().manual_seed(3))
    seen = []

    def two(potentials: Tensor) -> Tensor:
        seen.append(potentials)
        gain = potentials[..., 1] - potentials[..., 0]
        return torch.zeros_like(gain, dtype=torch.bool).scatter(-1, gain.topk(2).indices, True)

    q = PerturbedArgmax(torch.zeros(5, 6, requires_grad=True), two)
    Direct(0.7)(q, LinearCost(cost), generator=torch.Generator().manual_seed(0))
    first, second = (each[..., 1] - each[..., 0] for each in seen)
    expected = first - 0.7 * (cost[..., 1] - cost[..., 0])
    torch.testing.assert_close(second, expected, rtol=0, atol=1e-5)
    assert ClampedArgmax()(q, LinearCost(cost)).loss.shape == (5,)


def test_a_function_may_write_to_what_it_is_given() -> None:
    images = torch.ones(3, 5)

    def loss(z: Tensor, images: Tensor) -> Tensor:
        return z.mul_(0).sum((-2, -1)) + images.mul_(0).sum(-1)

    Direct()(Categorical(torch.zeros(3, 2, 2)), batched(loss, images))
    assert (images == 1).all()


def test_a_module_of_another_type_is_advised() -> None:
    decoder = torch.nn.Linear(4, 1, dtype=torch.bfloat16)
    with pytest.raises(RuntimeError, match="dtype") as error:
        Direct()(Categorical(torch.zeros(2, 2, 2)), lambda z: decoder(z.flatten(-2))[..., 0])
    notes = ["z is torch.float32: a module of another type takes z.to(weight.dtype)"]
    assert error.value.__notes__ == notes


def test_costs_of_elements_need_to_be_told() -> None:
    """As (variables, values) they fitted no z, and the line did not say what to do."""
    q = PerturbedArgmax(torch.zeros(4, 5), Subsets(5, 2))
    with pytest.raises(ValueError, match="binary=True"):
        Direct()(q, LinearCost(torch.rand(4, 5)))
    assert Direct()(q, LinearCost(torch.rand(4, 5), binary=True)).loss.shape == (4,)
