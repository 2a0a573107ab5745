"""Argmax over batches of potentials: tensors in, a `Solution` out. No autograd, no networks.

`SOLVERS` declares each solver of pairwise binary problems. Classes are imported on first use, so
that the names can be read without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from directmax._choices import check_choice
from directmax._lazy import lazy_names

if TYPE_CHECKING:
    from directmax.solvers._auto import Auto as Auto
    from directmax.solvers._branch_and_bound import BranchAndBound as BranchAndBound
    from directmax.solvers._cplex import Cplex as Cplex
    from directmax.solvers._exhaustive import Exhaustive as Exhaustive
    from directmax.solvers._highs import Highs as Highs
    from directmax.solvers._independent import solve_independent as solve_independent
    from directmax.solvers._max_flow import MaxFlow as MaxFlow
    from directmax.solvers._one_by_one import OneByOne as OneByOne
    from directmax.solvers._pairwise import PairwiseSolver as PairwiseSolver
    from directmax.solvers._pairwise import check_potentials as check_potentials
    from directmax.solvers._pairwise import coupling_reach as coupling_reach
    from directmax.solvers._pairwise import pair_products as pair_products
    from directmax.solvers._pairwise import potential as potential
    from directmax.solvers._pymaxflow import PyMaxflow as PyMaxflow
    from directmax.solvers._solution import Solution as Solution
    from directmax.solvers._solution import Status as Status

__all__, __getattr__, __dir__ = lazy_names(__name__)
__all__ += ["choose_solver"]


@dataclass(frozen=True)
class Declaration:
    """What is known of a solver without importing it.

    Attributes:
        class_name: its class, a name of this package.
        when: to take it, for the table of the documentation.
        supermodular_only: whether it refuses pairwise potentials below 0.
        variables: how many it takes, in words.
    """

    class_name: str
    when: str
    supermodular_only: bool = False
    variables: str = "any"

    @property
    def cls(self) -> type[PairwiseSolver]:
        """The class, imported now."""
        found: type[PairwiseSolver] = __getattr__(self.class_name)
        return found


SOLVERS: dict[str, Declaration] = {
    "auto": Declaration("Auto", "the default"),
    "exhaustive": Declaration(
        "Exhaustive", "all $2^n$ states, compiled; small n, and on a GPU", variables="≤ 24"
    ),
    "max-flow": Declaration("MaxFlow", "compiled minimum cut", supermodular_only=True),
    "branch-and-bound": Declaration(
        "BranchAndBound", "compiled, no package needed", variables="any; dense up to about 40"
    ),
    "highs": Declaration(
        "Highs", "an independent check; `pip install 'directmax[highs]'`", variables="any, slow"
    ),
    "cplex": Declaration(
        "Cplex",
        "the paper's; `pip install 'directmax[cplex]'`",
        variables="any, slow; 32 to 44 without a licence",
    ),
    "pymaxflow": Declaration(
        "PyMaxflow",
        "a few large sparse problems, a check; `pip install 'directmax[maxflow]'`",
        supermodular_only=True,
    ),
}
"""Every solver by its name on the command line."""


def choose_solver(solver: str | PairwiseSolver) -> PairwiseSolver:
    """The solver of that name, with its default settings; a solver itself is returned as it is.

    Raises:
        TypeError: neither a name nor a solver.
        ValueError: an unknown name, or a package that is not installed.

    Example:
        >>> choose_solver("max-flow").name
        'max-flow'
    """
    if isinstance(solver, __getattr__("PairwiseSolver")):
        return solver
    if not isinstance(solver, str):
        raise TypeError(f"solver must be a name or a PairwiseSolver, got {type(solver).__name__}")
    return SOLVERS[check_choice("solver", solver, tuple(SOLVERS))].cls()
