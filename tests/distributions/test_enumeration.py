"""Enumeration: the states, their order, their number, and the limit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states, number_of_states
from reference import all_states


@given(st.integers(1, 4), st.integers(2, 5))
def test_all_states_in_lexicographic_order(num_variables: int, num_values: int) -> None:
    states = enumerate_states(num_variables, num_values, dtype=torch.float64)
    assert torch.equal(states, all_states(num_variables, num_values))
    assert len(states) == number_of_states(num_variables, num_values)


def test_type() -> None:
    assert enumerate_states(1, 2).dtype == torch.get_default_dtype()
    assert enumerate_states(2, 2, dtype=torch.float16).dtype == torch.float16


def test_the_limit_is_inclusive() -> None:
    assert len(enumerate_states(3, 2, max_states=8)) == 8
    with pytest.raises(ValueError, match=r"2\^3 = 8 states, the limit is 7"):
        enumerate_states(3, 2, max_states=7)
    assert number_of_states(16, 2, DEFAULT_MAX_STATES) == 65_536
    assert number_of_states(100, 10) == 10**100


@pytest.mark.parametrize(
    ("num_variables", "num_values", "count"),
    [(3, 100, "1,000,000"), (40, 10, "about 1e40"), (20_000, 2, "about 1e6020")],
)
def test_the_error_holds_the_count(num_variables: int, num_values: int, count: str) -> None:
    with pytest.raises(ValueError, match=r"^enumeration needs .*states") as error:
        enumerate_states(num_variables, num_values)
    assert count in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("sizes", "error", "name"),
    [
        ((0, 2), ValueError, "num_variables"),
        ((1, 1), ValueError, "num_values"),
        ((1.0, 2), TypeError, "num_variables"),
        ((1, True), TypeError, "num_values"),
    ],
)
def test_sizes_are_checked(sizes: tuple[int, int], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=f"^{name} must be an integer of at least"):
        enumerate_states(*sizes)
