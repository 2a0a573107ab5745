"""Sets of assignments, and a maximiser that tries them all."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor


def tries_all(allowed: Tensor) -> Callable[[Tensor], Tensor]:
    """The maximiser of a set, by enumeration.

    Args:
        allowed: the set, values `(K, n)`.
    """

    def maximise(potentials: Tensor) -> Tensor:
        assert potentials.ndim == 4
        assert bool(potentials.isfinite().all())
        assert not potentials.requires_grad
        columns = torch.arange(allowed.shape[1])
        scores = potentials[..., columns, allowed].sum(-1)  # (s, b, K)
        return allowed[scores.argmax(-1)]

    return maximise


def subsets(n: int, allowed: Callable[[tuple[int, ...]], bool]) -> Tensor:
    """Zeros and ones that satisfy a condition, `(K, n)`."""
    return torch.tensor([z for z in itertools.product((0, 1), repeat=n) if allowed(z)])


ONE_OF_THREE = subsets(3, lambda z: sum(z) == 1)
NO_NEIGHBOURS = subsets(3, lambda z: not (z[0] and z[1]) and not (z[1] and z[2]))
"""The independent sets of a path of three nodes."""
ASSIGNMENTS = torch.tensor(list(itertools.permutations(range(4))))
"""Of four persons to four tasks."""
