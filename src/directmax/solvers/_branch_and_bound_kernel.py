"""The compiled search of `BranchAndBound`. Imported on first use, and compiled there.

Inside, variables are spins s = 2z − 1 in {−1, 1}: the potential is a constant plus g·s + ½ sᵀJs
with J_ij = h_ij / 4 and g_i = field_i / 2 + Σ_j h_ij / 4.

Edits of `_branch_and_bound_bound` need the cached code of this file to be deleted too (see
`_compiled_math`).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from directmax.solvers._branch_and_bound_bound import bound

OPTIMAL, NODE_LIMIT, TIME_LIMIT = 0, 1, 2
LEAF = 9
"""So many free variables are enumerated, which takes as long as a bound or two."""
ROUNDING = 1e-13
"""What rounding may cost, relative to the sum of the absolute potentials."""


@njit(cache=True, nogil=True)
def _granularity(
    field: NDArray, pairs: NDArray, scale: float
) -> float:  # pragma: no cover (compiled)
    """Values of assignments that differ, differ by at least this much, rounding aside; or 0.

    It is the greatest common divisor of the potentials. Without it, problems of small integers,
    full of ties, would be searched tie by tie.
    """
    count = len(field) + len(pairs)
    divisor = 0.0
    for k in range(count):
        a = abs(scale * (field[k] if k < len(field) else pairs[k - len(field)]))
        b = divisor
        while a > 1e-11:
            a, b = min(b % a, a - b % a), a
        divisor = b
        if 0.0 < divisor < 1e-6:
            return 0.0
    if divisor == 0.0:
        return 0.0
    size = residual = 0.0
    for k in range(count):
        value = scale * (field[k] if k < len(field) else pairs[k - len(field)])
        size += abs(value)
        residual += abs(value - divisor * round(value / divisor))
    return divisor - residual if residual <= ROUNDING * size else 0.0


@njit(cache=True, nogil=True)
def _tabu(g: NDArray, couplings: NDArray, best: NDArray) -> float:  # pragma: no cover (compiled)
    """A good assignment by single flips from `best`, into `best`; its value.

    Always the best flip, also downhill, but not of a spin that was flipped a few moves ago.
    """
    n = len(g)
    spins, local, value = best.copy(), g.copy(), 0.0
    for i in range(n):
        for j in range(n):
            local[i] += couplings[i, j] * spins[j]
        value += 0.5 * (g[i] + local[i]) * spins[i]
    best_value = value
    until = np.zeros(n, np.int64)
    for move in range(1, 10 * n + 20):
        chosen, gain = -1, -np.inf
        for i in range(n):
            change = -2.0 * spins[i] * local[i]
            if change > gain and (until[i] < move or value + change > best_value):
                chosen, gain = i, change
        if chosen < 0:
            continue
        value += gain
        spins[chosen] = -spins[chosen]
        until[chosen] = move + n // 4 + (7 * move) % 5  # varies, to leave cycles
        doubled_spin = 2.0 * spins[chosen]
        for j in range(n):
            local[j] += doubled_spin * couplings[chosen, j]
        if value > best_value:
            best_value = value
            best[:] = spins
    return best_value


@njit(cache=True, nogil=True)
def _fix_persistent(
    g: NDArray, couplings: NDArray, spins: NDArray
) -> None:  # pragma: no cover (compiled)
    """Fix what the other free spins cannot outweigh, until there is none."""
    n = len(g)
    changed = True
    while changed:
        changed = False
        for i in range(n):
            if spins[i] == 0:
                total, reach = g[i], 0.0
                for j in range(n):
                    total += couplings[i, j] * spins[j]
                    if spins[j] == 0:
                        reach += abs(couplings[i, j])
                if abs(total) >= reach:
                    spins[i] = 1 if total >= 0.0 else -1
                    changed = True


@njit(cache=True, nogil=True)
def _reduce(
    g: NDArray, couplings: NDArray, spins: NDArray, free: NDArray, local: NDArray
) -> tuple[int, float]:  # pragma: no cover (compiled)
    """The problem of the free spins: which they are, their fields; how many, the fixed part."""
    m, base = 0, 0.0
    for i in range(len(g)):
        total = g[i]
        for j in range(len(g)):
            total += couplings[i, j] * spins[j]
        if spins[i] == 0:
            free[m], local[m] = i, total
            m += 1
        else:
            base += 0.5 * (g[i] + total) * spins[i]
    return m, base


@njit(cache=True, nogil=True)
def _enumerate(
    local: NDArray, couplings: NDArray, free: NDArray, m: int, base: float, spins: NDArray
) -> float:  # pragma: no cover (compiled)
    """The best values of the m free spins, into `spins`, in Gray code order; the optimum."""
    fields, submatrix, value = np.empty(m), np.empty((m, m)), base
    for a in range(m):
        fields[a] = local[a]
        for b in range(m):
            submatrix[a, b] = couplings[free[a], free[b]]
            fields[a] -= submatrix[a, b]
        value -= 0.5 * (local[a] + fields[a])
    state = -np.ones(m)
    best, best_code, code = value, 0, 0
    for count in range(1, 1 << m):
        a = 0
        while (count >> a) & 1 == 0:
            a += 1
        value -= 2.0 * state[a] * fields[a]
        state[a] = -state[a]
        code ^= 1 << a
        for b in range(m):
            fields[b] += 2.0 * state[a] * submatrix[a, b]
        if value > best:
            best, best_code = value, code
    for a in range(m):
        spins[free[a]] = 1 if (best_code >> a) & 1 else -1
    return best


@njit(cache=True, nogil=True)
def _fix_bounded(
    gap: float, free: NDArray, m: int, inverse: NDArray, x: NDArray, spins: NDArray
) -> int:  # pragma: no cover (compiled)
    """Fix the spins of which one value is bounded away; −1 if any, else which one to branch on."""
    fixed, branch, score = 0, 0, -1.0
    for a in range(m):
        fall_up = (1.0 - x[a]) ** 2 / (2.0 * inverse[a, a])
        fall_down = (1.0 + x[a]) ** 2 / (2.0 * inverse[a, a])
        if gap <= fall_up or gap <= fall_down:
            # If neither child can be better, either will do: the next bound ends the node.
            spins[free[a]] = -1 if gap <= fall_up else 1
            fixed += 1
        elif min(fall_up, fall_down) > score:
            branch, score = a, min(fall_up, fall_down)
    return -1 if fixed else branch


@njit(cache=True, nogil=True)
def _keep(
    value: float, best_value: float, spins: NDArray, best: NDArray
) -> float:  # pragma: no cover (compiled)
    """The better of two values; `spins` into `best` where it is theirs."""
    if not value > best_value:
        return best_value
    best[:] = spins
    return value


@njit(cache=True, nogil=True)
def _search(
    g: NDArray, couplings: NDArray, step: float, node_limit: int, halt: NDArray, best: NDArray
) -> tuple[int, int]:  # pragma: no cover (compiled)
    """Depth first; the best spins into `best`. How it ended and the number of nodes."""
    n = len(g)
    size = 0.0
    radius = np.zeros(n)  # Σ_j |J_ij|
    for i in range(n):
        best[i] = 1 if g[i] >= 0.0 else -1
        for j in range(n):
            radius[i] += abs(couplings[i, j])
        size += abs(g[i]) + 0.5 * radius[i]
    best_value = _tabu(g, couplings, best)
    # A bound this near to the best value leaves nothing better, rounding aside.
    margin = max(ROUNDING * size, step - ROUNDING * size)
    open_spins = np.zeros((n + 2, n), np.int8)  # 0 where free
    open_diagonal = np.empty((n + 2, n))
    open_diagonal[0] = radius + 1e-3
    waiting, nodes = 1, 0
    free, local, x = np.empty(n, np.int64), np.empty(n), np.empty(n)
    inverse, scratch = np.empty((n, n)), np.empty((n, n))
    spins, diagonal = np.empty(n, np.int8), np.empty(n)
    while waiting:
        if halt[0]:
            return TIME_LIMIT, nodes
        if nodes >= node_limit:
            return NODE_LIMIT, nodes
        waiting -= 1
        nodes += 1
        spins[:] = open_spins[waiting]
        diagonal[:] = open_diagonal[waiting]
        while True:  # until nothing more can be fixed at this node
            _fix_persistent(g, couplings, spins)
            m, base = _reduce(g, couplings, spins, free, local)
            if m <= LEAF:
                value = _enumerate(local, couplings, free, m, base, spins)
                best_value = _keep(value, best_value, spins, best)
                break
            excess = base - best_value - margin
            gap = bound(couplings, free, m, local, diagonal, excess, inverse, scratch, x)
            if gap <= 0.0:
                break
            branch = _fix_bounded(gap, free, m, inverse, x, spins)
            if branch < 0:
                continue
            open_spins[waiting] = spins
            for a in range(m):
                spins[free[a]] = 1 if x[a] >= 0.0 else -1
            likely = spins[free[branch]]
            value = _tabu(g, couplings, spins)
            best_value = _keep(value, best_value, spins, best)
            open_spins[waiting + 1] = open_spins[waiting]
            open_diagonal[waiting] = open_diagonal[waiting + 1] = diagonal
            open_spins[waiting, free[branch]] = -likely
            open_spins[waiting + 1, free[branch]] = likely  # the first to be taken
            waiting += 2
            break
    return OPTIMAL, nodes


@njit(
    "(float64[:,::1], float64[:,::1], int64, int64, int64, int64[::1], uint8[:,::1], int64[:,::1])",
    cache=True,
    nogil=True,
)
def maximise(
    field: NDArray,
    pairwise: NDArray,
    start: int,
    stop: int,
    node_limit: int,
    halt: NDArray,
    bits: NDArray,
    ended: NDArray,
) -> None:  # pragma: no cover (compiled)
    """Write the argmax of rows start … stop−1 into `bits`.

    Args:
        field: `(rows, n)`.
        pairwise: `(b, P)`; row r uses entry r modulo b.
        start: first row.
        stop: one past the last.
        node_limit: for each row.
        halt: another thread sets its one entry to 1 when the time is over.
        bits: `(rows, n)`.
        ended: `(rows, 2)`: how the search ended, and how many nodes it took.
    """
    n = field.shape[1]
    g, couplings, best = np.empty(n), np.zeros((n, n)), np.empty(n, np.int8)
    for row in range(start, stop):
        pairs = pairwise[row % pairwise.shape[0]]
        largest, finite = 0.0, True
        for i in range(n):
            largest = max(largest, abs(field[row, i]))
            finite &= math.isfinite(field[row, i])
        for p in range(len(pairs)):
            largest = max(largest, abs(pairs[p]))
            finite &= math.isfinite(pairs[p])
        if not finite:  # the caller asked for no check: any assignment, but an end
            bits[row], ended[row] = 0, OPTIMAL
            continue
        # To [-1, 1], by a power of two: nothing is rounded.
        scale = math.ldexp(1.0, max(-1000, min(1000, -math.frexp(largest)[1])))
        p = 0
        for i in range(n):
            g[i] = 0.5 * scale * field[row, i]
        for i in range(n):
            for j in range(i + 1, n):
                value = 0.25 * scale * pairs[p]
                couplings[i, j] = couplings[j, i] = value
                g[i] += value
                g[j] += value
                p += 1
        step = _granularity(field[row], pairs, scale)
        ended[row, 0], ended[row, 1] = _search(g, couplings, step, node_limit, halt, best)
        for i in range(n):
            bits[row, i] = best[i] > 0
