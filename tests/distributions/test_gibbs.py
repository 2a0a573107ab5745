"""The sums over all states: the compiled ones against torch, out of range, in float32, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pairwise_problems import random_problem
from torch import Tensor

from directmax import PairwiseBinary
from directmax.distributions import _gibbs_sums
from directmax.distributions._gibbs import moments
from directmax.distributions._gibbs_sums import Moments
from reference import all_states, pairwise_features

CLOSE = {"rtol": 1e-11, "atol": 1e-11}


def problem(
    batch: int, n: int, *, seed: int = 0, scale: float = 1.0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """field `(b, n)` and pairwise `(b, P)`."""
    unary, pairwise = random_problem(batch, n, seed=seed, scale=scale)
    return (unary[..., 1] - unary[..., 0]).to(dtype), pairwise.to(dtype)


def enumerated(field: Tensor, pairwise: Tensor) -> Moments:
    """The same sums, in float64, state by state."""
    n = field.shape[1]
    features = pairwise_features(all_states(n, 2)[..., 1])  # (K, n + P)
    score = torch.cat([field, pairwise], -1).double() @ features.T
    probs = score.softmax(-1)
    energy = (probs * score).sum(-1)
    mean = probs @ features
    covariance = (probs * (score - energy[:, None])) @ features
    return Moments(
        log_normalizer=score.logsumexp(-1),
        energy=energy,
        first=mean[:, :n],
        first_covariance=covariance[:, :n],
        second=mean[:, n:],
        second_covariance=covariance[:, n:],
    )


def groups_of(n: int) -> tuple[int, int, int]:
    return (n + 2) // 3, (n + 1) // 3, n // 3


def in_torch(field: Tensor, pairwise: Tensor) -> Moments:
    """As on other devices."""
    result = _gibbs_sums._empty(field, pairwise)
    total = _gibbs_sums._in_torch((field, pairwise), result, groups_of(field.shape[1]))
    assert _gibbs_sums._enough(total, field.shape[1]).all()
    return result


def by_states(field: Tensor, pairwise: Tensor) -> Moments:
    """As where no range is enough."""
    return _gibbs_sums._otherwise(field, pairwise, groups_of(field.shape[1]))


def assert_close(actual: Moments, expected: Moments, *, rtol: float, atol: float) -> None:
    for name, one, other in zip(Moments._fields, actual, expected, strict=True):
        torch.testing.assert_close(
            one.double(),
            other.double(),
            rtol=rtol,
            atol=atol,
            msg=lambda text, name=name: f"{name}: {text}",
        )


@given(
    st.integers(0, 4), st.integers(1, 10), st.integers(0, 1000), st.sampled_from([0.01, 1.0, 5.0])
)
def test_compiled_and_torch_agree_with_enumeration(
    batch: int, n: int, seed: int, scale: float
) -> None:
    field, pairwise = problem(batch, n, seed=seed, scale=scale)
    expected = enumerated(field, pairwise)
    assert_close(moments(field, pairwise), expected, **CLOSE)
    if batch:
        assert_close(in_torch(field, pairwise), expected, **CLOSE)
        assert_close(by_states(field, pairwise), expected, **CLOSE)


@pytest.mark.parametrize("elements", [300, 4096])
def test_in_chunks(elements: int) -> None:
    field, pairwise = problem(3, 8)
    for name, way in (("CHUNK_ELEMENTS", by_states), ("CHUNK_ELEMENTS_CPU", moments)):
        with patch.object(_gibbs_sums, name, elements >> (name == "CHUNK_ELEMENTS_CPU")):
            assert_close(way(field, pairwise), enumerated(field, pairwise), **CLOSE)


@pytest.mark.parametrize("n", [13, 14, 17])
def test_every_way_gives_the_same_of_many_variables(n: int) -> None:
    field, pairwise = problem(2, n, scale=2.0)
    compiled = moments(field, pairwise)
    assert_close(compiled, in_torch(field, pairwise), **CLOSE)
    assert_close(compiled, by_states(field, pairwise), **CLOSE)


@pytest.mark.parametrize("n", [4, 11])
def test_rows_that_need_another_type_change_no_others(n: int) -> None:
    """Of six problems two leave the range of float32, one that of float64."""
    field, pairwise = problem(6, n, dtype=torch.float32)
    factor = torch.tensor([1.0, 60.0, 1.0, 3e4, 1.0, 60.0])[:, None]
    mixed = moments(field * factor, pairwise * factor)
    for row in range(6):
        alone = moments((field * factor)[row : row + 1], (pairwise * factor)[row : row + 1])
        for one, other in zip(mixed, alone, strict=True):
            torch.testing.assert_close(one[row : row + 1], other)
    expected = enumerated(field * factor, pairwise * factor)
    torch.testing.assert_close(mixed.first.double(), expected.first, rtol=0, atol=2e-5)
    torch.testing.assert_close(mixed.log_normalizer.double(), expected.log_normalizer)


@pytest.mark.parametrize("n", [1, 6, 7, 8, 9, 14])
def test_in_float32(n: int) -> None:
    field, pairwise = problem(3, n, dtype=torch.float32)
    result = moments(field, pairwise)
    assert {part.dtype for part in result} == {torch.float32}
    assert_close(result, enumerated(field, pairwise), rtol=5e-6, atol=5e-6)


HIDDEN = [40.0, 65.0, 68.0, 69.0, 70.0, 85.0, 87.0, 95.0, 300.0, 660.0, 669.0, 699.0, 705.0, 1e4]
"""By how much the best state beats the one that single changes find: around the ends of the range
of float32 (e^86, sums kept below 1e30) and float64 (e^700, 1e290)."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [2, 7, 8, 9])
@pytest.mark.parametrize("height", HIDDEN)
def test_a_best_state_that_single_changes_do_not_find(
    height: float, n: int, dtype: torch.dtype
) -> None:
    """The sums start relative to a local maximum, here all off; the first and the last variable
    both on are better by far, yet each alone is worse."""
    field = torch.full((2, n), -3.0, dtype=dtype)
    pairwise = torch.zeros(2, n * (n - 1) // 2, dtype=dtype)
    field[:, [0, n - 1]] = -height
    pairwise[:, n - 2] = 3 * height  # the pair (0, n − 1)
    result = moments(field, pairwise)
    # e^height · (1 + e^-3)^(n-2) for both on, of which all but e^-height is the sum.
    rest = torch.tensor(-3.0).double()
    log_normalizer = height + (n - 2) * torch.nn.functional.softplus(rest)
    eps = torch.finfo(dtype).eps
    scale = 8 * height * eps
    close = {"rtol": 0, "atol": scale}
    expected = torch.full((2,), float(log_normalizer), dtype=dtype)
    torch.testing.assert_close(result.log_normalizer, expected, **close)
    energy = torch.full((2,), float(height + (n - 2) * -3 * rest.sigmoid()), dtype=dtype)
    torch.testing.assert_close(result.energy, energy, **close)
    marginal = torch.full((2, n), float(rest.sigmoid()), dtype=dtype)
    marginal[:, [0, n - 1]] = 1
    torch.testing.assert_close(result.first, marginal, rtol=0, atol=32 * eps)
    torch.testing.assert_close(result.second[:, n - 2], torch.ones(2, dtype=dtype), **close)
    # Cov(h, z_i) = -3 Var(z_i): of the others only.
    covariance = -3 * marginal * (1 - marginal)
    torch.testing.assert_close(result.first_covariance, covariance, rtol=0, atol=4 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [100.0, 1e4, 1e6])
@pytest.mark.parametrize("n", [3, 8, 12])
def test_large_potentials(n: int, size: float, dtype: torch.dtype) -> None:
    """Random ones of both signs: finite, probabilities, and right as far as the type goes."""
    field, pairwise = problem(3, n, seed=n, scale=size, dtype=dtype)
    result, expected = moments(field, pairwise), enumerated(field, pairwise)
    assert all(part.isfinite().all() for part in result)
    assert ((result.first >= 0) & (result.first <= 1 + 1e-6)).all()
    error = n**2 * size * torch.finfo(dtype).eps  # of a score
    torch.testing.assert_close(
        result.log_normalizer.double(), expected.log_normalizer, rtol=0, atol=error
    )
    torch.testing.assert_close(result.first.double(), expected.first, rtol=0, atol=min(1, error))


def test_equal_states_of_large_potentials() -> None:
    """Two best states, 1e4 above all others: marginals ½ and an entropy of log 2."""
    size = 1e4
    for dtype in (torch.float32, torch.float64):
        field = torch.full((1, 9), -4 * size, dtype=dtype)
        pairwise = torch.full((1, 36), size, dtype=dtype)  # all on: -36 + 36 = 0, all off: 0
        result = moments(field, pairwise)
        assert torch.equal(result.first, torch.full((1, 9), 0.5, dtype=dtype))
        assert torch.equal(result.second, torch.full((1, 36), 0.5, dtype=dtype))
        assert result.first_covariance.abs().max() < 1e-20
        q = PairwiseBinary(torch.stack([torch.zeros_like(field), field], -1), pairwise)
        assert float(q.entropy()) == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-6)


def test_threads_split_the_batch() -> None:
    field, pairwise = problem(101, 9)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = moments(field, pairwise)
        torch.set_num_threads(3)
        together = moments(field, pairwise)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)
    problems = [problem(5, 9, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda p: moments(*p), problems))
    for part, result in zip(problems, results, strict=True):
        assert_close(result, moments(*part), rtol=0, atol=0)


def test_strided_potentials() -> None:
    field, pairwise = problem(6, 8)
    across = field.T.contiguous().T
    assert_close(moments(across, pairwise.T.contiguous().T), moments(field, pairwise), **CLOSE)
    assert_close(moments(field[::2], pairwise[::2]), enumerated(field[::2], pairwise[::2]), **CLOSE)


def test_too_many_variables() -> None:
    with pytest.raises(ValueError, match=r"^log-partition.*for n up to 24; got 25 variables$"):
        moments(torch.zeros(1, 25), torch.zeros(1, 300))
