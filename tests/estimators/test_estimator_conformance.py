"""Every estimator, and every variant of one, through the conformance suite."""

from __future__ import annotations

from estimator_conformance import EstimatorConformance, OverPairs

from directmax import ClampedArgmax, Direct, Estimator, Exact, GumbelSoftmax, LocalExpectation
from directmax.estimators import ESTIMATORS


class TestDirect(EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return Direct(0.5, num_samples=num_samples)


class TestDirectTwoSided(EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return Direct(0.5, two_sided=True, num_samples=num_samples)


class TestDirectAuto(EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return Direct("auto", scale=0.7, num_samples=num_samples)


class TestDirectAutoTwoSided(EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return Direct("auto", scale=0.7, two_sided=True, num_samples=num_samples)


class TestExact(EstimatorConformance):
    samples = False
    discrete = False

    def make(self, num_samples: int = 1) -> Estimator:
        return Exact()


class TestGumbelSoftmax(EstimatorConformance):
    discrete = False

    def make(self, num_samples: int = 1) -> Estimator:
        return GumbelSoftmax(0.7, num_samples=num_samples)


class TestGumbelSoftmaxStraightThrough(EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return GumbelSoftmax(0.7, straight_through=True, num_samples=num_samples)


class TestLocalExpectation(EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return LocalExpectation(num_samples=num_samples)


class TestClampedArgmax(OverPairs, EstimatorConformance):
    def make(self, num_samples: int = 1) -> Estimator:
        return ClampedArgmax(num_samples=num_samples)


class TestDirectOverPairs(OverPairs, TestDirect):
    pass


class TestDirectAutoTwoSidedOverPairs(OverPairs, TestDirectAutoTwoSided):
    pass


class TestExactOverPairs(OverPairs, TestExact):
    exact_samples = True


def test_every_estimator_has_a_conformance_class() -> None:
    tested = {type(suite().make()) for suite in EstimatorConformance.__subclasses__()}
    assert tested == set(ESTIMATORS.values())


def test_names_and_flags() -> None:
    assert ESTIMATORS["direct"] is Direct
    assert ESTIMATORS["clamped-argmax"] is ClampedArgmax
    assert {name: cls.unbiased for name, cls in ESTIMATORS.items()} == {
        "clamped-argmax": True,
        "direct": False,
        "exact": True,
        "gumbel-softmax": False,
        "local-expectation": True,
    }
