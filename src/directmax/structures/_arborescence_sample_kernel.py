"""Exact samples of directed trees, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def sample(
    rows: np.ndarray,
    z: np.ndarray,
    ok: np.ndarray,
    uniforms: np.ndarray,
    lowest: float,
    start: int,
    stop: int,
) -> None:
    """A tree of every row: the head of node after node, given those before.

    A tree is where random walks from every node to the root first went (Wilson 1996): the head of a
    node is h in proportion to its weight and the probability that a walk from h comes to the root
    before it comes back. That probability is found by elimination, without a subtraction.

    Args:
        rows: weights `(r, n, n + 1)`; at most `lowest` is a mask.
        z: heads, written.
        ok: nothing is written.
        uniforms: a number for every row and node.
        lowest: of weights.
        start: first row.
        stop: beyond the last.
    """
    n = rows.shape[1]
    walk = np.empty((n + 1, n + 1))
    steps = np.empty((n + 1, n + 1))
    home = np.empty(n + 1)
    for row in range(start, stop):
        walk[0] = -np.inf
        for node in range(1, n + 1):
            for head in range(n + 1):
                weight = rows[row, node - 1, head]
                masked = head == node or not weight > lowest
                walk[node, head] = -np.inf if masked else weight
        for node in range(1, n + 1):
            _home(walk, steps, home, node)
            chosen = _choose(walk[node] + home, uniforms[row, node - 1])
            walk[node] = -np.inf  # from now on it goes there
            walk[node, chosen] = 0.0
            z[row, node - 1, chosen] = 1


@njit(cache=True, nogil=True)
def _choose(logits: np.ndarray, uniform: float) -> int:
    """A number in proportion to the exponential."""
    most, total, chosen = logits.max(), 0.0, 0
    if most == -np.inf:
        return 0
    for each in logits:
        total += math.exp(each - most)
    rest = uniform * total
    for number in range(len(logits)):
        if logits[number] > -np.inf and rest >= 0.0:
            chosen = number
            rest -= math.exp(logits[number] - most)
    return chosen


@njit(cache=True, nogil=True)
def _add(one: float, other: float) -> float:
    """log(e^one + e^other)."""
    high, low = max(one, other), min(one, other)
    return high if low == -np.inf else high + math.log1p(math.exp(low - high))


@njit(cache=True, nogil=True)
def _home(walk: np.ndarray, steps: np.ndarray, home: np.ndarray, node: int) -> None:
    """From every node, log of how probably a walk comes to the root before it comes to `node`."""
    n = walk.shape[0] - 1
    steps[:] = walk
    for gone in range(1, n + 1):
        if gone == node:
            continue
        leaves = _add(steps[gone, 0], steps[gone, node])
        for head in range(gone + 1, n + 1):
            if head != node:
                leaves = _add(leaves, steps[gone, head])
        if leaves > -np.inf:
            for head in range(n + 1):
                steps[gone, head] -= leaves
        for other in range(gone + 1, n + 1):
            share = steps[other, gone]
            if other == node or share == -np.inf:
                continue
            for head in range(n + 1):
                if head == 0 or head == node or (head > gone and head != other):
                    steps[other, head] = _add(steps[other, head], share + steps[gone, head])
    home[0], home[node] = 0.0, -np.inf
    for gone in range(n, 0, -1):
        if gone == node:
            continue
        home[gone] = steps[gone, 0]
        for head in range(gone + 1, n + 1):
            if head != node:
                home[gone] = _add(home[gone], steps[gone, head] + home[head])
