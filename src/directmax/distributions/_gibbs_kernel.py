"""Compiled sums over all 2^n assignments of a pairwise binary model. Imported on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax._compiled_math import FAST, exp
from directmax.solvers._exhaustive_kernel import LOW_VARIABLES, couplings, descend, sums_table


@njit(cache=True, nogil=True, fastmath=FAST)
def moments(
    field: NDArray,
    pairwise: NDArray,
    log_normalizer: NDArray,
    energy: NDArray,
    first: NDArray,
    first_covariance: NDArray,
    second: NDArray,
    second_covariance: NDArray,
    start: int,
    stop: int,
) -> None:  # pragma: no cover (compiled)
    """log Z, E[h], E[φ] and Cov(h, φ) for φ = z_i and z_i z_j, of rows start … stop−1.

    The tree over the high variables and the tables over the low ones are those of the exhaustive
    solver. Two sums are kept for every low state, of the weights w = e^{h − max} and of w h, and
    added up along the tree, so that the pairs of a high and a low variable cost one addition a
    node, not one a pair.

    Args:
        field: `(b, n)`.
        pairwise: `(b, P)`.
        log_normalizer: out, `(b,)`.
        energy: out, `(b,)`, E[h].
        first: out, `(b, n)`, E[z_i].
        first_covariance: out, `(b, n)`, Cov(h, z_i).
        second: out, `(b, P)`, E[z_i z_j].
        second_covariance: out, `(b, P)`, Cov(h, z_i z_j).
        start: first row.
        stop: one past the last.
    """
    n = field.shape[1]
    low = min(n, LOW_VARIABLES)
    high = n - low
    size = 1 << low
    leaves = 1 << high
    kind = field.dtype
    too_large = 1e30 if field.itemsize == 4 else 1e290
    tables = np.empty((high + 1, size), kind)
    coupling = np.empty((max(high, 1), size), kind)
    upper = np.zeros(leaves, kind)
    linear = np.empty(leaves, kind)
    where = np.zeros(high + 1, np.int64)
    # Sums over the subtree of every finished left child, then over those with variable d on.
    kept_w, kept_x = np.empty((high + 1, size), kind), np.empty((high + 1, size), kind)
    on_w, on_x = np.empty((max(high, 1), size), kind), np.empty((max(high, 1), size), kind)
    here_w, here_x = np.empty(size, kind), np.empty(size, kind)
    leaf_w, leaf_x = (
        np.empty(leaves, kind),
        np.empty(leaves, kind),
    )  # sums over the low states of every leaf
    sums = (kept_w, kept_x, on_w, on_x, here_w, here_x, leaf_w, leaf_x)
    for row in range(start, stop):
        pairs = pairwise[row]
        sums_table(field[row], pairs, n, high, n, tables[0], coupling[0])
        for d in range(high):
            couplings(pairs, n, d, high, n, coupling[d])
        if high:
            sums_table(field[row], pairs, n, 0, high, upper, linear)
        # Scores are taken relative to a good state. Where the best one is so much better that the
        # sums run out of range, they are repeated relative to the best.
        reference = _ascent(field[row], pairs)
        total, weighted = _sums(tables, coupling, upper, where, sums, reference, high, size)
        if not total < too_large:
            reference = _largest(tables, coupling, upper, where, high, size)
            total, weighted = _sums(tables, coupling, upper, where, sums, reference, high, size)
        mean = weighted / total
        log_normalizer[row] = reference + np.log(total)
        energy[row] = reference + mean
        for i in range(n):
            w, x = _one(leaf_w, leaf_x, here_w, here_x, i, high, low)
            first[row, i] = w / total
            first_covariance[row, i] = x / total - mean * (w / total)
        index = 0
        for i in range(n):
            for j in range(i + 1, n):
                if j < high:
                    w, x = _both(leaf_w, leaf_x, high - 1 - i, high - 1 - j)
                elif i < high:
                    w, x = _bit(on_w[i], on_x[i], n - 1 - j)
                else:
                    w, x = _both(here_w, here_x, n - 1 - i, n - 1 - j)
                second[row, index] = w / total
                second_covariance[row, index] = x / total - mean * (w / total)
                index += 1


@njit(cache=True, nogil=True, fastmath=FAST)
def _sums(
    tables: NDArray,
    coupling: NDArray,
    upper: NDArray,
    where: NDArray,
    sums: tuple[NDArray, ...],
    reference: float,
    high: int,
    size: int,
) -> tuple[float, float]:  # pragma: no cover (compiled)
    """Fill `sums` (see `moments`); Σ w and Σ w (h − reference)."""
    kept_w, kept_x, on_w, on_x, here_w, here_x, leaf_w, leaf_x = sums
    zero = tables[0, 0] - tables[0, 0]
    on_w[:] = zero
    on_x[:] = zero
    for code in range(1 << high):
        descend(tables, coupling, where, high, size, code)
        table, offset = tables[where[high]], upper[code] - reference
        sum_w = zero
        sum_x = zero
        for z in range(size):
            score = table[z] + offset
            w = exp(score)
            x = w * score
            here_w[z] = w
            here_x[z] = x
            sum_w += w
            sum_x += x
        leaf_w[code] = sum_w
        leaf_x[code] = sum_x
        d = high - 1
        rest = code
        while d >= 0 and rest & 1:  # right children: add to "on", then join the left sibling
            for z in range(size):
                on_w[d, z] += here_w[z]
                on_x[d, z] += here_x[z]
            for z in range(size):
                here_w[z] += kept_w[d, z]
                here_x[z] += kept_x[d, z]
            rest >>= 1
            d -= 1
        if d >= 0:
            for z in range(size):
                kept_w[d, z] = here_w[z]
                kept_x[d, z] = here_x[z]
    total = zero
    weighted = zero
    for z in range(size):
        total += here_w[z]
        weighted += here_x[z]
    return total, weighted


@njit(cache=True, nogil=True, fastmath=FAST)
def _ascent(field: NDArray, pairs: NDArray) -> float:  # pragma: no cover (compiled)
    """The score of a state that no single change improves."""
    n = field.shape[0]
    state = np.zeros(n, np.bool_)
    gain = field.copy()  # of switching i on, given the others
    score = field[0] - field[0]
    for _ in range(4 * n):
        best, which = score - score, -1
        for i in range(n):
            change = -gain[i] if state[i] else gain[i]
            if change > best:
                best, which = change, i
        if which < 0:
            break
        score += best
        state[which] = not state[which]
        sign = 1 if state[which] else -1
        for j in range(n):
            if j != which:
                i, k = min(j, which), max(j, which)
                gain[j] += sign * pairs[i * n - i * (i + 1) // 2 + k - i - 1]
    return score


@njit(cache=True, nogil=True, fastmath=FAST)
def _largest(
    tables: NDArray, coupling: NDArray, upper: NDArray, where: NDArray, high: int, size: int
) -> float:  # pragma: no cover (compiled)
    """The largest score."""
    best = tables[0, 0]
    for code in range(1 << high):
        descend(tables, coupling, where, high, size, code)
        table = tables[where[high]]
        local = table[0]
        for z in range(size):
            local = max(local, table[z])
        best = max(best, local + upper[code])
    return best


@njit(cache=True, nogil=True, fastmath=FAST)
def _bit(w: NDArray, x: NDArray, bit: int) -> tuple[float, float]:  # pragma: no cover (compiled)
    """Both sums over the states with a bit set."""
    total = w[0] - w[0]
    weighted = total
    step = 1 << bit
    for block in range(step, w.shape[0], 2 * step):
        for z in range(block, block + step):
            total += w[z]
            weighted += x[z]
    return total, weighted


@njit(cache=True, nogil=True, fastmath=FAST)
def _both(
    w: NDArray, x: NDArray, bit: int, lower: int
) -> tuple[float, float]:  # pragma: no cover (compiled)
    """Both sums over the states with two bits set, bit > lower."""
    total = w[0] - w[0]
    weighted = total
    step, fine = 1 << bit, 1 << lower
    for block in range(step, w.shape[0], 2 * step):
        for inner in range(block + fine, block + step, 2 * fine):
            for z in range(inner, inner + fine):
                total += w[z]
                weighted += x[z]
    return total, weighted


@njit(cache=True, nogil=True, fastmath=FAST)
def _one(
    leaf_w: NDArray,
    leaf_x: NDArray,
    here_w: NDArray,
    here_x: NDArray,
    i: int,
    high: int,
    low: int,
) -> tuple[float, float]:  # pragma: no cover (compiled)
    """Both sums over the states with variable i on."""
    if i < high:
        return _bit(leaf_w, leaf_x, high - 1 - i)
    return _bit(here_w, here_x, high + low - 1 - i)
