"""Schedules: exact values, limits, errors."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directmax import ExponentialDecay, GeometricDecay
from directmax.schedules import Schedule, at


def test_exponential_decay_follows_its_formula() -> None:
    schedule = ExponentialDecay(initial=2.0, rate=0.01, every=10, minimum=0.5)
    assert schedule(0) == schedule(9) == 2.0
    assert schedule(10) == schedule(19) == 2.0 * math.exp(-0.1)
    assert schedule(35) == 2.0 * math.exp(-0.3)
    assert schedule(10**9) == 0.5


def test_exponential_decay_defaults_are_the_papers() -> None:
    schedule = ExponentialDecay()
    assert schedule(1000) == pytest.approx(math.exp(-0.01), rel=1e-14)
    assert schedule(230_000) == pytest.approx(math.exp(-2.3), rel=1e-14)
    assert schedule(231_000) == 0.1


def test_exponential_decay_without_decay() -> None:
    assert ExponentialDecay(initial=0.3, rate=0)(10**7) == 0.3


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_exponential_decay_never_rises(first: int, second: int) -> None:
    schedule = ExponentialDecay()
    low, high = sorted((first, second))
    assert schedule(low) >= schedule(high) >= schedule.minimum


def test_geometric_decay_follows_its_formula() -> None:
    schedule = GeometricDecay(initial=8.0, final=0.5, steps=4)
    values = [schedule(step) for step in range(6)]
    assert values == pytest.approx([8.0, 4.0, 2.0, 1.0, 0.5, 0.5], rel=1e-14)
    assert GeometricDecay(initial=5.0, final=1.0, steps=10)(3) == pytest.approx(5.0**0.7)


def test_geometric_decay_may_rise_and_may_take_no_step() -> None:
    assert GeometricDecay(initial=0.25, final=1.0, steps=2)(1) == 0.5
    assert GeometricDecay(initial=0.25, final=1.0, steps=0)(0) == 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"initial": 0.0}, ValueError, "initial"),
        ({"initial": -1.0}, ValueError, "initial"),
        ({"initial": math.nan}, ValueError, "initial"),
        ({"initial": math.inf}, ValueError, "initial"),
        ({"initial": "1"}, TypeError, "initial"),
        ({"initial": True}, TypeError, "initial"),
        ({"rate": -1e-5}, ValueError, "rate"),
        ({"minimum": 0}, ValueError, "minimum"),
        ({"minimum": 2.0}, ValueError, "minimum"),
        ({"every": 0}, ValueError, "every"),
        ({"every": 10.0}, TypeError, "every"),
    ],
)
def test_exponential_decay_refuses(
    arguments: dict[str, object], error: type[Exception], name: str
) -> None:
    with pytest.raises(error, match=f"^{name} must be [^\\n]*$"):
        ExponentialDecay(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"initial": 0.0}, ValueError, "initial"),
        ({"final": -2.0}, ValueError, "final"),
        ({"steps": -1}, ValueError, "steps"),
        ({"steps": 1.5}, TypeError, "steps"),
    ],
)
def test_geometric_decay_refuses(
    arguments: dict[str, object], error: type[Exception], name: str
) -> None:
    with pytest.raises(error, match=f"^{name} must be "):
        GeometricDecay(**({"initial": 1.0, "final": 0.5, "steps": 3} | arguments))


def test_schedules_are_values() -> None:
    assert ExponentialDecay() == ExponentialDecay()
    assert isinstance(ExponentialDecay(), Schedule)
    with pytest.raises(FrozenInstanceError):
        ExponentialDecay().initial = 3.0


def test_at() -> None:
    assert at(0.25, step=10**6) == 0.25
    assert at(GeometricDecay(4.0, 1.0, 2), 1) == 2.0
    assert at(lambda step: float(step + 1), 6) == 7.0
