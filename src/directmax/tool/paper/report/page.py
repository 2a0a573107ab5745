"""What the page says, before it is HTML or Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from directmax._version import __version__
from directmax.tool.look.content import NOTHING, Table
from directmax.tool.look.progress import duration
from directmax.tool.look.spread import Spread, seconds_text
from directmax.tool.paper import published
from directmax.tool.paper.deviations import Deviation, deviations_of
from directmax.tool.paper.report.commands import command_of
from directmax.tool.paper.report.layout import Section
from directmax.tool.paper.report.methods import entry
from directmax.tool.paper.report.results import Outcome, Results
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
    status: Sequence[tuple[str, str, str]]
    warnings: Sequence[str]
    sections: Sequence[Section]
    deviations: Sequence[Deviation]
    troubles: Sequence[Table]
    runs: Table
    command: str
    commands: Sequence[str]
    machine: Sequence[Table]


def make_page(results: Results) -> Page:
    """The report of a reproduction."""
    items = tuple(part.name for part in results.parts)
    commands = [
        command_of(outcome, results.outcomes)
        for outcome in results.outcomes
        if outcome.state != "waiting"
    ]
    counts = Counter(outcome.state for outcome in results.outcomes)
    return Page(
        title="Direct optimization through arg max, reproduced",
        lead=(
            f"Reproduced by directmax {__version__} beside the published numbers of "
            f"{published.PAPER_TITLE}."
        ),
        status=_status(results, counts),
        warnings=_warnings(results, counts),
        sections=sections(results),
        deviations=deviations_of(items),
        troubles=_troubles(results),
        runs=_runs(results),
        command=results.command,
        commands=[command for command in commands if command],
        machine=_machine(results),
    )


def _status(results: Results, counts: Mapping[str, int]) -> list[tuple[str, str, str]]:
    total = sum(o.seconds or 0.0 for o in results.outcomes)
    # The seed of a mixture is of its restarts, and is 0 whatever seeds were asked for.
    seeds = {entry("seed")(o) for o in results.outcomes if o.kind == "train"} - {None}
    entries = [
        ("scale", results.scale, ""),
        ("jobs done", f"{counts['done']} of {len(results.outcomes)}", ""),
    ]
    if counts["failed"]:
        entries.append(("failed", str(counts["failed"]), "bad"))
    if seeds:
        entries.append(("seeds", str(len(seeds)), ""))
    entries.append(("time of all jobs", _time(total), ""))
    return entries


def _warnings(results: Results, counts: Mapping[str, int]) -> list[str]:
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
    return found


def _troubles(results: Results) -> list[Table]:
    tables = []
    if failed := results.in_state("failed"):
        rows = [[o.name, o.attempts, o.error or "no reason was recorded"] for o in failed]
        tables.append(Table("Failed", ("job", "attempts", "why"), rows, words=(2,)))
    if stopped := [o for o in results.outcomes if o.done and o.stopped_early]:
        rows = [
            [o.name, f"{o.epochs} of {o.settings.get('epochs', NOTHING)}", o.best_epoch]
            for o in stopped
        ]
        note = "The validation bound no longer moved."
        tables.append(Table("Stopped early", ("job", "epochs", "best epoch"), rows, note))
    return tables


def _runs(results: Results) -> Table:
    rows = [
        [
            o.name,
            o.state,
            o.epochs or None,
            o.best_epoch or None,
            seconds_text(Spread.of([o.seconds_per_epoch])),
            _time(o.seconds),
            o.attempts,
        ]
        for o in results.outcomes
    ]
    columns = ("job", "state", "epochs", "best epoch", "seconds an epoch", "time", "attempts")
    return Table(f"All {len(rows)} jobs", columns, rows, words=(1,), folded=True)


def _time(seconds: float | None) -> str:
    """In words; a dash before anything has run."""
    return duration(seconds) if seconds else NOTHING


def _machine(results: Results) -> list[Table]:
    hardware = results.hardware
    environment_rows = {
        "processor": hardware.get("processor"),
        "cores": hardware.get("cores"),
        "memory": f"{hardware['memory']} GiB" if hardware.get("memory") else None,
        "graphics cards": ", ".join(hardware.get("gpus") or ()) or "none",
        "system": hardware.get("platform"),
    }
    rows = [[name, value] for name, value in environment_rows.items() if value is not None]
    tables = [Table("This machine", ("", ""), rows, words=(1,))]
    environments = Counter(_environment(o) for o in results.outcomes if o.versions)
    columns = ("directmax", "commit", "python", "torch", "numpy", "threads", "device", "jobs")
    machine_rows = [[*environment, count] for environment, count in environments.most_common()]
    return [*tables, Table("What made the runs", columns, machine_rows)] if machine_rows else tables


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
