"""Distributions over structures, and estimators on them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from directmax import (
    ClampedArgmax,
    Direct,
    Exact,
    ImplicitMLE,
    LabelledDirect,
    PerturbedArgmax,
    ScoreFunction,
)
from directmax.distributions import Gibbs, SumOfGamma
from directmax.structures import (
    Arborescence,
    Chain,
    Listed,
    Matching,
    Pairwise,
    Paths,
    Ranking,
    Structure,
    Subsets,
)
from significance import assert_mean

G = torch.Generator().manual_seed(4)
PAIRS = torch.randn(1, 3, generator=G, dtype=torch.float64)
TRANSITIONS = torch.randn(2, 2, generator=G, dtype=torch.float64)
SETS = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 0, 0]])
STRUCTURES = [
    Subsets(4, 2),
    Subsets(3, 2, at_most=True),
    Paths.grid(2, 3),
    Chain(3, 2, TRANSITIONS),
    Matching(3),
    Arborescence(2),
    Pairwise(3, PAIRS),
    Listed(SETS),
    Ranking(3),
]
TRACTABLE = [s for s in STRUCTURES if s.tractable]


def weights_of(structure: Structure, problems: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(7)
    one = torch.randn(1, *structure.shape, generator=g, dtype=torch.float64)
    return one.expand(problems, *structure.shape).clone().requires_grad_()


def loss(z: Tensor) -> Tensor:
    """A function with interactions of one-hot z."""
    w = torch.linspace(-1, 2, z.shape[-1] * z.shape[-2], dtype=z.dtype).view(z.shape[-2:])
    return (z * w).sum((-2, -1)) ** 2 + z[..., 0, 1] * z[..., -1, 0]


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
@pytest.mark.parametrize("noise", ["gumbel", "gaussian", "none", SumOfGamma(2.0)], ids=str)
def test_every_structure_is_perturbed(structure: Structure, noise: object) -> None:
    weights = weights_of(structure)
    q = PerturbedArgmax(weights, structure, noise=noise, scale=0.5)
    z = q.sample(20, generator=G)
    assert z.shape == (20, 1, q.num_variables, q.num_values)
    assert bool(structure.is_feasible(structure.from_one_hot(z)).all())
    drawn = q.noise(2, generator=G)
    shifted = q.argmax(drawn, torch.zeros_like(drawn))
    torch.testing.assert_close(
        q.score(shifted) + (shifted * drawn).sum((-2, -1)),
        q.score(q.argmax(drawn)) + (q.argmax(drawn) * drawn).sum((-2, -1)),
    )
    torch.testing.assert_close(
        q.score(q.mode()), structure.score(weights, structure.argmax(weights.detach()))
    )
    assert noise != "none" or torch.equal(z, q.mode().expand_as(z))
    for estimator in (Direct(), Direct(two_sided=True, num_samples=3), ImplicitMLE()):
        estimate = estimator(q, loss, generator=G)
        (gradient,) = torch.autograd.grad(estimate.loss.sum(), weights)
        assert bool(gradient.isfinite().all())
    labels = q.sample(1, generator=G)[0]
    labelled = LabelledDirect()(q, labels, generator=G)
    torch.autograd.grad(labelled.loss.sum(), weights)


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if not isinstance(s, Ranking)])
def test_partial_labels_are_filled_in(structure: Structure) -> None:
    q = PerturbedArgmax(weights_of(structure), structure)
    labels = q.sample(1, generator=G)[0]
    labels[:, 1:] = 0
    filled = q.argmax_given(q.noise(5, generator=G), labels)
    assert bool((filled[..., 0, :] == labels[:, 0]).all())
    assert bool(structure.is_feasible(structure.from_one_hot(filled)).all())


@pytest.mark.parametrize(
    "structure",
    [Subsets(4, 2), Chain(3, 2, TRANSITIONS), Pairwise(3, PAIRS), Listed(SETS), Paths.grid(2, 2)],
    ids=repr,
)
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_clamped_argmax_agrees_with_common_random_numbers(
    structure: Structure, scale: float
) -> None:
    """Its gradient is that of E[f(z*)], found by differences under the same noise."""
    weights, step, draws = weights_of(structure).detach(), 0.1, 40_000
    place = (0,) * len(structure.shape)

    def moved(by: float) -> PerturbedArgmax:
        shifted = weights.expand(draws, *structure.shape).clone()
        shifted[(slice(None), *place)] += by
        bigger = structure if structure.batch_size is None else Pairwise(3, PAIRS.expand(draws, 3))
        return PerturbedArgmax(shifted.requires_grad_(), bigger, scale=scale)

    q = moved(0.0)
    noise = q.noise(1, generator=torch.Generator().manual_seed(1))
    up, down = (loss(moved(s * step).argmax(noise))[0] for s in (1, -1))
    g = torch.Generator().manual_seed(2)
    found = torch.autograd.grad(ClampedArgmax()(q, loss, generator=g).loss.sum(), q.weights)[0]
    difference = found[(slice(None), *place)] - (up - down) / (2 * step)
    error = difference.std() / draws**0.5
    # The differences have a bias of the order of step².
    assert abs(float(difference.mean())) < 5 * float(error) + 0.03 * float(
        loss(q.mode()).abs().max()
    )
    assert float(found[(slice(None), *place)].std()) > 0


def test_clamped_argmax_reaches_the_potentials_of_the_structure() -> None:
    draws, pairs = 20_000, PAIRS.expand(20_000, 3).clone().requires_grad_()
    q = PerturbedArgmax(weights_of(Subsets(3, 1), draws).detach(), Pairwise(3, pairs))
    found = torch.autograd.grad(ClampedArgmax()(q, loss, generator=G).loss.sum(), pairs)[0]
    from directmax import PairwiseBinary

    leaf = PAIRS.expand(draws, 3).clone().requires_grad_()
    same = PairwiseBinary(q.unary, leaf)
    expected = torch.autograd.grad(ClampedArgmax()(same, loss, generator=G).loss.sum(), leaf)[0]
    assert_mean(found - expected + 1, torch.ones(3))


def test_noise_that_clamped_argmax_is_not_right_for_is_refused() -> None:
    for noise in ("gaussian", "none", SumOfGamma(2.0)):
        q = PerturbedArgmax(weights_of(Subsets(4, 2)), Subsets(4, 2), noise=noise)
        with pytest.raises(ValueError, match="noise='gumbel'"):
            ClampedArgmax()(q, loss)


def test_masked_elements_are_never_chosen() -> None:
    weights = weights_of(Subsets(4, 2)).detach()
    weights[0, 1] = -torch.inf
    for make in (PerturbedArgmax, Gibbs):
        leaf = weights.clone().requires_grad_()
        q = make(leaf, Subsets(4, 2))
        assert not bool(q.sample(50, generator=G)[..., 1, 1].any())
        each = ClampedArgmax() if make is PerturbedArgmax else ScoreFunction(num_samples=4)
        gradient = torch.autograd.grad(each(q, loss, generator=G).loss.sum(), leaf)[0]
        assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("structure", TRACTABLE, ids=repr)
def test_gibbs_is_what_enumeration_says(structure: Structure) -> None:
    weights = weights_of(structure)
    q = Gibbs(weights, structure)
    table = q.log_prob_table()
    probs = table.exp()
    assert probs.sum().item() == pytest.approx(1)
    inside = table > -torch.inf
    entropy = -(probs * table.masked_fill(~inside, 0)).sum(-1)
    torch.testing.assert_close(q.entropy(), entropy)
    torch.testing.assert_close(q.kl_to_uniform(), inside.sum(-1).double().log() - entropy)
    exact = Exact()(q, loss).loss
    expected = torch.autograd.grad(exact.sum(), weights)[0]
    labels = q.sample(1, generator=G)[0]
    labels[:, 1:] = 0
    from directmax.distributions import enumerate_states

    states = enumerate_states(q.num_variables, q.num_values, dtype=torch.float64)
    have = ((states - 1) * labels[0]).sum((-2, -1)) >= 0
    torch.testing.assert_close(q.log_prob_given(labels), table[:, have].logsumexp(-1))
    torch.testing.assert_close(
        (probs @ states.flatten(1)).view(1, *states.shape[1:]), q.marginals()
    )
    torch.testing.assert_close(q.log_prob(q.mode()), table.amax(-1))
    many = Gibbs(weights_of(structure, 5000), structure)
    estimate = ScoreFunction(num_samples=2)(many, loss, generator=torch.Generator().manual_seed(3))
    found = torch.autograd.grad(estimate.loss.sum(), many.weights)[0]
    assert_mean(found, expected[0])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Gibbs(torch.zeros(1, 15, 15), Matching(15)),
        lambda: Gibbs(torch.zeros(1, 3), "subsets"),
        lambda: Gibbs(torch.zeros(3), Subsets(3, 1)),
        lambda: Gibbs(torch.zeros(2, 1, 3), Subsets(3, 1)),
        lambda: PerturbedArgmax(torch.zeros(1, 4), Subsets(3, 1)),
        lambda: PerturbedArgmax(torch.full((1, 3), torch.nan), Subsets(3, 1)),
        lambda: PerturbedArgmax(torch.zeros(1, 3), Subsets(3, 1), noise="normal"),
        lambda: PerturbedArgmax(torch.zeros(1, 3), Subsets(3, 1), noise=3),
        lambda: PerturbedArgmax(torch.zeros(1, 3), Subsets(3, 1), scale=0),
        lambda: SumOfGamma(0),
        lambda: Direct()(Gibbs(torch.zeros(1, 3), Subsets(3, 1)), loss),
        lambda: ScoreFunction()(PerturbedArgmax(torch.zeros(1, 3), Subsets(3, 1)), loss),
        lambda: Gibbs(torch.zeros(1, 3), Subsets(3, 1)).score(torch.zeros(1, 2, 2)),
    ],
)
def test_refused_in_one_line(wrong) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        wrong()
    assert "\n" not in str(error.value)


def test_labels_of_no_assignment_are_refused_by_gibbs() -> None:
    pairs, labels = Subsets(3, 2), torch.tensor([[1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
    q = Gibbs(torch.zeros(2, 3), pairs)
    with pytest.raises(ValueError, match=r"no z of Subsets\(3, 2\) has the labels of problem 1"):
        LabelledDirect(rao_blackwell=True)(q, labels)
