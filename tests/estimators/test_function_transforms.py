"""Inside torch.func what cannot work is refused in one line; the rest is as outside."""

from __future__ import annotations

import pytest
import torch
from estimator_problems import seeded
from torch import Tensor

from directmax import Categorical, Direct, PairwiseBinary, PerturbedArgmax
from directmax.distributions import DiscreteDistribution, Gibbs
from directmax.estimators import ESTIMATORS
from directmax.models import Decoder, DiscreteVAE, Encoder
from directmax.schedules import LinearDecay
from directmax.structures import Chain


def squared(z: Tensor) -> Tensor:
    weights = torch.arange(z.shape[-2] * z.shape[-1], dtype=z.dtype).view(z.shape[-2:])
    return ((z * weights).sum((-2, -1)) - 1.3) ** 2


COUPLED = [(name, noise) for name, row in ESTIMATORS.items() for noise in row.coupled]


@pytest.mark.parametrize(("name", "noise"), COUPLED)
def test_coupled_variables(name: str, noise: str) -> None:
    pairs, unary = torch.linspace(-1, 1, 6).view(2, 3), torch.linspace(-1, 1, 12).view(2, 3, 2)
    estimator = ESTIMATORS[name].make({}, 3, 2)

    def total(leaf: Tensor) -> Tensor:
        q = PairwiseBinary(leaf, pairs, perturbation=noise)
        return estimator(q, squared, generator=seeded()).loss.sum()

    if name not in ("exact", "gumbel-softmax"):
        with pytest.raises(TypeError, match=r"does not work inside torch\.func transforms: use"):
            torch.func.grad(total)(unary)
        return
    leaf = unary.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(unary), expected)


def test_a_whole_model() -> None:
    """Its candidates are decoded by compiled code where nobody looks."""
    torch.manual_seed(0)
    model = DiscreteVAE(Encoder(12, 3, 4), Decoder(3, 4, 12), Direct())
    images, weights = (torch.rand(5, 12) > 0.5).float(), dict(model.named_parameters())

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        given = {"generator": seeded()}
        terms = torch.func.functional_call(model, parameters, (images,), given)
        return (terms.reconstruction + terms.kl).sum()

    found = torch.func.grad(loss)(weights)
    expected = torch.autograd.grad(loss(weights), list(weights.values()))
    for one, other in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_structures() -> None:
    def total(leaf: Tensor) -> Tensor:
        q: DiscreteDistribution = PerturbedArgmax(leaf, Chain(3, 2))
        return Direct()(q, squared).loss.sum()

    with pytest.raises(TypeError, match="the argmax of a structure does not work inside"):
        torch.func.grad(total)(torch.zeros(2, 3, 2))


@pytest.mark.parametrize("make", [Gibbs, PerturbedArgmax])
def test_structures_under_vmap(make: type[Gibbs | PerturbedArgmax]) -> None:
    with pytest.raises(TypeError, match="weights cannot be looked at inside"):
        torch.func.vmap(lambda w: make(w, Chain(3, 2)).unary)(torch.zeros(5, 2, 3, 2))


def test_steps_that_cannot_be_counted() -> None:
    """A schedule would stand still; a number, or evaluation, does not need them."""
    estimator = Direct(LinearDecay(1.0, 0.1, 10))

    def total(leaf: Tensor) -> Tensor:
        return estimator(Categorical(leaf), squared).loss.sum()

    with pytest.raises(TypeError, match="a schedule of Direct does not work"):
        torch.func.grad(total)(torch.zeros(2, 3, 2))
    estimator.eval()
    assert torch.func.grad(total)(torch.zeros(2, 3, 2)).isfinite().all()
    assert estimator.step == 0


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_numbers_are_looked_at_where_they_can_be() -> None:
    """Under grad they are checked; under vmap nobody can."""

    def total(leaf: Tensor) -> Tensor:
        return Direct()(Categorical(leaf), squared).loss.sum()

    logits = torch.zeros(2, 1, 3, 2)
    logits[1, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="logits must be finite"):
        torch.func.grad(total)(logits[1])
    torch.func.vmap(total, randomness="different")(logits)
