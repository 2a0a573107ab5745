"""Compiled tables of the scores of all 2^n assignments: of the exhaustive search and of sums.

The last L variables are "low", the others "high": a table holds the score of all 2^L assignments of
the low ones, for one assignment of the high ones. Imports numba, so only the kernels import it.
"""

from __future__ import annotations

from numba import njit
from numpy.typing import NDArray

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
