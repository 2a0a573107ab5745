"""Argmax over batches of potentials: tensors in, a `Solution` out. No autograd, no networks."""

from directmax.solvers._independent import solve_independent
from directmax.solvers._solution import Solution, Status

__all__ = ["Solution", "Status", "solve_independent"]
