"""`directmax solvers`."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from rich.table import Table

    from directmax.tool.measure.solvers import SolverTable, Timing


@dataclass(frozen=True)
class Solvers:
    """List the solvers of a structured encoder's argmax, time them and compare their answers."""

    variables: int = 15
    """Timed with this many variables, and with twice as many on fewer instances."""
    batch_size: int = 100
    """Instances at a time (highs, cplex: at most 5)."""
    seed: int = 0
    """Of the random instances."""
    timing: bool = True
    """Time and compare; without, only list."""
    json: bool = False
    """Print JSON instead of a table."""
    device: str = "auto"
    """Where the instances are: auto, cpu, cuda, cuda:N or mps."""

    memory: ClassVar[tuple[str, ...]] = ("--variables", "--batch-size")

    def run(self) -> None:
        """Print the table (or JSON); exit with 1 if a solver disagrees with another."""
        from rich.console import Console
        from rich.text import Text

        from directmax.tool.look.progress import Terminal
        from directmax.tool.measure.solvers import measure_solvers

        console = Console(stderr=True)
        line = console.status("") if console.is_terminal and self.timing else None
        with line or contextlib.nullcontext():
            found = measure_solvers(
                variables=self.variables,
                batch_size=self.batch_size,
                seed=self.seed,
                timing=self.timing,
                device=self.device,
                progress=line.update if line else lambda text: None,
            )
        if self.json:
            print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        else:
            console = Terminal()
            console.print(as_table(found))
            for text, wrong in notes(found):
                console.print(Text(text, style="bold red" if wrong else ""), soft_wrap=True)
        if not found.agrees:
            sys.exit(1)


def as_table(found: SolverTable) -> Table:
    """For people."""
    from rich.table import Table

    sizes = sorted({timing.variables for row in found.rows for timing in row.timings})
    title = f"µs an instance, {found.batch_size} at a time, {found.device}, {found.threads} threads"
    table = Table(
        title=title if sizes else None, title_justify="left", box=None, padding=(0, 1, 0, 0)
    )
    for column in ("solver", "installed", "potentials", "exact", "n ≤", "devices"):
        table.add_column(column, no_wrap=True)
    for column in (*(f"n = {n}" for n in sizes), *(("compared",) if sizes else ())):
        table.add_column(column, justify="right", no_wrap=True)
    for row in found.rows:
        solver = row.solver
        cells = [
            row.name,
            "yes" if row.missing is None else "[yellow]no[/]",
            "pairs ≥ 0" if solver.supermodular_only else "any",
            "yes" if solver.exact else "no",
            "any" if solver.max_variables is None else str(solver.max_variables),
            "any" if solver.on_device else "CPU",
        ]
        by_size = {timing.variables: timing for timing in row.timings}
        cells += [_cell(by_size.get(n)) for n in sizes]
        if sizes:
            each = [timing.compared for timing in row.timings if timing.microseconds is not None]
            all_agree = all(timing.agrees for timing in row.timings)
            text = " + ".join(map(str, each)) or "–"
            cells.append(text if all_agree else "[bold red]differs[/]")
        table.add_row(*cells)
    return table


def _cell(timing: Timing | None) -> str:
    from directmax.solvers import Status

    if timing is None or timing.microseconds is None:
        return "–"
    text = f"{timing.microseconds:,.{1 if timing.microseconds < 100 else 0}f}"
    if timing.status != Status.OPTIMAL.value:
        text = f"> {timing.microseconds / 1e6:.2g} s"
    return text if timing.agrees else f"[bold red]{text}[/]"


def notes(found: SolverTable) -> list[tuple[str, bool]]:
    """Lines below the table, and whether each is a disagreement: what installs, what went wrong."""
    lines = [(row.missing, False) for row in found.rows if row.missing is not None]
    for row in found.rows:
        for timing in row.timings:
            if timing.note is not None:
                lines.append((f"{row.name}: {timing.note}", not timing.agrees))
    return lines
