"""Problems of different lengths in a batch: what lies beyond a length does not count."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from directmax import Direct, Estimator, ImplicitMLE, LabelledDirect
from directmax.distributions import Categorical, Gibbs, PerturbedArgmax
from directmax.objectives import fenchel_young
from directmax.structures import Arborescence, Chain, Structure

LENGTHS = torch.tensor([2, 4, 1])
TABLE = torch.tensor([[0.5, -1.0, 0.2], [0.3, 0.9, -0.4], [0.0, 0.6, 0.1]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


STRUCTURES = [Chain(4, 3, TABLE, lengths=LENGTHS), Arborescence(4, lengths=LENGTHS)]


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_padded_labels_are_those_without_padding(structure: Structure) -> None:
    """Whatever stands in the padding, often the value 0."""
    weights = torch.randn(3, *structure.shape, generator=seeded()).requires_grad_()
    labels = structure.argmax(torch.randn(3, *structure.shape, generator=seeded(1)))
    inside = labels.sum(-1, keepdim=True) > 0
    padding = F.one_hot(torch.zeros(3, 4, dtype=torch.int64), structure.shape[1])
    padded = torch.where(inside, labels, padding.to(labels))
    assert not torch.equal(padded, labels)
    present = structure.present()
    assert present is not None

    def losses(z: Tensor) -> list[Tensor]:
        q = PerturbedArgmax(weights, structure)
        exact = LabelledDirect(rao_blackwell=True)(Gibbs(weights, structure), z).loss
        drawn = LabelledDirect()(q, z, generator=seeded(2)).loss
        young = fenchel_young(weights, z, structure, generator=seeded(2))
        return [-structure.log_prob(weights, z), exact, drawn, young]

    for with_padding, without in zip(losses(padded), losses(labels), strict=True):
        torch.testing.assert_close(with_padding, without)
        found, expected = (
            torch.autograd.grad(loss.sum(), weights)[0] for loss in (with_padding, without)
        )
        torch.testing.assert_close(found, expected)
        assert bool((found[~present] == 0).all())


@pytest.mark.parametrize("estimator", [Direct(), Direct(two_sided=True), ImplicitMLE()])
def test_the_automatic_step_does_not_see_the_padding(estimator: Estimator) -> None:
    weights, cost = (torch.randn(2, 3, 3, generator=seeded(s)) for s in (0, 1))

    def f(z: Tensor) -> Tensor:  # counts what is beyond the length, too
        far = F.pad(cost, (0, 0, 0, z.shape[-2] - 3), value=1.0) * z
        return far.sum((-2, -1)) ** 2 + z[..., 3:, 0].sum(-1)

    steps = []
    for n in (3, 30):
        padded = F.pad(weights, (0, 0, 0, n - 3)).requires_grad_()
        q = PerturbedArgmax(padded, Chain(n, 3, lengths=torch.tensor([3, 3])), noise="none")
        loss = estimator(q, f).loss
        (gradient,) = torch.autograd.grad(loss.sum(), padded)
        steps.append((estimator.latest()["epsilon"], gradient[:, :3]))
    assert steps[0][0] == pytest.approx(steps[1][0])
    torch.testing.assert_close(steps[0][1], steps[1][1])


def test_without_lengths_all_take_a_value() -> None:
    assert Chain(4, 3).present() is None
    assert Arborescence(3).present() is None
    assert Categorical(torch.zeros(1, 2, 3)).present() is None
