"""`directmax solvers`: which solvers there are, what each can do and how fast it is here."""

from __future__ import annotations

import contextlib
import inspect
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from json import dumps
from typing import Any

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from rich.text import Text
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


@dataclass
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


@dataclass
class Row:
    """A solver: what it takes, whether it can be used here, its timings."""

    name: str
    missing: str | None
    supermodular_only: bool
    exact: bool
    max_variables: int | None
    on_device: bool
    timings: list[Timing] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return {
            "name": self.name,
            "installed": self.missing is None,
            "missing": self.missing,
            "potentials": "pairwise ≥ 0" if self.supermodular_only else "any",
            "exact": self.exact,
            "max_variables": self.max_variables,
            "devices": "any" if self.on_device else "cpu",
            "timings": [vars(timing) for timing in self.timings],
        }


def rows() -> list[Row]:
    """Every solver, without timings.

    Example:
        >>> [row.max_variables for row in rows() if row.name == "exhaustive"]
        [24]
    """
    return [
        Row(
            name=name,
            missing=solver.missing(),
            supermodular_only=solver.supermodular_only,
            exact=solver.exact,
            max_variables=solver.max_variables,
            on_device=solver.on_device,
        )
        for name, solver in ((name, each.cls) for name, each in SOLVERS.items())
    ]


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


def check_request(variables: int, batch_size: int, seed: int) -> None:
    """Refuse what cannot be timed.

    Raises:
        ValueError: a value out of range; the message names the flag.
    """
    for flag, value, low, high in (
        ("--variables", variables, 1, MAX_VARIABLES),
        ("--batch-size", batch_size, 1, MAX_BATCH),
    ):
        if not low <= value <= high:
            raise ValueError(f"{flag} must be between {low} and {high}, got {value}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed must be at least 0 and below 2^63, got {seed}")


def measure(
    table_rows: list[Row],
    *,
    variables: int = 15,
    batch_size: int = 100,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Callable[[str], object] = lambda text: None,
) -> None:
    """Time every installed solver at `variables` and at twice as many, and compare the answers.

    Twice as many are timed on at most a fifth of the batch, and 20. Compilation does not count.

    Args:
        table_rows: what `rows` returned; timings are added.
        variables: n.
        batch_size: instances at a time.
        seed: of the instances.
        device: where the potentials are.
        progress: told what is timed next.

    Raises:
        ValueError: as `check_request`.
    """
    check_request(variables, batch_size, seed)
    sizes = ((variables, batch_size), (2 * variables, max(1, min(20, batch_size // 5))))
    for n, batch in sizes:
        for supermodular in (False, True):
            generator = torch.Generator().manual_seed(seed)
            potentials = instances(n, batch, supermodular=supermodular, generator=generator)
            unary, pairwise = (t.to(device) for t in potentials)
            answers = {}
            for row in table_rows:
                if row.missing is not None or row.supermodular_only != supermodular:
                    continue
                timing = Timing(n)
                row.timings.append(timing)
                if row.max_variables is not None and n > row.max_variables:
                    continue
                progress(f"{row.name}, n = {n} (the first time it is compiled)")
                answer = _time(row.name, unary, pairwise, timing)
                if answer is not None:
                    answers[row.name] = (timing, answer)
            if supermodular and answers:  # only solvers of the same kind so far
                any_sign = Exhaustive() if n <= 20 else BranchAndBound(time_limit=LIMIT_SECONDS)
                progress(f"{any_sign.name}, to compare")
                solution = any_sign(unary, pairwise)
                answers[any_sign.name] = Timing(n, batch, status=solution.status.value), solution
            _compare(answers, *potentials)


def _time(name: str, unary: Tensor, pairwise: Tensor, timing: Timing) -> Solution | None:
    """Fill in the timing; the solution of the instances that were timed, None if there is none."""
    most = min(len(unary), FEW.get(name, len(unary)))
    try:
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
    except (ValueError, TypeError, RuntimeError) as error:
        timing.note = str(error)
        return None
    timing.instances = count
    timing.microseconds = 1e6 * statistics.median(times) / count
    timing.status = solution.status.value
    return solution


def _solver(name: str, *, limited: bool) -> PairwiseSolver:
    """The solver, with a time limit where it takes one."""
    solver: Any = SOLVERS[name].cls
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


def _compare(answers: dict[str, tuple[Timing, Solution]], unary: Tensor, pairwise: Tensor) -> None:
    """Fill in whether each solver's objectives are the best that any solver found."""
    unary, pairwise = unary.double(), pairwise.double()
    values = {}
    for name, (timing, solution) in answers.items():
        count = timing.instances
        bits = solution.value[..., 1].cpu() > 0
        values[name] = potential(unary[:count], pairwise[:count], bits)
    tolerance = TOLERANCE * (unary.abs().sum((-2, -1)) + pairwise.abs().sum(-1))
    optimal = Status.OPTIMAL.value
    for name, (timing, solution) in answers.items():
        own, said = values[name], solution.objective.cpu().double()
        _object(timing, said, own, tolerance, "says {0:.6g}, its assignment has {1:.6g}")
        _object(timing, own, said, tolerance, "says {1:.6g}, its assignment has {0:.6g}")
        for other, (theirs, _) in answers.items():
            if other in (name, "auto"):  # auto is one of the others
                continue
            if theirs.status == optimal:
                timing.compared = max(timing.compared, min(timing.instances, theirs.instances))
            if timing.status == optimal:
                _object(timing, own, values[other], tolerance, f"found {{:.6g}}, {other} {{:.6g}}")


def _object(timing: Timing, low: Tensor, high: Tensor, tolerance: Tensor, text: str) -> None:
    """Note the first instance where `high` is above `low`."""
    count = min(len(low), len(high))
    wrong = high[:count] - low[:count] > tolerance[:count]
    if timing.agrees and bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        timing.agrees = False
        words = text.format(low[index].item(), high[index].item())
        timing.note = f"instance {index} of n = {timing.variables}: {words}"


def command(
    *, variables: int, batch_size: int, seed: int, timing: bool, json: bool, device: str
) -> bool:
    """Print the table (or JSON); False if a solver disagrees with another."""
    check_request(variables, batch_size, seed)
    where = _device(device)
    table_rows = rows()
    if timing:
        console = Console(stderr=True)
        line = console.status("") if console.is_terminal else None
        with line or contextlib.nullcontext():
            measure(
                table_rows,
                variables=variables,
                batch_size=batch_size,
                seed=seed,
                device=where,
                progress=line.update if line else lambda text: None,
            )
    threads = torch.get_num_threads()
    if json:
        record = {
            "device": str(where),
            "threads": threads,
            "batch_size": batch_size,
            "seed": seed,
            "solvers": [row.to_dict() for row in table_rows],
        }
        print(dumps(record, indent=2, ensure_ascii=False))
    else:
        console = Console()
        title = f"µs an instance, {batch_size} at a time, {where}, {threads} threads"
        console.print(table(table_rows, title if timing else None))
        for text, wrong in notes(table_rows):
            console.print(Text(text, style="bold red" if wrong else ""), soft_wrap=True)
    return all(each.agrees for row in table_rows for each in row.timings)


def _device(name: str) -> torch.device:
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    if name == "cpu" or (name == "auto" and not accelerated):
        return torch.device("cpu")
    from directmax.tool.run.train import make_fabric  # slow to import; knows the names

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # no notes on devices
    return make_fabric(name, 1, "32-true").device


def table(table_rows: list[Row], title: str | None = None) -> Table:
    """For people."""
    result = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for column in ("solver", "installed", "potentials", "exact", "n ≤", "devices"):
        result.add_column(column, no_wrap=True)
    sizes = sorted({timing.variables for row in table_rows for timing in row.timings})
    for n in sizes:
        result.add_column(f"n = {n}", justify="right", no_wrap=True)
    if sizes:
        result.add_column("compared", justify="right", no_wrap=True)
    for row in table_rows:
        cells = [
            row.name,
            "yes" if row.missing is None else "[yellow]no[/]",
            "pairs ≥ 0" if row.supermodular_only else "any",
            "yes" if row.exact else "no",
            "any" if row.max_variables is None else str(row.max_variables),
            "any" if row.on_device else "CPU",
        ]
        by_size = {timing.variables: timing for timing in row.timings}
        cells += [_cell(by_size.get(n)) for n in sizes]
        if sizes:
            each = [timing.compared for timing in row.timings if timing.microseconds is not None]
            fine = all(timing.agrees for timing in row.timings)
            words = " + ".join(map(str, each)) or "–"
            cells.append(words if fine else "[bold red]differs[/]")
        result.add_row(*cells)
    return result


def _cell(timing: Timing | None) -> str:
    if timing is None or timing.microseconds is None:
        return "–"
    words = f"{timing.microseconds:,.{1 if timing.microseconds < 100 else 0}f}"
    if timing.status != Status.OPTIMAL.value:
        words = f"> {timing.microseconds / 1e6:.2g} s"
    return words if timing.agrees else f"[bold red]{words}[/]"


def notes(table_rows: list[Row]) -> list[tuple[str, bool]]:
    """Lines below the table, and whether each is a disagreement: what installs, what went wrong."""
    lines = [(row.missing, False) for row in table_rows if row.missing is not None]
    for row in table_rows:
        for timing in row.timings:
            if timing.note is not None:
                lines.append((f"{row.name}: {timing.note}", not timing.agrees))
    return lines
