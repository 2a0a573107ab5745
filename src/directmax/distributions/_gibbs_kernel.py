"""Compiled parts of the sums over all states, see `_gibbs_sums`. Imported on first use.

All take rows start … stop−1 of a few problems, whose tables are `(rows, X, Y)`, X and Y the states
of two of three groups of variables: the pairs AB, AC and BC, in this order. Numbers and vectors are
of all problems, of which row 0 is the one called `begin`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax._compiled_math import FAST, exp
from directmax._state_tables import add, of_groups, shift

Three = tuple[NDArray, NDArray, NDArray]


@njit(cache=True, nogil=True, fastmath=FAST)
def prepare(
    field: NDArray,
    pairwise: NDArray,
    groups: tuple[int, int, int],
    logs: Three,
    factors: Three,
    bound: NDArray,
    lowest: float,
    top: float,
    begin: int,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """The tables L, and the factors top · e^L, 0 where L is not above `lowest`.

    Args:
        field: `(b, n)`.
        pairwise: `(b, P)`.
        groups: how many variables are in A, B and C.
        logs: out, L, with largest entry 0 each.
        factors: out.
        bound: out, `(b,)`: by how much h is more than the sum of its three entries of L.
        lowest: of the tables' type.
        top: of the tables' type.
        begin: problem of row 0.
        start: first row.
        stop: one past the last.
    """
    a, b, c = 1 << groups[0], 1 << groups[1], 1 << groups[2]
    work = np.empty(2 * (a + b + c), field.dtype)
    for row in range(start, stop):
        ab, ac, bc = logs[0][row], logs[1][row], logs[2][row]
        highest = of_groups(field[begin + row], pairwise[begin + row], groups, ab, ac, bc, work)
        bound[begin + row] = highest
        for x in range(b):
            shift(bc[x], -highest)
        for i in range(3):
            log, factor = logs[i][row], factors[i][row]
            for x in range(len(log)):
                _factors(log[x], factor[x], lowest, top)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _add_twice(one: NDArray, two: NDArray, more: NDArray) -> None:  # pragma: no cover (compiled)
    for y in range(len(more)):
        one[y] += more[y]
        two[y] += more[y]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _factors(
    logs: NDArray, out: NDArray, lowest: float, top: float
) -> None:  # pragma: no cover (compiled)
    zero = top - top
    for y in range(len(logs)):
        out[y] = exp(logs[y]) * top if logs[y] > lowest else zero


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")  # a total of 0: see `_enough`
def centre(
    factors: Three,
    others: Three,
    logs: Three,
    total: NDArray,
    mean: NDArray,
    begin: int,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Make of L the products M (L − E[L]).

    Args:
        factors: M.
        others: the sums over the third group, of products of the two other factors.
        logs: L; out, the products.
        total: out, `(b,)`, the sum of all states' products of three factors.
        mean: out, `(b,)`, E[L_AB + L_AC + L_BC].
        begin: problem of row 0.
        start: first row.
        stop: one past the last.
    """
    for row in range(start, stop):
        first, second = factors[0][row], others[0][row]
        sum_ = first[0, 0] - first[0, 0]
        for x in range(len(first)):
            sum_ += _dot(first[x], second[x])
        total[begin + row] = sum_
        mean[begin + row] = 0
        for i in range(3):
            factor, other, log = factors[i][row], others[i][row], logs[i][row]
            average = sum_ - sum_
            for x in range(len(factor)):
                average += _dot3(factor[x], other[x], log[x])
            average /= sum_
            mean[begin + row] += average
            for x in range(len(factor)):
                _centred(log[x], factor[x], average)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _dot(one: NDArray, two: NDArray) -> float:  # pragma: no cover (compiled)
    total = one[0] - one[0]
    for y in range(len(one)):
        total += one[y] * two[y]
    return total


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _dot3(one: NDArray, two: NDArray, three: NDArray) -> float:  # pragma: no cover (compiled)
    total = one[0] - one[0]
    for y in range(len(one)):
        total += one[y] * two[y] * three[y]
    return total


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _centred(log: NDArray, factor: NDArray, mean: float) -> None:  # pragma: no cover (compiled)
    for y in range(len(log)):
        log[y] = factor[y] * (log[y] - mean)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")  # a total of 0: see `_enough`
def features(
    factors: Three,
    others: Three,
    products: Three,
    mixed: Three,
    total: NDArray,
    groups: tuple[int, int, int],
    first: NDArray,
    first_covariance: NDArray,
    second: NDArray,
    second_covariance: NDArray,
    begin: int,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """The sums for single variables and pairs, from those for pairs of groups' states.

    Args:
        factors: M.
        others: as in `centre`; lost, as `mixed` is.
        products: M (L − E[L]).
        mixed: the sums over the third group of one factor times one product.
        total: `(b,)`.
        groups: how many variables are in A, B and C.
        first: out, `(b, n)`, E[z_i].
        first_covariance: out, `(b, n)`, Cov(h, z_i).
        second: out, `(b, P)`, E[z_i z_j].
        second_covariance: out, `(b, P)`, Cov(h, z_i z_j).
        begin: problem of row 0.
        start: first row.
        stop: one past the last.
    """
    n, b0, c0 = first.shape[1], groups[0], groups[0] + groups[1]
    of_a, on = np.empty(1 << groups[0], first.dtype), np.empty(n, first.dtype)
    scratch = np.empty_like(of_a)
    for row in range(start, stop):
        problem = begin + row
        each = 1 / total[problem]
        for i in range(3):
            factor, other, mix = factors[i][row], others[i][row], mixed[i][row]
            product = products[i][row]
            for x in range(len(factor)):
                _finish(factor[x], other[x], product[x], mix[x], each)
        for q in range(2):
            tables = others if q == 0 else mixed
            one = first[problem] if q == 0 else first_covariance[problem]
            two = second[problem] if q == 0 else second_covariance[problem]
            ab, ac, bc = tables[0][row], tables[1][row], tables[2][row]
            for a in range(len(ab)):
                of_a[a] = _total(ab[a], 0, ab.shape[1])
            _cross(ab, 0, b0, b0, c0, n, two, on)
            _cross(ac, 0, b0, c0, n, n, two, on)
            _cross(bc, b0, c0, c0, n, n, two, on)
            _inside(of_a, 0, b0, n, one, two, scratch, on)
            _inside(ab[0], b0, c0, n, one, two, scratch, on)
            _inside(ac[0], c0, n, n, one, two, scratch, on)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _finish(
    factor: NDArray, other: NDArray, product: NDArray, mixed: NDArray, each: float
) -> None:  # pragma: no cover (compiled)
    """Probabilities in place of `other`, their covariances with h in place of `mixed`."""
    for y in range(len(factor)):
        mixed[y] = (factor[y] * mixed[y] + product[y] * other[y]) * each
        other[y] = factor[y] * other[y] * each


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _cross(
    table: NDArray, first: int, stop: int, other: int, last: int, n: int, out: NDArray, on: NDArray
) -> None:  # pragma: no cover (compiled)
    """The sums for pairs between two groups; `table` is lost, its first row has those of columns.

    The rows' bits are of variables first … stop−1, the columns' of other … last−1.
    """
    for i in range(first, stop):  # the first has the highest bit
        half = 1 << (stop - 1 - i)
        add(table[0], table[half])
        for x in range(1, half):
            _add_twice(table[x], table[half], table[half + x])
        _single_sums(table[half], last - other, on)
        for j in range(other, last):
            out[i * n - i * (i + 1) // 2 + j - i - 1] = on[last - 1 - j]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _inside(
    values: NDArray,
    first: int,
    stop: int,
    n: int,
    one: NDArray,
    two: NDArray,
    scratch: NDArray,
    on: NDArray,
) -> None:  # pragma: no cover (compiled)
    """The sums for variables first … stop−1 and their pairs from those for their states, lost."""
    for i in range(first, stop):
        half = 1 << (stop - 1 - i)
        one[i] = _total(values, half, 2 * half)
        for x in range(half):
            scratch[x] = values[half + x]
            values[x] += values[half + x]
        _single_sums(scratch, stop - 1 - i, on)
        for j in range(i + 1, stop):
            two[i * n - i * (i + 1) // 2 + j - i - 1] = on[stop - 1 - j]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _single_sums(values: NDArray, bits: int, out: NDArray) -> None:  # pragma: no cover (compiled)
    """out[b] = the sum over indices with bit b set; folds `values`, which is lost."""
    for b in range(bits - 1, -1, -1):
        half = 1 << b
        out[b] = _total(values, half, 2 * half)
        for z in range(half):
            values[z] += values[half + z]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _total(values: NDArray, start: int, stop: int) -> float:  # pragma: no cover (compiled)
    """Their sum; a loop of its own, so that its order does not depend on a check for overlap."""
    total = values[start] - values[start]
    for z in range(start, stop):
        total += values[z]
    return total
