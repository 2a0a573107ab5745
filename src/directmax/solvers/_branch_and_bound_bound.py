"""The upper bound of a node of `BranchAndBound`, compiled.

For any diagonal d with A = diag(d) − J positive definite, s_i² = 1 gives

    max_s g·s + ½ sᵀJs = max_s g·s − ½ sᵀAs + ½ Σd  ≤  ½ gᵀA⁻¹g + ½ Σd,

the maximum over all real s, at x = A⁻¹g. The best d is the semidefinite bound; a few Newton steps
on the right side minus μ log det A come close. With s_i held at ±1 the right side falls by
(1 ∓ x_i)² / (2 A⁻¹_ii): that bounds both children of every variable at once.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

BARRIER = 0.5
"""μ, as a part of the gap per variable. The barrier hides a gain of m μ: above 1 it prunes less."""
WORTHWHILE = 0.2
"""A Newton step is made if it promises at least this part of the gap."""
STEPS = 30


@njit(cache=True, nogil=True)
def _evaluate(
    couplings: NDArray,
    free: NDArray,
    m: int,
    g: NDArray,
    diagonal: NDArray,
    inverse: NDArray,
    x: NDArray,
) -> tuple[bool, float, float]:  # pragma: no cover (compiled)
    """Whether A is positive definite, log det A, and the bound; A⁻¹ and A⁻¹g as outputs."""
    largest = 0.0
    for a in range(m):
        for b in range(m):
            inverse[a, b] = -couplings[free[a], free[b]]
        inverse[a, a] = diagonal[a]
        largest = max(largest, diagonal[a])
    log_det = 0.0
    for k in range(m):  # Gauss–Jordan, whole rows at a time
        pivot = inverse[k, k]
        if not pivot > 1e-11 * largest:
            return False, 0.0, 0.0
        log_det += math.log(pivot)
        inverse[k, k] = 1.0
        for b in range(m):
            inverse[k, b] /= pivot
        for a in range(m):
            if a != k:
                factor = inverse[a, k]
                inverse[a, k] = 0.0
                for b in range(m):
                    inverse[a, b] -= factor * inverse[k, b]
    value = 0.0
    for a in range(m):
        x[a] = 0.0
        for b in range(m):
            x[a] += inverse[a, b] * g[b]
        value += 0.5 * diagonal[a]
    # ½ gᵀA⁻¹g to rounding also where A is nearly singular: at the x that was found, and what its
    # residual r may add, ½ rᵀA⁻¹r.
    rest = np.empty(m)
    for a in range(m):
        rest[a] = g[a] - diagonal[a] * x[a]
        for b in range(m):
            rest[a] += couplings[free[a], free[b]] * x[b]
        value += 0.5 * (g[a] + rest[a]) * x[a]
    for a in range(m):
        for b in range(m):
            value += 0.5 * rest[a] * inverse[a, b] * rest[b]
    return True, log_det, value


@njit(cache=True, nogil=True)
def _solve(matrix: NDArray, right: NDArray, m: int) -> None:  # pragma: no cover (compiled)
    """right := matrix⁻¹ right; the matrix is positive definite and is overwritten."""
    for k in range(m):
        for a in range(k + 1, m):
            factor = matrix[k, a] / matrix[k, k]  # what is left stays symmetric
            for b in range(a, m):
                matrix[a, b] -= factor * matrix[k, b]
            right[a] -= factor * right[k]
    for k in range(m - 1, -1, -1):
        for b in range(k + 1, m):
            right[k] -= matrix[k, b] * right[b]
        right[k] /= matrix[k, k]


@njit(cache=True, nogil=True)
def bound(
    couplings: NDArray,
    free: NDArray,
    m: int,
    g: NDArray,
    diagonal: NDArray,
    base: float,
    inverse: NDArray,
    scratch: NDArray,
    x: NDArray,
) -> float:  # pragma: no cover (compiled)
    """base + bound, lowered by Newton steps until it is ≤ 0, decides a variable, or hardly falls.

    `diagonal` (by variable) is where they start and end; `inverse` and `x` (by free variable) are
    A⁻¹ and A⁻¹g there.
    """
    trial, descent, slope = np.empty(m), np.empty(m), np.empty(m)
    for a in range(m):
        trial[a] = diagonal[free[a]]
    definite, log_det, value = _evaluate(couplings, free, m, g, trial, inverse, x)
    while not definite:
        trial = 1.1 * trial + 1e-6
        definite, log_det, value = _evaluate(couplings, free, m, g, trial, inverse, x)
    current = trial.copy()
    for _ in range(STEPS):
        gap = base + value
        decided = gap <= 0.0
        for a in range(m):
            decided |= gap <= (1.0 + abs(x[a])) ** 2 / (2.0 * inverse[a, a])
        if decided:
            break
        barrier = BARRIER * gap / m
        for a in range(m):
            slope[a] = 0.5 - 0.5 * x[a] * x[a] - barrier * inverse[a, a]
            descent[a] = slope[a]
            for b in range(m):
                scratch[a, b] = inverse[a, b] * (x[a] * x[b] + barrier * inverse[a, b])
        _solve(scratch, descent, m)
        decrease = 0.0
        for a in range(m):
            decrease += 0.5 * slope[a] * descent[a]
        if not decrease >= WORTHWHILE * gap:
            break
        before = value - barrier * log_det
        improved, length = False, 1.0
        while not improved and length > 1e-3:
            for a in range(m):
                trial[a] = current[a] - length * descent[a]
            definite, log_det, value = _evaluate(couplings, free, m, g, trial, inverse, x)
            improved = definite and value - barrier * log_det < before
            length *= 0.5
        if not improved:  # rounding: stay at the last point
            definite, log_det, value = _evaluate(couplings, free, m, g, current, inverse, x)
            break
        current[:] = trial
    for a in range(m):
        diagonal[free[a]] = current[a]
    return base + value
