"""Integer programming with CPLEX."""

from __future__ import annotations

import itertools
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from directmax.solvers._linearisation import LinearisedSolver, LinearProgram
from directmax.solvers._solution import Status

TOLERANCE = 1e-9
"""Of feasibility and integrality, where the largest potential is about 1."""
TOO_LARGE = 1016
"""CPLEX's error code for more than the Community Edition solves."""


class Cplex(LinearisedSolver):
    r"""The argmax by IBM ILOG CPLEX, the solver of the paper: any signs, exact.

    Needs `pip install 'directmax[cplex]'`. What that installs without a licence, the Community
    Edition, takes at most 1000 variables and 1000 constraints: n + the number of pairs with
    h_ij ≠ 0, and one constraint for each h_ij < 0, two for each h_ij > 0. That is n ≤ 32 for
    potentials that are all positive and n ≤ 44 for ones that are all negative.

    Each product z_i z_j becomes a variable (`linearise`); the gap is 0 and potentials are scaled,
    so that the result is below the maximum by at most some 1e-9 of the largest potential. One
    thread a problem, and as many problems at a time as torch has threads.

    Args:
        time_limit: seconds a call may take for its whole batch; None for no limit. When it is over
            the status is `TIME_LIMIT`, and each problem has the best assignment found until then.

    Raises:
        TypeError: a limit that is no number.
        ValueError: a limit that is not above 0; cplex is not installed; at the call, a problem
            beyond the Community Edition.
        RuntimeError: at the call, CPLEX failed, for example without a valid licence.

    Example:
        >>> import torch
        >>> unary = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [0.0, 1.5]]])
        >>> pairwise = torch.tensor([[-3.0, 0.5, -2.0]])  # (0,1), (0,2), (1,2)
        >>> Cplex()(unary, pairwise).value.argmax(-1).tolist()
        [[1, 0, 1]]

    Reference: Lorberbom et al. 2019, section 4.2; IBM ILOG CPLEX Optimization Studio.
    """

    name: ClassVar[str] = "cplex"
    module: ClassVar[str] = "cplex"

    def _solve(
        self, program: LinearProgram, seconds: float | None
    ) -> tuple[NDArray[np.float64] | None, Status]:
        import cplex
        from cplex.exceptions import CplexError

        columns, n = len(program.cost), program.num_binary
        try:
            with cplex.Cplex() as model:
                for silence in (
                    model.set_log_stream,
                    model.set_results_stream,
                    model.set_warning_stream,
                    model.set_error_stream,
                ):
                    silence(None)
                settings = model.parameters
                settings.threads.set(1)
                settings.mip.tolerances.mipgap.set(0.0)
                settings.mip.tolerances.absmipgap.set(0.0)
                settings.mip.tolerances.integrality.set(TOLERANCE)
                settings.simplex.tolerances.feasibility.set(TOLERANCE)
                settings.simplex.tolerances.optimality.set(TOLERANCE)
                if seconds is not None:
                    settings.timelimit.set(seconds)
                model.objective.set_sense(model.objective.sense.maximize)
                model.variables.add(
                    obj=program.cost.tolist(),
                    ub=[1.0] * columns,
                    types="B" * n + "C" * (columns - n),
                )
                column, entry = program.column.tolist(), program.entry.tolist()
                parts = [slice(*bounds) for bounds in itertools.pairwise(program.start.tolist())]
                model.linear_constraints.add(
                    lin_expr=[[column[part], entry[part]] for part in parts],
                    senses="L" * len(parts),
                    rhs=program.upper.tolist(),
                )
                model.solve()
                status = model.solution.get_status()
                status_text = model.solution.get_status_string()
                status_code = model.solution.status
                if status in (status_code.MIP_optimal, status_code.optimal_tolerance):
                    return np.array(model.solution.get_values(0, n - 1)), Status.OPTIMAL
                if status == status_code.MIP_time_limit_feasible:
                    return np.array(model.solution.get_values(0, n - 1)), Status.TIME_LIMIT
                if status == status_code.MIP_time_limit_infeasible:  # no assignment found yet
                    return None, Status.TIME_LIMIT
        except CplexError as error:
            if len(error.args) > 2 and error.args[2] == TOO_LARGE:
                raise ValueError(
                    "cplex is installed as Community Edition, which takes at most 1000 variables "
                    f"and 1000 constraints; this problem, with n = {n}, has {columns} and "
                    f"{len(program.upper)}: choose 'branch-and-bound' or 'highs', or install "
                    "a licensed edition"
                ) from None
            raise RuntimeError(f"cplex failed: {str(error).strip()}") from error
        raise RuntimeError(
            f"cplex failed with status '{status_text}'; choose 'branch-and-bound' instead"
        )
