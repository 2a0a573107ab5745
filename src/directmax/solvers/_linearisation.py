"""Pairwise binary problems as mixed integer programs, for general solvers."""

from __future__ import annotations

import importlib.util
import math
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from directmax._kernels import over_rows
from directmax._validation import check_positive
from directmax.solvers._pairwise import PairwiseSolver
from directmax.solvers._solution import Status


@dataclass(frozen=True)
class LinearProgram:
    r"""max cost·(z, y) with z in {0, 1}^n, 0 ≤ y ≤ 1, matrix (z, y) ≤ upper.

    Attributes:
        num_binary: n; the columns z come first.
        cost: of all columns, the largest magnitude in [½, 1).
        start: where each row begins in `column` and `entry`, with the end.
        column: of each entry of the matrix, row by row.
        entry: the matrix.
        upper: of each row.
    """

    num_binary: int
    cost: NDArray[np.float64]
    start: NDArray[np.int32]
    column: NDArray[np.int32]
    entry: NDArray[np.float64]
    upper: NDArray[np.float64]


def linearise(field: NDArray[np.float64], pairwise: NDArray[np.float64]) -> LinearProgram:
    r"""Σ_i field_i z_i + Σ_{i<j} h_ij z_i z_j with a variable y_ij for each product.

    The maximum presses y_ij against z_i z_j from one side, so only that side is written:
    y_ij ≤ z_i and y_ij ≤ z_j where h_ij > 0, y_ij ≥ z_i + z_j − 1 where h_ij < 0. With binary z
    no y needs to be an integer. Pairs with h_ij = 0 are left out.

    Args:
        field: `(n,)`, not all potentials 0.
        pairwise: `(P,)`.

    Example:
        >>> program = linearise(np.array([1.0, 1.0]), np.array([-2.0]))
        >>> program.cost.tolist(), program.column.tolist(), program.entry.tolist()
        ([0.25, 0.25, -0.5], [0, 1, 2], [1.0, 1.0, -1.0])

    Reference: Fortet 1960; Glover and Woolsey 1974, "Converting the 0-1 polynomial programming
    problem to a 0-1 linear program".
    """
    n = len(field)
    first, second = np.triu_indices(n, 1)
    used = np.flatnonzero(pairwise)
    first, second, weight = first[used], second[used], pairwise[used]
    product = n + np.arange(len(used))
    gains, costs = np.flatnonzero(weight > 0), np.flatnonzero(weight < 0)
    below = np.stack(
        [
            np.concatenate([product[gains], product[gains]]),
            np.concatenate([first[gains], second[gains]]),
        ],
        -1,
    )
    above = np.stack([first[costs], second[costs], product[costs]], -1)
    cost = np.concatenate([field, weight])
    exponent = math.frexp(float(np.abs(cost).max()))[1]  # the tolerances are absolute
    lengths = np.repeat([2, 3], [len(below), len(above)])
    return LinearProgram(
        num_binary=n,
        cost=np.ldexp(cost, -exponent),
        start=np.concatenate([[0], lengths.cumsum()]).astype(np.int32),
        column=np.concatenate([below.ravel(), above.ravel()]).astype(np.int32),
        entry=np.concatenate(
            [np.tile([1.0, -1.0], len(below)), np.tile([1.0, 1.0, -1.0], len(above))]
        ),
        upper=np.repeat([0.0, 1.0], [len(below), len(above)]),
    )


def to_bits(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Binary values of a solver, which may be off by its tolerance, as booleans.

    Raises:
        RuntimeError: a value that is not near 0 or 1.

    Example:
        >>> to_bits(np.array([0.9999999, 1e-9])).tolist()
        [True, False]
    """
    bits = values > 0.5
    if not bool((np.abs(values - bits) < 1e-3).all()):
        raise RuntimeError(f"a solver returned values that are not binary: {values.tolist()}")
    return bits


def climb(
    field: NDArray[np.float64], pairwise: NDArray[np.float64], bits: NDArray[np.bool_]
) -> None:
    """Flip single bits, in place, while one gains; the best first.

    Makes the most of what was found when the time was over, and regains what a solver's tolerance
    lost on a variable of small potentials.

    Example:
        >>> bits = np.array([False, False])
        >>> climb(np.array([1.0, -1.0]), np.array([3.0]), bits)
        >>> bits.tolist()
        [True, True]
    """
    n = len(field)
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, 1)] = pairwise
    matrix += matrix.T
    for _ in range(10 * n):  # an end also where rounding makes a circle
        local = field + matrix @ bits
        gain = np.where(bits, -local, local)
        best = int(gain.argmax())
        if not gain[best] > 0:
            return
        bits[best] = not bits[best]


def _score(
    field: NDArray[np.float64], pairwise: NDArray[np.float64], bits: NDArray[np.bool_]
) -> float:
    first, second = np.triu_indices(len(field), 1)
    return float(field @ bits + pairwise @ (bits[first] & bits[second]))


class LinearisedSolver(PairwiseSolver):
    """Solves `linearise` of each problem. A subclass sets the names and says how to solve one.

    Attributes:
        module: what is imported.
        time_limit: as in the constructor.
    """

    module: ClassVar[str]

    def __init__(self, time_limit: float | None = None) -> None:
        if time_limit is not None:
            check_positive("time_limit", time_limit)
        reason = self.missing()
        if reason is not None:
            raise ValueError(reason)
        self.time_limit = time_limit

    def __repr__(self) -> str:
        return f"{type(self).__name__}(time_limit={self.time_limit})"

    @classmethod
    def missing(cls) -> str | None:
        """Why this solver cannot be used here, with the command that helps; None if it can."""
        return missing_package(cls.module, cls.module, cls.name)

    @abstractmethod
    def _solve(
        self, program: LinearProgram, seconds: float | None
    ) -> tuple[NDArray[np.float64] | None, Status]:
        """The values of z, None if none was found in time, and how the search ended."""

    def _maximise(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        rows = field.flatten(0, 1).cpu().double().numpy()
        pairs = pairwise.cpu().double().numpy()
        end = None if self.time_limit is None else time.monotonic() + self.time_limit
        bits = rows > 0  # the answer where there are no pairs, and a start where time is over
        unfinished: list[int] = []
        failed: list[int] = []

        def solve(start: int, stop: int) -> None:
            for row in range(start, stop):
                potentials = pairs[row % len(pairs)]
                if failed or not potentials.any():
                    continue
                seconds = None if end is None else end - time.monotonic()
                values, status = None, Status.TIME_LIMIT
                try:
                    if seconds is None or seconds > 0:
                        values, status = self._solve(linearise(rows[row], potentials), seconds)
                    found = bits[row].copy() if values is None else to_bits(values)
                except Exception:
                    failed.append(row)  # the others need not try
                    raise
                climb(rows[row], potentials, found)
                climb(rows[row], potentials, bits[row])
                if _score(rows[row], potentials, found) >= _score(rows[row], potentials, bits[row]):
                    bits[row] = found
                if status is not Status.OPTIMAL:
                    unfinished.append(row)

        over_rows(solve, len(rows), chunk=1)  # the packages release the GIL while they search
        found = torch.from_numpy(bits).view(field.shape).to(field.device)
        return found, Status.TIME_LIMIT if unfinished else Status.OPTIMAL


def missing_package(module: str, package: str, extra: str) -> str | None:
    """One line with the command that installs `package`; None if its module is there.

    Example:
        >>> missing_package("no_such_module", "NoSuchPackage", "highs")
        "NoSuchPackage is not installed: pip install 'directmax[highs]'"
    """
    if importlib.util.find_spec(module) is not None:
        return None
    return f"{package} is not installed: pip install 'directmax[{extra}]'"
