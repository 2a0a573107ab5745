"""Integer programming with HiGHS."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from directmax.solvers._linearisation import LinearisedSolver, LinearProgram
from directmax.solvers._solution import Status

TOLERANCE = 1e-9
"""Of feasibility and integrality, where the largest potential is about 1."""


class Highs(LinearisedSolver):
    r"""The argmax by HiGHS, a free solver of mixed integer programs: any signs, exact.

    Needs `pip install 'directmax[highs]'`. Each product z_i z_j becomes a variable (`linearise`);
    the gap is 0 and potentials are scaled, so that the result is below the maximum by at most some
    1e-9 of the largest potential. One thread a problem, and as many problems at a time as torch
    has threads. Much slower than `BranchAndBound` on dense problems; meant as an independent check.

    Args:
        time_limit: seconds a call may take for its whole batch; None for no limit. When it is over
            the status is `TIME_LIMIT`, and each problem has the best assignment found until then.

    Raises:
        TypeError: a limit that is no number.
        ValueError: a limit that is not above 0; highspy is not installed.
        RuntimeError: at the call, HiGHS failed.

    Example:
        >>> import torch
        >>> unary = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [0.0, 1.5]]])
        >>> pairwise = torch.tensor([[-3.0, 0.5, -2.0]])  # (0,1), (0,2), (1,2)
        >>> Highs()(unary, pairwise).value.argmax(-1).tolist()
        [[1, 0, 1]]

    Reference: Huangfu and Hall 2018, "Parallelizing the dual revised simplex method".
    """

    name: ClassVar[str] = "highs"
    module: ClassVar[str] = "highspy"

    def _solve(
        self, program: LinearProgram, seconds: float | None
    ) -> tuple[NDArray[np.float64] | None, Status]:
        import highspy

        columns, n = len(program.cost), program.num_binary
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = columns, len(program.upper)
        lp.sense_ = highspy.ObjSense.kMaximize
        lp.col_cost_ = program.cost
        lp.col_lower_, lp.col_upper_ = np.zeros(columns), np.ones(columns)
        lp.row_lower_ = np.full(len(program.upper), -highspy.kHighsInf)
        lp.row_upper_ = program.upper
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = program.start
        lp.a_matrix_.index_ = program.column
        lp.a_matrix_.value_ = program.entry
        kinds = highspy.HighsVarType
        lp.integrality_ = [kinds.kInteger] * n + [kinds.kContinuous] * (columns - n)

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
        if seconds is not None:
            options["time_limit"] = seconds
        done = [highs.setOptionValue(option, value) for option, value in options.items()]
        done += [highs.passModel(lp), highs.run()]
        status = highs.getModelStatus()
        statuses = {
            highspy.HighsModelStatus.kOptimal: Status.OPTIMAL,
            highspy.HighsModelStatus.kTimeLimit: Status.TIME_LIMIT,
        }
        if highspy.HighsStatus.kError in done or status not in statuses:
            raise RuntimeError(
                f"highs failed with status '{highs.modelStatusToString(status)}'; choose "
                "'branch-and-bound' instead"
            )
        feasible = int(highs.getInfo().primal_solution_status) == 2  # kSolutionStatusFeasible
        values = np.array(highs.getSolution().col_value[:n]) if feasible else None
        if values is None and statuses[status] is Status.OPTIMAL:
            raise RuntimeError("highs says optimal without a solution; choose 'branch-and-bound'")
        return values, statuses[status]
