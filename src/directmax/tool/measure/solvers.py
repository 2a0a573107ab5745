"""Which solvers of a structured encoder's argmax there are, and how fast each is here."""

from __future__ import annotations

import inspect
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.gumbel import sample_gumbel
from directmax.solvers import (
    SOLVERS,
    BranchAndBound,
    Exhaustive,
    PairwiseSolver,
    Solution,
    Status,
    potential,
)

FEW = {"highs": 5, "cplex": 5}
"""Instances at a time for solvers that take milliseconds for each."""
MAX_VARIABLES, MAX_BATCH = 200, 10_000

CELL_SECONDS = 0.2
"""Spent on a timing, if one instance does not take longer."""
LIMIT_SECONDS = 1.0
"""Of the solvers that take a limit."""
TOLERANCE = 1e-6
"""Objectives are equal up to this part of the sum of the absolute potentials (float32)."""


@dataclass(frozen=True)
class Timing:
    """A solver on random instances.

    Attributes:
        variables: n.
        instances: how many at a time.
        microseconds: an instance, the median over calls; None where it was not timed.
        status: how the solver ended; None where it was not timed.
        compared: instances for which another exact solver's objective is known.
        agrees: no objective is below what another solver found, nor other than it says.
        note: why it failed or does not agree.
    """

    variables: int
    instances: int = 0
    microseconds: float | None = None
    status: str | None = None
    compared: int = 0
    agrees: bool = True
    note: str | None = None


@dataclass(frozen=True)
class SolverRow:
    """A solver: what it takes, whether it can be used here (else how to install it), its timings.

    Example:
        >>> SolverRow("exhaustive").solver.max_variables
        24
    """

    name: str
    timings: tuple[Timing, ...] = ()

    @property
    def solver(self) -> type[PairwiseSolver]:
        """Its class, which says what it takes."""
        return SOLVERS[self.name].cls

    @property
    def missing(self) -> str | None:
        """What installs it; None: it is here."""
        return self.solver.missing()

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        solver = self.solver
        return {
            "name": self.name,
            "installed": self.missing is None,
            "missing": self.missing,
            "potentials": "pairwise ≥ 0" if solver.supermodular_only else "any",
            "exact": solver.exact,
            "max_variables": solver.max_variables,
            "devices": "any" if solver.on_device else "cpu",
            "timings": [vars(timing) for timing in self.timings],
        }


@dataclass(frozen=True)
class SolverTable:
    """What `measure_solvers` found: a row for each solver, and how it was timed."""

    rows: tuple[SolverRow, ...]
    device: str
    threads: int
    batch_size: int
    seed: int

    @property
    def agrees(self) -> bool:
        """Whether no solver disagrees with another."""
        return all(timing.agrees for row in self.rows for timing in row.timings)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        values = {name: value for name, value in vars(self).items() if name != "rows"}
        return {**values, "solvers": [row.to_dict() for row in self.rows]}


def instances(
    variables: int,
    batch: int,
    *,
    supermodular: bool,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b P"]]:
    """Random potentials as an encoder gives them, with Gumbel noise.

    Unary ones are normal with deviation 2, pairwise ones with deviation 0.7. For super-modular
    problems the pairwise ones are made positive, and −½ Σ_j h_ij is added to h_i(1), so that about
    half of the variables are on.

    Example:
        >>> unary, pairwise = instances(5, 3, supermodular=True)
        >>> unary.shape, pairwise.shape, bool((pairwise >= 0).all())
        (torch.Size([3, 5, 2]), torch.Size([3, 10]), True)
    """
    unary = 2 * torch.randn(batch, variables, 2, generator=generator)
    pairwise = 0.7 * torch.randn(batch, variables * (variables - 1) // 2, generator=generator)
    if supermodular:
        pairwise.abs_()
        for end in torch.triu_indices(variables, variables, 1):
            unary[..., 1].index_add_(1, end, pairwise, alpha=-0.5)
    return unary + sample_gumbel((batch, variables, 2), generator=generator), pairwise


def measure_solvers(
    *,
    variables: int = 15,
    batch_size: int = 100,
    seed: int = 0,
    timing: bool = True,
    device: str = "auto",
    progress: Callable[[str], object] = lambda text: None,
) -> SolverTable:
    """List the solvers, time those that are installed, and compare their answers.

    They are timed at `variables`, and at twice as many on at most a fifth of the batch, and 20.
    Compilation does not count.

    Args:
        variables: n.
        batch_size: instances at a time.
        seed: of the instances.
        timing: time and compare; without, only list.
        device: where the potentials are: auto, cpu, cuda, cuda:N or mps.
        progress: called with what is timed next.

    Raises:
        ValueError: a value out of range; the message names the flag.
    """
    for flag, value, high in (
        ("--variables", variables, MAX_VARIABLES),
        ("--batch-size", batch_size, MAX_BATCH),
    ):
        if not 1 <= value <= high:
            raise ValueError(f"{flag} must be between 1 and {high}, got {value}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed must be at least 0 and below 2^63, got {seed}")
    target_device = _device(device)
    timings: dict[str, tuple[Timing, ...]] = dict.fromkeys(SOLVERS, ())
    sizes = ((variables, batch_size), (2 * variables, max(1, min(20, batch_size // 5))))
    for n, batch in sizes if timing else ():
        for supermodular in (False, True):
            generator = torch.Generator().manual_seed(seed)
            potentials = instances(n, batch, supermodular=supermodular, generator=generator)
            for name, found in _time_all(
                *potentials, supermodular, target_device, progress
            ).items():
                timings[name] += (found,)
    rows = tuple(SolverRow(name, each) for name, each in timings.items())
    return SolverTable(rows, str(target_device), torch.get_num_threads(), batch_size, seed)


def _device(name: str) -> torch.device:
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    if name == "cpu" or (name == "auto" and not accelerated):
        return torch.device("cpu")
    from directmax.tool.run.train import make_fabric  # slow to import; knows the names

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # no notes on devices
    return make_fabric(name, 1, "32-true").device


def _time_all(
    unary: Tensor,
    pairwise: Tensor,
    supermodular: bool,
    device: torch.device,
    progress: Callable[[str], object],
) -> dict[str, Timing]:
    """The timings of every solver that is for such instances only, compared."""
    n, there = unary.shape[1], (unary.to(device), pairwise.to(device))
    timings, solutions = {}, {}
    for name in SOLVERS:
        solver = SolverRow(name).solver
        if solver.missing() is not None or solver.supermodular_only != supermodular:
            continue
        timings[name] = Timing(n)
        if solver.max_variables is not None and n > solver.max_variables:
            continue
        progress(f"{name}, n = {n} (the first time it is compiled)")
        try:
            timings[name], solutions[name] = _time(name, *there)
        except (ValueError, TypeError, RuntimeError) as error:
            timings[name] = Timing(n, note=str(error))
    others = {}
    if supermodular and solutions:  # only solvers of the same kind so far
        any_sign = Exhaustive() if n <= 20 else BranchAndBound(time_limit=LIMIT_SECONDS)
        progress(f"{any_sign.name}, to compare")
        solution = any_sign(*there)
        others[any_sign.name] = Timing(n, len(unary), status=solution.status.value)
        solutions[any_sign.name] = solution
    compared = _compare({**timings, **others}, solutions, unary.double(), pairwise.double())
    return {name: compared.get(name, timing) for name, timing in timings.items()}


def _time(name: str, unary: Tensor, pairwise: Tensor) -> tuple[Timing, Solution]:
    """The timing, and the solution of the instances that were timed."""
    most = min(len(unary), FEW.get(name, len(unary)))
    for _ in range(2):  # the first call compiles
        seconds, solution = _call(_solver(name, limited=True), unary[:1], pairwise[:1])
        if solution.status is Status.TIME_LIMIT:
            break
    count = max(1, min(most, int(CELL_SECONDS / seconds)))
    solver = _solver(name, limited=seconds * count > 0.1 * LIMIT_SECONDS)
    times = [seconds] if count == 1 else []
    while sum(times) < CELL_SECONDS and len(times) < 20:
        seconds, solution = _call(solver, unary[:count], pairwise[:count])
        times.append(seconds)
    microseconds = 1e6 * statistics.median(times) / count
    return Timing(unary.shape[1], count, microseconds, solution.status.value), solution


def _solver(name: str, *, limited: bool) -> PairwiseSolver:
    """The solver, with a time limit where it takes one."""
    solver: Any = SolverRow(name).solver
    if limited and "time_limit" in inspect.signature(solver).parameters:
        return solver(time_limit=LIMIT_SECONDS)
    return solver()


def _call(solver: PairwiseSolver, unary: Tensor, pairwise: Tensor) -> tuple[float, Solution]:
    if unary.is_cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    solution = solver(unary, pairwise, validate=False)
    if unary.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began, solution


def _compare(
    timings: dict[str, Timing], solutions: dict[str, Solution], unary: Tensor, pairwise: Tensor
) -> dict[str, Timing]:
    """The timings, with whether each solver's objectives are the best that any solver found."""
    values = {}
    for name, solution in solutions.items():
        count = timings[name].instances
        bits = solution.value[..., 1].cpu() > 0
        values[name] = potential(unary[:count], pairwise[:count], bits)
    tolerance = TOLERANCE * (unary.abs().sum((-2, -1)) + pairwise.abs().sum(-1))
    result, optimal = {}, Status.OPTIMAL.value
    for name, own_objective in values.items():
        timing, stated = timings[name], solutions[name].objective.cpu().double()
        claims = [
            (stated, own_objective, "says {0:.6g}, its assignment has {1:.6g}"),
            (own_objective, stated, "says {1:.6g}, its assignment has {0:.6g}"),
        ]
        compared = 0
        for other, best in values.items():
            if other in (name, "auto"):  # auto is one of the others
                continue
            if timings[other].status == optimal:
                compared = max(compared, min(len(own_objective), len(best)))
            if timing.status == optimal:
                claims.append((own_objective, best, f"found {{:.6g}}, {other} {{:.6g}}"))
        messages = (_below(low, high, tolerance, text) for low, high, text in claims)
        contradiction = next((each for each in messages if each), None)
        note = contradiction and contradiction.format(timing.variables)
        result[name] = replace(timing, compared=compared, agrees=contradiction is None, note=note)
    return result


def _below(low: Tensor, high: Tensor, tolerance: Tensor, text: str) -> str | None:
    """The first instance where `high` is above `low`, in words, with a place for n."""
    count = min(len(low), len(high))
    violations = (high[:count] - low[:count] > tolerance[:count]).nonzero()
    if not len(violations):
        return None
    index = int(violations[0])
    return f"instance {index} of n = {{}}: {text.format(low[index].item(), high[index].item())}"
