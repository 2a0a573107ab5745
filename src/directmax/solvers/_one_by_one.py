"""A batch of problems by a function that solves one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from directmax._kernels import over_rows


class OneByOne:
    """The `maximise` of a `PerturbedArgmax`, from a function that solves a single problem.

    Problems are shared among as many threads as torch uses, so the function must not change
    anything that its calls share. That is faster where it releases Python's lock, as compiled
    solvers mostly do (HiGHS, OR-Tools, numba's `nogil=True`).

    Args:
        solve: from the potentials of one problem, float64 `(n, k)`, and its number in the batch
            (for a graph of its own), to the best values, integers or bool `(n,)`.

    Raises:
        TypeError, ValueError: `solve` is no function; at the call, its answer is no array of n
            integers.

    Example:
        >>> import torch
        >>> from scipy.optimize import linear_sum_assignment
        >>> def matching(potentials, problem):  # person i does the task z_i, each task once
        ...     return linear_sum_assignment(potentials, maximize=True)[1]
        >>> maximise = OneByOne(matching)
        >>> maximise(torch.tensor([[[[3.0, 2.0], [2.0, 0.0]]]]))  # one sample, one problem
        tensor([[[1, 0]]])
    """

    def __init__(self, solve: Callable[[NDArray[np.float64], int], ArrayLike]) -> None:
        if not callable(solve):
            raise TypeError(f"solve must be a function of potentials, got {type(solve).__name__}")
        self.solve = solve

    @torch.no_grad()
    def __call__(self, potentials: Float[Tensor, "s b n k"]) -> Int[Tensor, "s b n"]:
        """The best values of every problem and sample."""
        batch, n = potentials.shape[-3:-1]
        rows = potentials.detach().cpu().double().numpy().reshape(-1, *potentials.shape[-2:])
        values = np.empty((len(rows), n), dtype=np.int64)

        def solve(start: int, stop: int) -> None:
            for row in range(start, stop):
                answer = np.asarray(self.solve(rows[row], row % batch))
                if answer.dtype.kind not in "biu" or answer.shape != (n,):
                    raise ValueError(
                        f"solve must return {n} integers or bool, the value of every variable, "
                        f"got {answer.dtype} of shape {answer.shape}"
                    )
                values[row] = answer

        over_rows(solve, len(rows), chunk=1)
        return torch.from_numpy(values).view(potentials.shape[:-1]).to(potentials.device)

    def __repr__(self) -> str:
        return f"OneByOne({getattr(self.solve, '__name__', self.solve)!s})"
