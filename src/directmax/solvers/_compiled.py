"""The interface of solvers whose search is compiled with numba."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from directmax._kernels import over_rows
from directmax._transforms import uncompiled
from directmax.solvers._pairwise import PairwiseSolver
from directmax.solvers._solution import Solution, Status


class CompiledSolver(PairwiseSolver):
    """A solver with a compiled search: on a CPU what is around it is compiled, too.

    For a few hundred small problems, torch's operations before and after a search would take longer
    than the search. A subclass sets `name` and implements `_search`.
    """

    @abstractmethod
    def _search(
        self, field: Float[NDArray, "r n"], pairwise: Float[NDArray, "b P"], negative: bool
    ) -> tuple[UInt8[NDArray, "r n"], Status]:
        """The maximisers of Σ_i field_i z_i + Σ_{i<j} h_ij z_i z_j; writes to nothing it gets.

        Args:
            field: h_i(1) − h_i(0), contiguous, float32 or float64, at least one row.
            pairwise: contiguous, of the same type; row r has entry r modulo b.
            negative: whether some pairwise potential is below 0.

        Returns:
            z as zeros and ones, and how the search ended.
        """

    def _maximise(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        if field.device.type != "cpu":
            return self._elsewhere(field, pairwise)
        pairs = pairwise.numpy()
        bits, status = self._search(field.flatten(0, 1).numpy(), pairs, bool((pairs < 0).any()))
        return torch.from_numpy(bits.view(bool)).view(field.shape), status

    def _elsewhere(
        self, field: Float[Tensor, "s b n"], pairwise: Float[Tensor, "b P"]
    ) -> tuple[Bool[Tensor, "s b n"], Status]:
        """`_maximise` on another device; here by copies on the CPU."""
        bits, status = self._maximise(field.cpu(), pairwise.cpu())
        return bits.to(field.device), status

    @uncompiled
    def _solution(
        self, unary: Float[Tensor, "*s b n 2"], pairwise: Float[Tensor, "b P"]
    ) -> Solution:
        """As of any solver, to the digit: the order of the sums is torch's."""
        own = type(self)._maximise is CompiledSolver._maximise
        if unary.device.type != "cpu" or not unary.numel() or not own:
            return super()._solution(unary, pairwise)
        from directmax.solvers._compiled_kernel import answer, prepare

        n = unary.shape[-2]
        single, pairs = unary.contiguous().numpy().reshape(-1, n, 2), pairwise.contiguous().numpy()
        field = np.empty(single.shape[:2], single.dtype)
        finite, negative = prepare(single, pairs, field)
        if not finite:
            return super()._solution(unary, pairwise)
        bits, status = self._search(field, pairs, negative)
        value, singles = np.empty_like(single), np.empty_like(field)
        products = np.empty((len(field), pairs.shape[1]), field.dtype)
        arrays = (bits, single, pairs, value, singles, products)
        over_rows(
            lambda start, stop: answer(*arrays, start, stop),
            len(field),
            minimum=max(1, 200_000 // n**2),
        )
        objective = torch.from_numpy(singles).sum(-1) + torch.from_numpy(products).sum(-1)
        shape = unary.shape
        return Solution(torch.from_numpy(value).view(shape), objective.view(shape[:-2]), status)
