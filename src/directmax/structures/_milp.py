"""Zeros and ones under linear constraints, by integer programming."""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from directmax._kernels import over_rows
from directmax._transforms import refuse_wrapped
from directmax._validation import check_float_tensor, check_has_numbers, check_positive
from directmax.solvers import Solution, Status
from directmax.structures._base import Structure
from directmax.structures._rows import ARGMAX, Answer

TOLERANCE = 1e-9
"""Of feasibility and integrality, where the largest weight is about 1."""


class Milp(Structure):
    r"""Zeros and ones z `(m,)` with lower ≤ A z ≤ upper, by the solver HiGHS.

    For sets that no other structure has: needs `pip install 'directmax[highs]'`. Every thread
    builds the model once, changes its weights from problem to problem, and starts from the
    solution before. A problem is solved by one thread, to a gap of 0.

    Args:
        matrix: A `(c, m)`.
        lower: `(c,)`; −∞ for none.
        upper: `(c,)`; ∞ for none.
        time_limit: seconds a problem may take; None for no limit. Only `solve` says whether it was
            reached; `argmax` then has the best that was found.

    Raises:
        TypeError, ValueError: constraints of another type or shape, NaN, or highspy is not
            installed; at the call, no z satisfies them.
        RuntimeError: at the call, HiGHS failed.

    Example:
        >>> at_most_one = Milp(torch.ones(1, 3), upper=torch.ones(1))
        >>> at_most_one.argmax(torch.tensor([[1.0, 2.0, -1.0]]))
        tensor([[0., 1., 0.]])

    Reference: Huangfu and Hall 2018.
    """

    def __init__(
        self,
        matrix: Float[Tensor, "c m"],
        lower: Float[Tensor, " c"] | None = None,
        upper: Float[Tensor, " c"] | None = None,
        *,
        time_limit: float | None = None,
    ) -> None:
        if importlib.util.find_spec("highspy") is None:
            raise ValueError("Milp needs highspy; install it with pip install 'directmax[highs]'")
        check_float_tensor("matrix", matrix, ("constraints", "elements"))
        self.shape = (matrix.shape[1],)
        self.matrix = matrix.detach().cpu().double().clone()
        rows = len(matrix)
        self.lower = _bound("lower", lower, rows, -torch.inf)
        self.upper = _bound("upper", upper, rows, torch.inf)
        self.time_limit = None if time_limit is None else check_positive("time_limit", time_limit)
        self._models = threading.local()

    def __repr__(self) -> str:
        return f"Milp({self.shape[0]} elements, {len(self.matrix)} constraints)"

    def solve(self, weights: Float[Tensor, "*s b m"]) -> Solution:
        """As `argmax`, with the score and whether every answer is proved.

        Returns:
            A `Solution`; its value is `(*s, b, m)`, its status that of the worst problem.
        """
        rows = self._rows(weights, True)
        z, found, proved = self._each(rows)
        if not bool(found.all()):
            raise ValueError("Milp found no z under its constraints; relax them, or the time limit")
        value = z.to(weights.dtype).reshape(weights.shape)
        status = Status.OPTIMAL if bool(proved.all()) else Status.TIME_LIMIT
        return Solution(value=value, objective=self.score(weights.detach(), value), status=status)

    def _argmax(self, rows: Float[Tensor, "r m"], masked: bool) -> Answer:
        z, found, _ = self._each(rows)
        return z, None if bool(found.all()) else found

    def _each(
        self, rows: Float[Tensor, "r m"]
    ) -> tuple[Float[Tensor, "r m"], Bool[Tensor, " r"], Bool[Tensor, " r"]]:
        """z, whether one was found, and whether it is proved."""
        refuse_wrapped(ARGMAX, rows)
        weights = rows.detach().cpu().double().numpy()
        z = np.zeros_like(weights)
        flags = np.zeros((2, len(rows)), dtype=np.bool_)

        def solve(start: int, stop: int) -> None:
            for row in range(start, stop):
                answer, proved = self._one(weights[row])
                if answer is not None:
                    z[row], flags[0, row], flags[1, row] = answer > 0.5, True, proved

        over_rows(solve, len(rows), chunk=1)
        found, proved = torch.from_numpy(flags).to(rows.device)
        return torch.from_numpy(z).to(rows), found, proved

    def _one(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, bool]:
        """The best z, None where there is none, and whether it is proved."""
        import highspy

        highs = self._model()
        size, columns = len(weights), np.arange(len(weights), dtype=np.int32)
        allowed = weights > -np.inf
        finite = np.where(allowed, weights, 0.0)
        finite = finite / max(np.abs(finite).max(initial=0.0), 1e-300)
        highs.changeColsCost(size, columns, finite)
        highs.changeColsBounds(size, columns, np.zeros(size), allowed.astype(np.float64))
        if self._models.last is not None:
            highs.setSolution(self._models.last)
        highs.run()
        status, kinds = highs.getModelStatus(), highspy.HighsModelStatus
        solved = highs.getInfo().primal_solution_status == 2  # kSolutionStatusFeasible
        if status in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
            return None, True
        if status not in (kinds.kOptimal, kinds.kTimeLimit):
            raise RuntimeError(f"highs failed with status '{highs.modelStatusToString(status)}'")
        if not solved:
            return None, False
        self._models.last = highs.getSolution()
        return np.array(self._models.last.col_value), status == kinds.kOptimal

    def _model(self) -> Any:
        """This thread's model."""
        if not hasattr(self._models, "highs"):
            self._models.highs, self._models.last = self._build(), None
        return self._models.highs

    def _build(self) -> Any:
        import highspy

        lp, size = highspy.HighsLp(), self.shape[0]
        lp.num_col_, lp.num_row_ = size, len(self.matrix)
        lp.sense_ = highspy.ObjSense.kMaximize
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = np.zeros(size), np.zeros(size), np.ones(size)
        infinity = highspy.kHighsInf
        lp.row_lower_ = np.maximum(self.lower.numpy(), -infinity)
        lp.row_upper_ = np.minimum(self.upper.numpy(), infinity)
        row, column = self.matrix.numpy().nonzero()
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.searchsorted(row, np.arange(len(self.matrix) + 1))
        lp.a_matrix_.index_ = column
        lp.a_matrix_.value_ = self.matrix.numpy()[row, column]
        lp.integrality_ = [highspy.HighsVarType.kInteger] * size
        highs = highspy.Highs()
        highs.silent()
        options: dict[str, int | float | str] = {
            "threads": 1,
            "parallel": "off",
            "mip_rel_gap": 0.0,
            "mip_abs_gap": 0.0,
            "mip_feasibility_tolerance": TOLERANCE,
            "primal_feasibility_tolerance": TOLERANCE,
            "dual_feasibility_tolerance": TOLERANCE,
        }
        if self.time_limit is not None:
            options["time_limit"] = self.time_limit
        for name, value in options.items():
            highs.setOptionValue(name, value)
        if highs.passModel(lp) == highspy.HighsStatus.kError:
            raise RuntimeError("highs does not take the constraints")
        return highs

    def _feasible(self, rows: Float[Tensor, "r m"]) -> Bool[Tensor, " r"]:
        sums = rows.double().cpu() @ self.matrix.T
        slack = 1e-6 * (1 + self.matrix.abs().sum(-1))
        within = (sums >= self.lower - slack) & (sums <= self.upper + slack)
        return within.all(-1).to(rows.device)


def _bound(name: str, value: object, rows: int, default: float) -> Float[Tensor, " c"]:
    """A bound for every row."""
    if value is None:
        return torch.full((rows,), default, dtype=torch.float64, device="cpu")
    value = check_float_tensor(name, value, ("constraints",), finite=False)
    check_has_numbers(name, value)
    if len(value) != rows or bool(value.isnan().any()):
        raise ValueError(
            f"{name} must be {rows} numbers, one a constraint, got {tuple(value.shape)}"
        )
    return value.detach().cpu().double().clone()
