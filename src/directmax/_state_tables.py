"""Compiled tables of the scores of all 2^n assignments: of the exhaustive search and of sums.

The last L variables are "low", the others "high": a table holds the score of all 2^L assignments of
the low ones, for one assignment of the high ones. Imports numba, so only the kernels import it.
"""

from __future__ import annotations

from numba import njit
from numpy.typing import NDArray

from directmax._compiled_math import FAST
from directmax._kernels import LOW_VARIABLES


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def prepare(
    field: NDArray,
    pairs: NDArray,
    table: NDArray,
    coupling: NDArray,
    upper: NDArray,
    scratch: NDArray,
) -> None:  # pragma: no cover (compiled)
    """The tables that a search of one problem starts from.

    Args:
        field: `(n,)`.
        pairs: `(P,)`.
        table: out, `(2^L,)`, the score of the low variables among themselves.
        coupling: out, `(n − L or 1, 2^L)`, Σ_l h_dl z_l of every high variable d.
        upper: out, `(2^(n − L),)`, the score of the high variables among themselves.
        scratch: of the size of `upper`.
    """
    n = field.shape[0]
    high = max(n - LOW_VARIABLES, 0)
    sums_table(field, pairs, n, high, n, table, coupling[0])
    for d in range(high):
        couplings(pairs, n, d, high, n, coupling[d])
    sums_table(field, pairs, n, 0, high, upper, scratch)


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def couplings(
    pairs: NDArray, n: int, variable: int, first: int, stop: int, out: NDArray
) -> None:  # pragma: no cover (compiled)
    """Σ_j h_{variable, j} z_j for all assignments of variables first … stop−1 (all above it)."""
    out[0] = 0
    filled = 1
    for j in range(stop - 1, first - 1, -1):  # the last variable is the lowest bit
        add = pairs[variable * n - variable * (variable + 1) // 2 + j - variable - 1]
        for z in range(filled):
            out[filled + z] = out[z] + add
        filled *= 2


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def sums_table(
    field: NDArray, pairs: NDArray, n: int, first: int, stop: int, out: NDArray, scratch: NDArray
) -> None:  # pragma: no cover (compiled)
    """The score of all assignments of variables first … stop−1 among themselves, by doubling."""
    out[0] = 0
    filled = 1
    for i in range(stop - 1, first - 1, -1):
        couplings(pairs, n, i, i + 1, stop, scratch)
        for z in range(filled):
            out[filled + z] = out[z] + scratch[z] + field[i]
        filled *= 2


@njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def descend(
    tables: NDArray, coupling: NDArray, where: NDArray, high: int, size: int, code: int
) -> None:  # pragma: no cover (compiled)
    """Rebuild the tables on the path to a leaf from the level that changed by counting up."""
    level = 0
    if code:
        trailing = 0
        while not (code >> trailing) & 1:
            trailing += 1
        level = high - 1 - trailing
    for d in range(level, high):
        if (code >> (high - 1 - d)) & 1:
            parent, child, add = tables[where[d]], tables[d + 1], coupling[d]
            for z in range(size):
                child[z] = parent[z] + add[z]
            where[d + 1] = d + 1
        else:
            where[d + 1] = where[d]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def of_groups(
    field: NDArray,
    pairs: NDArray,
    groups: tuple[int, int, int],
    ab: NDArray,
    ac: NDArray,
    bc: NDArray,
    work: NDArray,
) -> float:  # pragma: no cover (compiled)
    """Tables of three groups of variables whose entries add up to the score of every state.

    Args:
        field: `(n,)`.
        pairs: `(P,)`.
        groups: how many variables are in A, B and C, which follow each other; A has the most.
        ab: out, `(2^A, 2^B)`, the largest entry of every column 0.
        ac: out, `(2^A, 2^C)`, the largest entry of every column 0.
        bc: out, `(2^B, 2^C)`: no state of these B and C has a larger score.
        work: twice as long as the groups have states.

    Returns:
        The largest entry of `bc`.
    """
    n, b0, c0 = field.shape[0], groups[0], groups[0] + groups[1]
    a, b, c = 1 << groups[0], 1 << groups[1], 1 << groups[2]
    of_a, of_b, of_c = work[:a], work[a : a + b], work[a + b : a + b + c]
    scratch, most = work[a + b + c : 2 * a + b + c], work[2 * a + b + c :]
    sums_table(field, pairs, n, 0, b0, of_a, scratch)
    sums_table(field, pairs, n, b0, c0, of_b, scratch)
    sums_table(field, pairs, n, c0, n, of_c, scratch)
    for x in range(a):  # what is of A alone is in both its tables, half and half
        of_a[x] -= of_a[x] / 2
    _between(pairs, n, 0, b0, b0, c0, ab, scratch)
    _between(pairs, n, 0, b0, c0, n, ac, scratch)
    _between(pairs, n, b0, c0, c0, n, bc, scratch)
    # What is of B or C alone moves to BC.
    _lower(ab, of_a, of_b, most)
    _lower(ac, of_a, of_c, most)
    for x in range(b):
        add(bc[x], of_c)
        shift(bc[x], of_b[x])
        _raise(most, bc[x], x == 0)
    highest = most[0]
    for y in range(c):
        highest = max(highest, most[y])
    return highest


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _lower(
    table: NDArray, of_rows: NDArray, of_columns: NDArray, most: NDArray
) -> None:  # pragma: no cover (compiled)
    """Add what is of the rows, and move the largest entry of every column to `of_columns`."""
    for x in range(len(table)):
        shift(table[x], of_rows[x])
        _raise(most, table[x], x == 0)
    for y in range(len(of_columns)):
        of_columns[y] += most[y]
        most[y] = -most[y]
    for x in range(len(table)):
        add(table[x], most)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _between(
    pairs: NDArray,
    n: int,
    first: int,
    stop: int,
    other: int,
    last: int,
    out: NDArray,
    scratch: NDArray,
) -> None:  # pragma: no cover (compiled)
    """The couplings of variables first … stop−1 to other … last−1, of all their states."""
    out[0] = 0
    filled = 1
    for i in range(stop - 1, first - 1, -1):  # the last variable is the lowest bit
        couplings(pairs, n, i, other, last, scratch)
        for x in range(filled):
            before, after = out[x], out[filled + x]
            for y in range(len(before)):
                after[y] = before[y] + scratch[y]
        filled *= 2


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def add(values: NDArray, more: NDArray) -> None:  # pragma: no cover (compiled)
    for y in range(len(values)):
        values[y] += more[y]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def shift(values: NDArray, more: float) -> None:  # pragma: no cover (compiled)
    for y in range(len(values)):
        values[y] += more


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _raise(values: NDArray, others: NDArray, anew: bool) -> None:  # pragma: no cover (compiled)
    """The larger of both, entry by entry; a largest entry of all would not be vectorised."""
    if anew:
        for y in range(len(others)):
            values[y] = others[y]
    else:
        for y in range(len(others)):
            values[y] = max(values[y], others[y])
