"""Forbidden values in every estimator that is declared, against enumeration in float64."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from estimator_problems import seeded
from torch import Tensor

from directmax import Categorical, LabelledDirect, NoiseScore, PairwiseBinary
from directmax.distributions import DiscreteDistribution
from directmax.estimators import ESTIMATORS, Declaration, Estimator
from reference import Interaction, all_states, gibbs_probs
from significance import assert_mean

LOWEST = torch.finfo(torch.float64).min
NOTICED = 0.15
"""The difference of a mean that is to be seen."""


def draws(name: str) -> int:
    return 40_000 if name == "score-function" else 4000  # its variance is large


def variants() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every estimator over each distribution that it takes, with each switch off and on."""
    for name, row in ESTIMATORS.items():
        settings: list[dict[str, object]] = [{}]
        switches = {"two_sided", "rao_blackwell", "straight_through"} & row.uses.keys()
        settings += [{each: True} for each in sorted(switches)]
        if "epsilon" in row.uses:
            settings.append({"epsilon": 0.5})
        if "baseline" in row.uses:
            settings += [{"baseline": "none"}, {"baseline": "leave-one-out", "num_samples": 2}]
        for given in settings:
            if row.independent:
                yield name, "independent", given
            if not given.get("rao_blackwell"):
                for noise in row.coupled:
                    yield name, noise, given


def masked(row: Declaration, kind: str, forbidden: float) -> tuple[Tensor, Tensor]:
    """Potentials `(1, n, k)` of which some are forbidden, and those of pairs."""
    binary = row.binary or kind != "independent"
    g = torch.Generator().manual_seed(5)
    potentials = torch.randn(1, 3, 2 if binary else 4, generator=g, dtype=torch.float64)
    potentials[0, 0, 1] = potentials[0, 2, 0] = forbidden
    if not binary:
        potentials[0, 0, 3] = potentials[0, 1, 2] = forbidden
    return potentials, torch.randn(1, 3, generator=g, dtype=torch.float64)


def made(kind: str, potentials: Tensor, pairs: Tensor) -> DiscreteDistribution:
    if kind == "independent":
        return Categorical(potentials)
    return PairwiseBinary(potentials, pairs.expand(len(potentials), -1), perturbation=kind)


def expected(kind: str, potentials: Tensor, pairs: Tensor, f: Interaction) -> Tensor:
    """∂E_q[f]/∂h of what is allowed, by enumeration without the package; 0 where forbidden."""
    leaf = potentials.detach().clone().requires_grad_()
    states = all_states(*potentials.shape[1:])
    if kind == "independent":
        scores = (torch.where(states > 0, leaf, 0.0)).sum((-2, -1))
        probs = scores.softmax(-1)
    else:
        probs = gibbs_probs(torch.where(leaf < -1e300, -1e4, leaf), pairs)[0]
    losses = f(states.unsqueeze(1))[:, 0]
    (gradient,) = torch.autograd.grad((probs * losses).sum(), leaf)
    return gradient.nan_to_num()[0]


@pytest.mark.parametrize("forbidden", [-torch.inf, LOWEST], ids=["inf", "lowest"])
@pytest.mark.parametrize(("name", "kind", "settings"), list(variants()))
def test_gradients(name: str, kind: str, settings: dict[str, object], forbidden: float) -> None:
    """Finite, zero where forbidden, samples that are allowed; unbiased where the class says so."""
    row = ESTIMATORS[name]
    potentials, pairs = masked(row, kind, forbidden)
    _, n, k = potentials.shape
    f = Interaction(1, n, k).requires_grad_(False)
    estimator: Estimator = row.make(settings, n, k).double()
    leaf = potentials.expand(draws(name), -1, -1).clone().requires_grad_()
    estimate = estimator(made(kind, leaf, pairs), f, generator=seeded())
    (gradient,) = torch.autograd.grad(estimate.loss.sum(), leaf)
    never = potentials[0] <= LOWEST
    assert estimate.loss.isfinite().all()
    assert gradient.isfinite().all()
    assert (gradient[:, never] == 0).all()
    if estimate.sample is not None:
        assert (estimate.sample[..., never] == 0).all()
    of_gibbs = kind != "unary" or name == "exact"  # else of perturb-and-MAP samples
    if estimator.unbiased and of_gibbs:
        wanted = expected(kind, potentials, pairs, f)
        if estimate.sample is None:
            torch.testing.assert_close(gradient[0], wanted, rtol=0, atol=1e-9)
        else:
            assert_mean(gradient[:, ~never], wanted[~never], resolution=NOTICED)


BLIND = [each for each in variants() if not ESTIMATORS[each[0]].parts]
"""Those without networks that see how many values there are."""


@pytest.mark.parametrize(("name", "kind", "settings"), BLIND)
def test_a_mask_is_the_smaller_problem(name: str, kind: str, settings: dict[str, object]) -> None:
    """Whatever the bias: with all but one value of a variable forbidden it is not there."""
    row = ESTIMATORS[name]
    potentials, pairs = masked(row, kind, 0.0)
    _, n, k = potentials.shape
    potentials[0, 2, 1:] = -torch.inf
    f = Interaction(1, n, k).requires_grad_(False)

    def without(z: Tensor) -> Tensor:
        rest = torch.eye(k, dtype=z.dtype)[0].expand(*z.shape[:-2], 1, k)
        return f(torch.cat([z, rest], -2))

    gradients = []
    for size, g, each in ((n, f, 1), (n - 1, without, 2)):
        leaf = potentials[:, :size].expand(draws(name), -1, -1).clone().requires_grad_()
        q = made(kind, leaf, pairs if size == n else pairs[:, :1])
        loss = row.make({"epsilon": 0.5} | settings, size, k)(q, g, generator=seeded(each)).loss
        gradients.append(torch.autograd.grad(loss.sum(), leaf)[0])
    found, wanted = gradients
    assert (found[:, 2] == 0).all()
    assert_mean(found[:, :2] - wanted, torch.zeros_like(wanted[0]), resolution=NOTICED)


@pytest.mark.parametrize(
    "estimator", [LabelledDirect(), LabelledDirect(0.5), NoiseScore()], ids=repr
)
def test_those_without_a_name(estimator: Estimator) -> None:
    potentials, pairs = masked(ESTIMATORS["clamped-argmax"], "unary", -torch.inf)
    leaf = potentials.expand(50, -1, -1).clone().requires_grad_()
    for q in (Categorical(leaf), PairwiseBinary(leaf, pairs.expand(50, -1))):
        target = torch.tensor([[0, 1, 1]] * 50)
        f = target if isinstance(estimator, LabelledDirect) else Interaction(1, 3, 2)
        if isinstance(estimator, NoiseScore) and isinstance(q, PairwiseBinary):
            continue  # is for other distributions
        loss = estimator(q, f, generator=seeded()).loss
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        assert gradient.isfinite().all()
        assert (gradient[potentials.expand_as(gradient) == -torch.inf] == 0).all()
