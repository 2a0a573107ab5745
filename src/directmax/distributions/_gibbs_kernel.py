"""Compiled sums over all 2^n assignments of a pairwise binary model. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax._compiled_math import FAST, exp
from directmax._kernels import LOW_VARIABLES
from directmax._state_tables import descend, prepare

SIZE = 2**LOW_VARIABLES
# Places in the one work array of a problem, at fixed distances: so the compiler knows that they do
# not overlap, and need not check it at every loop.
HERE_W, HERE_X, LAST_W, LAST_X, FORE_W, FORE_X = (place * SIZE for place in range(6))


@njit(cache=True, nogil=True, fastmath=FAST)
def moments(
    field: NDArray,
    pairwise: NDArray,
    scale: NDArray,
    first: NDArray,
    first_weighted: NDArray,
    second: NDArray,
    second_weighted: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """Σ w, Σ w g, Σ w φ and Σ w g φ for φ = z_i and z_i z_j, of rows start … stop−1.

    w = e^g and g = h − reference, for a reference near the largest h.

    The tree over the high variables and the tables over the low ones are those of the exhaustive
    solver. Two sums are kept for every low state, of the weights w = e^{h − reference} and of
    w·(h − reference), and added up along the tree, so that the pairs of a high and a low variable
    cost one addition a node, not one a pair. The last two high variables are done in one loop.

    Args:
        field: `(b, n)`, with at least two high variables.
        pairwise: `(b, P)`.
        scale: out, `(b, 3)`: the reference, Σ w and Σ w g.
        first: out, `(b, n)`, Σ w z_i.
        first_weighted: out, `(b, n)`, Σ w g z_i.
        second: out, `(b, P)`, Σ w z_i z_j.
        second_weighted: out, `(b, P)`, Σ w g z_i z_j.
        start: first row.
        stop: one past the last.
    """
    n, high = field.shape[1], field.shape[1] - LOW_VARIABLES
    leaves = 1 << high
    kind = field.dtype
    too_large = 1e30 if field.itemsize == 4 else 1e290
    tables, coupling = np.empty((high + 1, SIZE), kind), np.empty((high, SIZE), kind)
    upper, linear = np.zeros(leaves, kind), np.empty(leaves, kind)
    where, work = np.zeros(high + 1, np.int64), np.empty(6 * SIZE, kind)
    # w above and w·h behind it: of finished left subtrees, and of all states with variable d on.
    kept, on = np.empty((high, 2 * SIZE), kind), np.empty((high, 2 * SIZE), kind)
    leaf = np.empty((2, leaves), kind)  # sums over the low states
    scratch = np.empty(max(SIZE, leaves), kind)
    single, pair, cross = np.empty((2, n), kind), np.empty((2, n, n), kind), np.empty(n, kind)
    out = (first, first_weighted, second, second_weighted)
    for row in range(start, stop):
        pairs = pairwise[row]
        prepare(field[row], pairs, tables[0], coupling, upper, linear)
        # Scores are taken relative to a good state. Where the best one is so much better that the
        # sums run out of range, they are repeated relative to the best.
        reference = _ascent(field[row], pairs)
        total, weighted = _sums(
            tables, coupling, upper, where, work, kept, on, leaf, reference, high
        )
        if not total < too_large:
            reference = _largest(tables, coupling, upper, where, high)
            total, weighted = _sums(
                tables, coupling, upper, where, work, kept, on, leaf, reference, high
            )
        scale[row, 0], scale[row, 1], scale[row, 2] = reference, total, weighted
        _features((work, leaf, on), (scratch, single, pair, cross), out, high, row)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _sums(
    tables: NDArray,
    coupling: NDArray,
    upper: NDArray,
    where: NDArray,
    work: NDArray,
    kept: NDArray,
    on: NDArray,
    leaf: NDArray,
    reference: float,
    high: int,
) -> tuple[float, float]:  # pragma: no cover (compiled)
    """Fill `work`, `on` and `leaf` (see `moments`); Σ w and Σ w (h − reference)."""
    zero = tables[0, 0] - tables[0, 0]  # of the right type; `work` may hold anything
    fore, last = high - 2, high - 1
    on[:] = zero
    work[:] = zero
    for code in range(1 << fore):
        descend(tables, coupling, where, fore, SIZE, code)
        _four_leaves(
            tables[where[fore]], coupling[fore], coupling[last], upper, work, leaf, reference, code
        )
        d = fore - 1
        rest = code
        while d >= 0 and rest & 1:  # right children: add to "on", then join the left sibling
            for z in range(2 * SIZE):
                on[d, z] += work[z]
                work[z] += kept[d, z]
            rest >>= 1
            d -= 1
        if d >= 0:
            for z in range(2 * SIZE):
                kept[d, z] = work[z]
    total = zero
    weighted = zero
    for z in range(SIZE):
        on[last, z] = work[LAST_W + z]
        on[last, SIZE + z] = work[LAST_X + z]
        on[fore, z] = work[FORE_W + z]
        on[fore, SIZE + z] = work[FORE_X + z]
        total += work[HERE_W + z]
        weighted += work[HERE_X + z]
    return total, weighted


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _four_leaves(
    table: NDArray,
    fore: NDArray,
    last: NDArray,
    upper: NDArray,
    work: NDArray,
    leaf: NDArray,
    reference: float,
    code: int,
) -> None:  # pragma: no cover (compiled)
    """The four assignments of the last two high variables, all low states of each."""
    none, offset_last = upper[4 * code] - reference, upper[4 * code + 1] - reference
    offset_fore, both = upper[4 * code + 2] - reference, upper[4 * code + 3] - reference
    zero = none - none
    sum0, sum1, sum2, sum3 = zero, zero, zero, zero
    mean0, mean1, mean2, mean3 = zero, zero, zero, zero
    for z in range(SIZE):
        h, a, b = table[z], fore[z], last[z]
        h0, h1, h2, h3 = h + none, h + b + offset_last, h + a + offset_fore, h + a + b + both
        w0, w1, w2, w3 = exp(h0), exp(h1), exp(h2), exp(h3)
        x0, x1, x2, x3 = w0 * h0, w1 * h1, w2 * h2, w3 * h3
        work[HERE_W + z] = w0 + w1 + w2 + w3
        work[HERE_X + z] = x0 + x1 + x2 + x3
        work[LAST_W + z] += w1 + w3
        work[LAST_X + z] += x1 + x3
        work[FORE_W + z] += w2 + w3
        work[FORE_X + z] += x2 + x3
        sum0, sum1, sum2, sum3 = sum0 + w0, sum1 + w1, sum2 + w2, sum3 + w3
        mean0, mean1, mean2, mean3 = mean0 + x0, mean1 + x1, mean2 + x2, mean3 + x3
    c = 4 * code
    leaf[0, c], leaf[0, c + 1], leaf[0, c + 2], leaf[0, c + 3] = sum0, sum1, sum2, sum3
    leaf[1, c], leaf[1, c + 1], leaf[1, c + 2], leaf[1, c + 3] = mean0, mean1, mean2, mean3


@njit(cache=True, nogil=True, inline="always")  # as if written there: sums keep their order
def _features(
    sums: tuple[NDArray, NDArray, NDArray],
    parts: tuple[NDArray, NDArray, NDArray, NDArray],
    out: tuple[NDArray, NDArray, NDArray, NDArray],
    high: int,
    row: int,
) -> None:  # pragma: no cover (compiled)
    """The sums for z_i and z_i z_j from those for every low state and every leaf, which are lost.

    Args:
        sums: work, leaf and on, as `_sums` leaves them.
        parts: memory for the sums of bits, see `_pair_sums`: of w, and behind it of w g.
        out: first, first_weighted, second, second_weighted, of all rows.
        high: number of high variables.
        row: which one to write.
    """
    work, leaf, on = sums
    scratch, single, pair, cross = parts
    first, first_weighted, second, second_weighted = out
    n = first.shape[1]
    for q in range(2):  # bit b of a low state is variable n−1−b, of a leaf high−1−b
        _pair_sums(work[q * SIZE : (q + 1) * SIZE], LOW_VARIABLES, scratch, single[q], pair[q])
        for i in range(high, n):
            _put(i, single[q, n - 1 - i], first, first_weighted, q, row)
            for j in range(i + 1, n):
                value = pair[q, n - 1 - i, n - 1 - j]
                _put_pair(i, j, n, value, second, second_weighted, q, row)
        _pair_sums(leaf[q], high, scratch, single[q], pair[q])
        for i in range(high):
            _put(i, single[q, high - 1 - i], first, first_weighted, q, row)
            for j in range(i + 1, high):
                value = pair[q, high - 1 - i, high - 1 - j]
                _put_pair(i, j, n, value, second, second_weighted, q, row)
            _single_sums(on[i, q * SIZE : (q + 1) * SIZE], LOW_VARIABLES, cross)
            for j in range(high, n):
                value = cross[n - 1 - j]
                _put_pair(i, j, n, value, second, second_weighted, q, row)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _total(values: NDArray, start: int, stop: int) -> float:  # pragma: no cover (compiled)
    """Their sum; a loop of its own, so that its order does not depend on a check for overlap."""
    total = values[start] - values[start]
    for z in range(start, stop):
        total += values[z]
    return total


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _single_sums(values: NDArray, bits: int, out: NDArray) -> None:  # pragma: no cover (compiled)
    """out[b] = the sum over indices with bit b set; folds `values`, which is lost."""
    for b in range(bits - 1, -1, -1):
        half = 1 << b
        out[b] = _total(values, half, 2 * half)
        for z in range(half):
            values[z] += values[half + z]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _pair_sums(
    values: NDArray, bits: int, scratch: NDArray, single: NDArray, pair: NDArray
) -> None:  # pragma: no cover (compiled)
    """single[b] and pair[b, c], c < b: sums over indices with these bits set; `values` is lost."""
    for b in range(bits - 1, -1, -1):
        half = 1 << b
        single[b] = _total(values, half, 2 * half)
        for z in range(half):
            scratch[z] = values[half + z]
        _single_sums(scratch, b, pair[b])
        for z in range(half):
            values[z] += values[half + z]


@njit(cache=True, nogil=True, inline="always")
def _put(
    i: int, value: float, plain: NDArray, weighted: NDArray, q: int, row: int
) -> None:  # pragma: no cover (compiled)
    if q == 0:
        plain[row, i] = value
    else:
        weighted[row, i] = value


@njit(cache=True, nogil=True, inline="always")
def _put_pair(
    i: int, j: int, n: int, value: float, plain: NDArray, weighted: NDArray, q: int, row: int
) -> None:  # pragma: no cover (compiled)
    _put(i * n - i * (i + 1) // 2 + j - i - 1, value, plain, weighted, q, row)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _ascent(field: NDArray, pairs: NDArray) -> float:  # pragma: no cover (compiled)
    """The score of a state that no single change improves."""
    n = field.shape[0]
    state = np.zeros(n, np.bool_)
    gain = field.copy()  # of switching i on, given the others
    score = field[0] - field[0]
    for _ in range(4 * n):
        best, variable = score - score, -1
        for i in range(n):
            change = -gain[i] if state[i] else gain[i]
            if change > best:
                best, variable = change, i
        if variable < 0:
            break
        score += best
        state[variable] = not state[variable]
        sign = 1 if state[variable] else -1
        for j in range(n):
            if j != variable:
                i, k = min(j, variable), max(j, variable)
                gain[j] += sign * pairs[i * n - i * (i + 1) // 2 + k - i - 1]
    return score


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _largest(
    tables: NDArray, coupling: NDArray, upper: NDArray, where: NDArray, high: int
) -> float:  # pragma: no cover (compiled)
    """The largest score."""
    best = tables[0, 0]
    for code in range(1 << high):
        descend(tables, coupling, where, high, SIZE, code)
        table = tables[where[high]]
        local = table[0]
        for z in range(SIZE):
            local = max(local, table[z])
        best = max(best, local + upper[code])
    return best
