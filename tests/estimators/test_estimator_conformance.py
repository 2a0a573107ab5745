"""Every estimator, and every variant of one, through the conformance suite."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from coupled_conformance import OverPairs
from estimator_conformance import EstimatorConformance
from torch import Tensor, nn

from directmax import (
    Arm,
    Categorical,
    ClampedArgmax,
    CorrectedDirect,
    Direct,
    DisArm,
    Estimator,
    Exact,
    GumbelRao,
    GumbelSoftmax,
    ImplicitMLE,
    LocalDivergence,
    LocalExpectation,
    LocalSearch,
    NoiseScore,
    PairwiseBinary,
    Rebar,
    Relax,
    ScoreFunction,
)
from directmax.distributions import DiscreteDistribution
from directmax.estimators import ESTIMATORS

DIFFERENTIATES = r"^[A-Z]\w+, which differentiates f itself, does not work inside torch.func"


class TestDirect(EstimatorConformance):
    looks_again = True

    def make(self, num_samples: int = 1) -> Estimator:
        return Direct(0.5, num_samples=num_samples)


class TestDirectTwoSided(EstimatorConformance):
    looks_again = True
    test_compiled = None  # TestDirect and TestDirectAutoTwoSided compile all of it

    def make(self, num_samples: int = 1) -> Estimator:
        return Direct(0.5, two_sided=True, num_samples=num_samples)


class TestDirectAuto(EstimatorConformance):
    looks_again = True
    test_compiled = None  # TestDirect and TestDirectAutoTwoSided compile all of it

    def make(self, num_samples: int = 1) -> Estimator:
        return Direct("auto", scale=0.7, num_samples=num_samples)


class TestDirectAutoTwoSided(EstimatorConformance):
    looks_again = True

    def make(self, num_samples: int = 1) -> Estimator:
        return Direct("auto", scale=0.7, two_sided=True, num_samples=num_samples)


class TestDirectRaoBlackwell(EstimatorConformance):
    looks_again = True

    def make(self, num_samples: int = 1) -> Estimator:
        return Direct(0.5, rao_blackwell=True, num_samples=num_samples)


class TestCorrectedDirect(EstimatorConformance):
    looks_again = True

    def make(self, num_samples: int = 1) -> Estimator:
        return CorrectedDirect(0.5, num_samples=num_samples)


class TestCorrectedDirectAutoTwoSided(EstimatorConformance):
    looks_again = True

    def make(self, num_samples: int = 1) -> Estimator:
        return CorrectedDirect(two_sided=True, num_samples=num_samples)


class TestExact(EstimatorConformance):
    twice = True
    samples = False
    discrete = False

    def make(self, num_samples: int = 1) -> Estimator:
        return Exact()


class TestGumbelSoftmax(EstimatorConformance):
    twice = True
    discrete = False

    def make(self, num_samples: int = 1) -> Estimator:
        return GumbelSoftmax(0.7, num_samples=num_samples)


class TestGumbelSoftmaxStraightThrough(EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return GumbelSoftmax(0.7, straight_through=True, num_samples=num_samples)


class TestLocalExpectation(EstimatorConformance):
    looks_again = True

    def make(self, num_samples: int = 1) -> Estimator:
        return LocalExpectation(num_samples=num_samples)


class TestLocalExpectationOfSampledVariables(EstimatorConformance):
    looks_again = True

    def make(self, num_samples: int = 1) -> Estimator:
        return LocalExpectation(num_samples=num_samples, num_variables=1)


class TestDirectOfSampledVariables(EstimatorConformance):
    looks_again = True

    def make(self, num_samples: int = 1) -> Estimator:
        return Direct(num_samples=num_samples, num_variables=1)


class TestLocalDivergence(EstimatorConformance):
    looks_again = True
    quiet = False  # equal losses draw q towards uniform, which the KL term does at another rate

    def make(self, num_samples: int = 1) -> Estimator:
        return LocalDivergence(0.7, num_samples=num_samples)


class TestLocalSearch(EstimatorConformance):
    quiet = False  # as TestLocalDivergence

    def make(self, num_samples: int = 1) -> Estimator:
        return LocalSearch(moves=2, num_samples=num_samples)


class TestScoreFunction(EstimatorConformance):
    """With one sample: a running mean, 0 at the first call."""

    transforms = r"^the running mean of ScoreFunction does not work inside torch.func"
    shift_invariant = False
    quiet = False
    stateless = False

    def make(self, num_samples: int = 1) -> Estimator:
        return ScoreFunction(num_samples=num_samples, baseline="running-mean")


class TestScoreFunctionLeaveOneOut(EstimatorConformance):
    """Two samples at least, so two for each that is asked for."""

    draws_per_sample = 2

    def make(self, num_samples: int = 1) -> Estimator:
        double = isinstance(num_samples, int) and not isinstance(num_samples, bool)
        return ScoreFunction(num_samples=2 * num_samples if double else num_samples)


class TestNoiseScore(EstimatorConformance):
    """Two samples at least, so two for each that is asked for."""

    draws_per_sample = 2

    def make(self, num_samples: int = 1) -> Estimator:
        double = isinstance(num_samples, int) and not isinstance(num_samples, bool)
        return NoiseScore(num_samples=2 * num_samples if double else num_samples)


class TestScoreFunctionWithoutBaseline(EstimatorConformance):
    shift_invariant = False
    quiet = False

    def make(self, num_samples: int = 1) -> Estimator:
        return ScoreFunction(num_samples=num_samples, baseline="none")


class TestArm(EstimatorConformance):
    num_values = 2
    draws_per_sample = 2

    def make(self, num_samples: int = 1) -> Estimator:
        return Arm(num_samples=num_samples)


class TestDisArm(EstimatorConformance):
    num_values = 2
    draws_per_sample = 2

    def make(self, num_samples: int = 1) -> Estimator:
        return DisArm(num_samples=num_samples)


class TestRebar(EstimatorConformance):
    transforms = DIFFERENTIATES
    compiles = False

    def make(self, num_samples: int = 1) -> Estimator:
        return Rebar(num_samples=num_samples)


class Anywhere(nn.Module):
    """A surrogate for any number of variables and values."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.3, -0.2, 0.5]))

    def forward(self, relaxed: Tensor) -> Tensor:
        first, last = relaxed[..., 0].sum(-1), relaxed[..., -1].prod(-1)
        return self.weight[0] * first + self.weight[1] * first**2 + self.weight[2] * last


class TestRelax(EstimatorConformance):
    blind = False
    quiet = False
    transforms = DIFFERENTIATES
    compiles = False

    def make(self, num_samples: int = 1) -> Estimator:
        return Relax(Anywhere(), num_samples=num_samples)


class TestRelaxBlackBox(TestRelax):
    shift_invariant = False

    def make(self, num_samples: int = 1) -> Estimator:
        return Relax(Anywhere(), scale=None, num_samples=num_samples)


class TestGumbelRao(EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return GumbelRao(0.7, num_conditional=3, num_samples=num_samples)


class TestImplicitMLE(EstimatorConformance):
    transforms = DIFFERENTIATES
    compiles = False

    def make(self, num_samples: int = 1) -> Estimator:
        return ImplicitMLE(0.5, num_samples=num_samples)


class TestImplicitMLEAutoTwoSided(EstimatorConformance):
    transforms = DIFFERENTIATES
    compiles = False

    def make(self, num_samples: int = 1) -> Estimator:
        return ImplicitMLE(two_sided=True, num_samples=num_samples)


class TestClampedArgmax(OverPairs, EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return ClampedArgmax(num_samples=num_samples)


class TestDirectOverPairs(OverPairs, TestDirect):
    pass


class TestDirectAutoTwoSidedOverPairs(OverPairs, TestDirectAutoTwoSided):
    pass


class TestImplicitMLEOverPairs(OverPairs, TestImplicitMLE):
    pass


class TestLocalSearchOverPairs(OverPairs, TestLocalSearch):
    """Its gradient is exact given where the search ends; `test_local_search.py`."""


class OverStates(OverPairs):
    """Coupled variables with noise on the states: samples of the Gibbs distribution."""

    exact_samples = True

    def distribution(self, logits: Tensor, noise: Tensor | None = None) -> DiscreteDistribution:
        if noise is not None:
            pytest.skip("the noise of the states is another")
        return PairwiseBinary(logits, self.pairwise(logits), perturbation="states")


class TestScoreFunctionOverStates(OverStates, TestScoreFunctionLeaveOneOut):
    pass


class TestDirectOverStates(OverStates, TestDirect):
    pass


class TestExactOverPairs(OverPairs, TestExact):
    exact_samples = True


DECLARED = {type(suite().make()) for suite in EstimatorConformance.__subclasses__()}
for row in ESTIMATORS.values():  # those that need no settings and have no peculiarity
    if row.cls not in DECLARED:
        suite = f"Test{row.class_name}"
        make = {"make": lambda self, num_samples=1, cls=row.cls: cls(num_samples=num_samples)}
        settings = {"num_values": 2} if row.binary else {}
        globals()[suite] = type(
            suite, (EstimatorConformance,), {**make, **settings, "__module__": __name__}
        )


def accepted(estimator: Estimator, q: DiscreteDistribution) -> bool:
    try:
        loss = estimator(q, lambda z: z[..., 1].sum(-1) + z[..., 0].prod(-1)).loss
    except (TypeError, ValueError):
        return False
    assert loss.shape == (3,)
    return True


@pytest.mark.parametrize("name", ESTIMATORS)
def test_declarations_say_what_an_estimator_takes(name: str) -> None:
    row = ESTIMATORS[name]
    assert row.cls.needs_binary == row.binary
    settings = {"baseline": "none"} if "baseline" in row.uses else {}
    binary, ternary = (torch.zeros(3, 2, k, requires_grad=True) for k in (2, 3))
    pairs = torch.ones(3, 1, requires_grad=True)
    estimator = row.make(settings, 2, 2)
    assert accepted(estimator, Categorical(binary)) == row.independent
    takes_more = row.independent and not row.binary
    assert accepted(row.make(settings, 2, 3), Categorical(ternary)) == takes_more
    for noise in ("unary", "states"):
        coupled = PairwiseBinary(binary, pairs, perturbation=noise)
        assert accepted(estimator, coupled) == (noise in row.coupled)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_declarations_name_arguments_of_the_constructor(name: str) -> None:
    row = ESTIMATORS[name]
    arguments = inspect.signature(row.cls).parameters
    assert {*row.uses.values(), *row.parts} <= set(arguments)
    assert row.anneals is None or row.anneals in row.uses
    if "temperature" in row.uses:
        assert arguments["temperature"].default == row.temperature


def test_numbers_of_numpy() -> None:
    estimator = Direct(np.float32(0.5), scale=np.float64(2.0), num_samples=np.int64(2))
    assert estimator.num_samples == 2
    assert type(estimator.num_samples) is int
    q = Categorical(torch.zeros(3, 2, 2, requires_grad=True))
    assert estimator(q, lambda z: z[..., 1].sum(-1)).loss.shape == (3,)
