"""What the page says, before it is HTML or Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from directmax._version import __version__
from directmax.tool.look.progress import duration
from directmax.tool.paper import published
from directmax.tool.paper.deviations import Deviation, deviations_of
from directmax.tool.paper.report.commands import command_of
from directmax.tool.paper.report.layout import NOTHING, Cell, Section, Table, seconds_text
from directmax.tool.paper.report.results import Outcome, Results, Spread
from directmax.tool.paper.report.sections import sections


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: of the page.
        lead: under it.
        status: name, value and kind ("", good or bad) of the numbers at the top.
        warnings: what a reader must know before the numbers.
        sections: one an item.
        deviations: those that touch the items.
        troubles: tables of failed and of early-stopped jobs.
        runs: the table of all jobs.
        command: of the whole.
        commands: of the jobs one by one.
        machine: tables of versions and hardware.
    """

    title: str
    lead: str
    status: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    deviations: tuple[Deviation, ...]
    troubles: tuple[Table, ...]
    runs: Table
    command: str
    commands: tuple[str, ...]
    machine: tuple[Table, ...]


def make_page(results: Results) -> Page:
    """The report of a reproduction."""
    items = tuple(part.name for part in results.parts)
    counts = Counter(outcome.state for outcome in results.outcomes)
    return Page(
        title="Direct optimization through arg max, reproduced",
        lead=(
            f"Reproduced by directmax {__version__} beside the published numbers of "
            f"{published.PAPER_TITLE}."
        ),
        status=_status(results, counts),
        warnings=_warnings(results, counts),
        sections=tuple(sections(results)),
        deviations=tuple(deviations_of(items)),
        troubles=_troubles(results),
        runs=_runs(results),
        command=results.command,
        commands=tuple(
            command
            for outcome in results.outcomes
            if outcome.state != "waiting" and (command := command_of(outcome, results.outcomes))
        ),
        machine=_machine(results),
    )


def _status(results: Results, counts: Mapping[str, int]) -> tuple[tuple[str, str, str], ...]:
    total = sum(o.seconds or 0.0 for o in results.outcomes)
    seeds = {
        seed
        for o in results.outcomes
        # The seed of a mixture is of its restarts, and is 0 whatever seeds were asked for.
        if o.kind == "train" and (seed := o.cell.get("seed", o.settings.get("seed"))) is not None
    }
    entries = [
        ("scale", results.scale, ""),
        ("jobs done", f"{counts['done']} of {len(results.outcomes)}", ""),
    ]
    if counts["failed"]:
        entries.append(("failed", str(counts["failed"]), "bad"))
    if seeds:
        entries.append(("seeds", str(len(seeds)), ""))
    entries.append(("time of all jobs", _time(total), ""))
    return tuple(entries)


def _warnings(results: Results, counts: Mapping[str, int]) -> tuple[str, ...]:
    found = []
    if results.scale_note:
        found.append(f"Scale {results.scale}: {results.scale_note.rstrip('.')}.")
    if unfinished := counts["running"] + counts["waiting"]:
        found.append(
            f"Not finished: {unfinished} of {len(results.outcomes)} jobs are still to be done. The "
            "same command continues."
        )
    if counts["failed"]:
        found.append(
            f"{counts['failed']} of {len(results.outcomes)} jobs failed; they are listed under "
            "Runs, and their cells hold the other seeds alone, or nothing."
        )
    return tuple(found)


def _troubles(results: Results) -> tuple[Table, ...]:
    tables = []
    if failed := results.in_state("failed"):
        rows = tuple(
            (Cell(o.name), Cell(str(o.attempts)), Cell(o.error or "no reason was recorded"))
            for o in failed
        )
        tables.append(Table("Failed", ("job", "attempts", "why"), rows, words=(2,)))
    if stopped := [o for o in results.outcomes if o.done and o.stopped_early]:
        rows = tuple(
            (
                Cell(o.name),
                Cell(f"{o.epochs} of {o.settings.get('epochs', NOTHING)}"),
                Cell(str(o.best_epoch)),
            )
            for o in stopped
        )
        note = "The validation bound no longer moved."
        columns = ("job", "epochs", "best epoch")
        tables.append(Table("Stopped early", columns, rows, note))
    return tuple(tables)


def _runs(results: Results) -> Table:
    rows = tuple(
        (
            Cell(o.name),
            Cell(o.state),
            Cell(str(o.epochs or NOTHING)),
            Cell(str(o.best_epoch or NOTHING)),
            Cell(seconds_text(None if (s := o.seconds_per_epoch) is None else Spread(s, None, 1))),
            Cell(_time(o.seconds)),
            Cell(str(o.attempts)),
        )
        for o in results.outcomes
    )
    columns = ("job", "state", "epochs", "best epoch", "seconds an epoch", "time", "attempts")
    title = f"All {len(rows)} jobs"
    return Table(title, columns, rows, words=(1,), folded=True)


def _time(seconds: float | None) -> str:
    """In words; a dash before anything has run."""
    return duration(seconds) if seconds else NOTHING


def _machine(results: Results) -> tuple[Table, ...]:
    hardware = results.hardware
    here = [
        ("processor", hardware.get("processor")),
        ("cores", hardware.get("cores")),
        ("memory", f"{hardware['memory']} GiB" if hardware.get("memory") else None),
        ("graphics cards", ", ".join(hardware.get("gpus") or ()) or "none"),
        ("system", hardware.get("platform")),
    ]
    rows = tuple((Cell(name), Cell(str(value))) for name, value in here if value is not None)
    tables = [Table("This machine", ("", ""), rows, words=(1,))]
    environments: Counter[tuple[str, ...]] = Counter(
        _environment(outcome) for outcome in results.outcomes if outcome.versions
    )
    columns = ("directmax", "commit", "python", "torch", "numpy", "threads", "device", "jobs")
    made = tuple(
        (*(Cell(part) for part in environment), Cell(str(count)))
        for environment, count in environments.most_common()
    )
    if made:
        tables.append(Table("What made the runs", columns, made))
    return tuple(tables)


def _environment(outcome: Outcome) -> tuple[str, ...]:
    versions: Mapping[str, Any] = outcome.versions
    machine: Mapping[str, Any] = outcome.machine
    return (
        str(versions.get("directmax", NOTHING)),
        str(outcome.git_commit or NOTHING),
        *(str(versions.get(name, NOTHING)) for name in ("python", "torch", "numpy")),
        str(machine.get("threads", NOTHING)),
        str(machine.get("cuda") or "cpu"),
    )
