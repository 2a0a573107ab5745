"""A wrong call of the public interface ends in one line that says what was wrong."""

from __future__ import annotations

import warnings

import pytest

import directmax
import directmax.solvers
from wrong_calls import calls, wrong_calls
from wrong_values import fault


def faults(count: int, seed: int) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [found for call in wrong_calls(count, seed) if (found := fault(call))]


def test_calls_are_right_before_they_are_spoilt() -> None:
    for call in calls():
        call.function(**{name: make() for name, make in call.good.items()})


def test_wrong_calls() -> None:
    assert faults(250, seed=0) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_wrong_calls(seed: int) -> None:
    assert faults(1000, seed) == []


def test_limits_steps_and_seeds_may_be_beyond_what_is_counted() -> None:
    directmax.Exact(max_states=2**40)
    directmax.solvers.BranchAndBound(node_limit=10**12)
    assert directmax.LinearDecay(1.0, 0.0, hold=10**10, steps=10**11)(5) == 1.0
    with pytest.raises(ValueError, match="num_samples must be at most"):
        directmax.Direct(num_samples=2**31)
