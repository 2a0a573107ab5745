"""A wrong call of the public interface ends in one line that says what was wrong."""

from __future__ import annotations

import re
import traceback
import warnings
from pathlib import Path

import pytest

import directmax
import directmax.solvers
from wrong_calls import WrongCall, calls, wrong_calls

PACKAGE = str(Path(directmax.__file__).parent)
EXPECTED = r"must|expected|needs|unknown|takes|not finite"


def fault(call: WrongCall) -> str | None:
    """What is wrong with how a wrong call ends; None where it is right, or the call succeeds."""
    try:
        call()
    except (TypeError, ValueError) as error:
        message = str(error)
        if not traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE):
            return f"{call}: raised by torch or Python, {message}"
        if "\n" in message:
            return f"{call}: several lines, {message}"
        if not re.search(rf"\b{call.argument}\b|{EXPECTED}", message):
            return f"{call}: neither the argument nor what was expected, {message}"
        return None
    except Exception as error:  # the point is that there is no other
        return f"{call}: {type(error).__name__}, {error}"
    return f"{call} is accepted" if call.hopeless else None


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
