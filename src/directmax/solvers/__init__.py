"""Argmax over batches of potentials: tensors in, a `Solution` out. No autograd, no networks."""

from directmax.solvers._branch_and_bound import BranchAndBound
from directmax.solvers._choose import SOLVERS, Auto, choose_solver
from directmax.solvers._cplex import Cplex
from directmax.solvers._exhaustive import Exhaustive
from directmax.solvers._highs import Highs
from directmax.solvers._independent import solve_independent
from directmax.solvers._max_flow import MaxFlow
from directmax.solvers._one_by_one import OneByOne
from directmax.solvers._pairwise import (
    PairwiseSolver,
    check_potentials,
    coupling_reach,
    pair_products,
    potential,
)
from directmax.solvers._pymaxflow import PyMaxflow
from directmax.solvers._solution import Solution, Status

__all__ = [
    "SOLVERS",
    "Auto",
    "BranchAndBound",
    "Cplex",
    "Exhaustive",
    "Highs",
    "MaxFlow",
    "OneByOne",
    "PairwiseSolver",
    "PyMaxflow",
    "Solution",
    "Status",
    "check_potentials",
    "choose_solver",
    "coupling_reach",
    "pair_products",
    "potential",
    "solve_independent",
]
