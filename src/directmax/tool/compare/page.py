"""How a comparison is shown: tables, curves, a page, a file of numbers."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from directmax.tool.compare.comparison import Comparison, Group, Measure, Part, setting_text
from directmax.tool.compare.runs import Curve
from directmax.tool.config.settings import SETTINGS
from directmax.tool.files import write_atomic
from directmax.tool.look.content import Cell, Chart, Dash, Figure, Series, Table
from directmax.tool.look.curves import banded, limits
from directmax.tool.look.pages import render
from directmax.tool.look.spread import Spread, seconds_text
from directmax.tool.run.evaluation import NO_BOUND

COLORS = ("blue", "vermillion", "green", "orange", "purple", "sky", "ink")
DASHES: tuple[Dash, ...] = ("solid", "dashed", "dotted")
MOST_LINES = len(COLORS) * len(DASHES)
"""In a chart; with more groups, those with the best validation bounds are drawn."""


@dataclass(frozen=True)
class Section:
    """A part on the page."""

    title: str
    results: Table
    settings: Table | None
    figure: Figure | None
    runs: Table


def results_table(part: Part) -> Table:
    """A row a group: mean ± standard deviation over seeds; the best is marked."""
    measures = part.measures()
    best = {measure.name: part.best(measure) for measure in measures}
    rows = [
        [
            Cell(group.label),
            len(group.runs),
            *(_cell(group, measure, best[measure.name] is group) for measure in measures),
        ]
        for group in part.groups
    ]
    columns = ["", "runs", *(_title(measure, part) for measure in measures)]
    return Table(part.title, columns, rows, " ".join(_notes(part)))


def _title(measure: Measure, part: Part) -> str:
    return measure.title if part.valid else measure.title.replace("bound", "“no bound”")


def _cell(group: Group, measure: Measure, best: bool) -> Cell | None:
    spread = group.of(measure)
    if spread is None:
        return None
    return Cell(_text(spread, measure), "best" if best else "")


def _text(spread: Spread, measure: Measure) -> str:
    if measure.name == "seconds_per_epoch":
        return seconds_text(spread)
    if measure.name == "best_epoch":
        text = f"{spread.mean:.0f}"
        return text if spread.deviation is None else f"{text} ± {spread.deviation:.0f}"
    return str(spread)


def _notes(part: Part) -> list[str]:
    """How to read the table."""
    notes = ["Losses in nats per image, mean ± standard deviation over seeds."]
    counts = [len(group.runs) for group in part.groups]
    if len(counts) > 1:
        notes.append(
            "Best is what is ahead of every other group by more than the larger of the two "
            "deviations."
        )
        if min(counts) < 2:
            notes.append(
                "With one seed in a group its deviation is not known, so none is marked: train "
                "more seeds."
            )
    if not part.valid:
        notes.append(NO_BOUND)
    exact = {run.test.get("num_samples") for run in part.runs}
    if len(exact) > 1:
        notes.append("Some bounds are exact, others estimated from samples.")
    if not part.one_machine:
        notes.append("Runs are of different machines, so their seconds are not compared.")
    if len({run.code for run in part.runs}) > 1:
        notes.append("Runs were made by different versions of the code.")
    return notes


def settings_table(part: Part) -> Table | None:
    """The settings that differ between the groups; None where there is one group."""
    if not part.differing:
        return None
    columns = ["", *(name.replace("_", " ") for name in part.differing)]
    rows = [
        [group.label, *(setting_text(getattr(group.config, name)) for name in part.differing)]
        for group in part.groups
    ]
    words = [
        number
        for number, name in enumerate(part.differing, 1)
        if SETTINGS[name].kind in ("str", "tuple", "bool")
    ]
    return Table("Settings that differ", columns, rows, words=words)


def _runs_table(part: Part) -> Table:
    measures = part.measures()
    rows = [
        [
            run.path,
            group.label,
            run.config.seed,
            *(_text(Spread(value, None, 1), m) if (value := m.read(run)) is not None else None
              for m in measures),
        ]
        for group in part.groups
        for run in group.runs
    ]  # fmt: skip
    columns = ["run", "group", "seed", *(_title(measure, part) for measure in measures)]
    title = f"All {len(rows)} runs" if len(rows) > 1 else "The run"
    return Table(title, columns, rows, words=(1,), folded=True)


def _figure(part: Part, name: str) -> Figure | None:
    """Validation images by epoch and by seconds, a colour a group, a band over seeds."""
    groups = [group for group in part.groups if all(run.curve.epochs for run in group.runs)]
    note = "Bands are a standard deviation over seeds on either side of the mean."
    if len(groups) > MOST_LINES:
        bound = part.measures()[0]
        ranked = sorted(groups, key=lambda g: s.mean if (s := g.of(bound)) else float("inf"))
        note += f" Drawn are the {MOST_LINES} groups of {len(groups)} with the best bounds."
        groups = [group for group in groups if group in ranked[:MOST_LINES]]
    if not groups:
        return None
    word = "bound" if part.valid else "“no bound”"
    charts = _charts(part, groups, lambda curve: curve.bounds, f"validation {word}, nats per image")
    if all(run.curve.accuracies for group in groups for run in group.runs):
        label = "validation accuracy, %"
        charts += _charts(part, groups, lambda c: [100 * a for a in c.accuracies], label)
    if not part.one_machine:
        note += " The runs are of different machines, so there is no chart by seconds."
    return Figure(name, "Validation images while the runs trained", charts, note=note)


def _charts(
    part: Part,
    groups: Sequence[Group],
    read: Callable[[Curve], Sequence[float | None]],
    label: str,
) -> list[Chart]:
    by_epoch, by_time = [], []
    for number, group in enumerate(groups):
        color, dash = COLORS[number % len(COLORS)], DASHES[number // len(COLORS)]
        line = Series(group.label, (), (), color=color, dash=dash)
        epochs, seconds, values = _shared(group, read)
        if epochs:
            by_epoch.append(banded(Series(line.label, epochs, (), color=color, dash=dash), values))
            by_time.append(banded(Series(line.label, seconds, (), color=color, dash=dash), values))
    charts = [Chart("by epoch", "epoch", label, by_epoch, y_limits=_limits(by_epoch))]
    if part.one_machine:
        unit, scale = "seconds", 1.0
        if max((line.x[-1] for line in by_time), default=0.0) > 600:
            unit, scale = "minutes", 60.0
        by_time = [
            Series(**{**vars(line), "x": [x / scale for x in line.x]}) for line in by_time
        ]  # fmt: skip
        charts.append(
            Chart("by time", f"{unit} of training", label, by_time, y_limits=_limits(by_time))
        )
    return charts


def _limits(lines: Sequence[Series]) -> tuple[float, float] | None:
    """Where the curves end up, and where their bands end; at least their second halves."""
    found = limits(lines)
    if found is None:
        return None
    low = min([found[0], *(min(line.low) for line in lines if line.low)])
    halves = [y for line in lines for y in line.y[len(line.y) // 2 :] if y is not None]
    return low, max([found[1], *halves, *(line.high[-1] for line in lines if line.high)])


def _shared(
    group: Group, read: Callable[[Curve], Sequence[float | None]]
) -> tuple[list[float], list[float], list[list[float]]]:
    """Epochs that all runs of a group have, their mean seconds, and the values of all runs."""
    tables = [
        {
            epoch: (seconds, value)
            for epoch, seconds, value in zip(
                run.curve.epochs, run.curve.seconds, read(run.curve), strict=True
            )
            if value is not None
        }
        for run in group.runs
    ]
    epochs = [epoch for epoch in tables[0] if all(epoch in table for table in tables)]
    seconds = [statistics.fmean(table[epoch][0] for table in tables) for epoch in epochs]
    return list(map(float, epochs)), seconds, [[t[epoch][1] for t in tables] for epoch in epochs]


def write_page(comparison: Comparison, path: Path) -> None:
    """Write a self-contained HTML page.

    Raises:
        RunError: it cannot be written.
    """
    sections = [
        Section(
            part.title,
            results_table(part),
            settings_table(part),
            _figure(part, f"curves-{number}"),
            _runs_table(part),
        )
        for number, part in enumerate(comparison.parts)
    ]
    count, groups = len(comparison.runs), sum(len(part.groups) for part in comparison.parts)
    runs = "1 run" if count == 1 else f"{count} runs"
    text = render(
        "compare.html",
        title="directmax: runs compared",
        lead=f"{runs} in {groups} group{'' if groups == 1 else 's'}; runs of a group differ by "
        "their seed only.",
        notes=comparison.notes(),
        sections=sections,
    )
    write_atomic(path, text)


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write a line a run: its folder, part, group, seed, numbers, and settings that differ.

    Raises:
        RunError: it cannot be written.
    """
    measures = list(dict.fromkeys(m for part in comparison.parts for m in part.measures()))
    differing = [n for n in SETTINGS if any(n in part.differing for part in comparison.parts)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "part", "group", "seed", *(m.name for m in measures), *differing])
    for part in comparison.parts:
        for group in part.groups:
            for run in group.runs:
                numbers = ["" if (x := m.read(run)) is None else f"{x:.10g}" for m in measures]
                values = [setting_text(getattr(run.config, name)) or "" for name in differing]
                writer.writerow(
                    [run.path, part.title, group.label, run.config.seed, *numbers, *values]
                )
    write_atomic(path, text.getvalue())


def show(comparison: Comparison, console: Console) -> None:
    """Print the tables, and what is not compared."""
    for part in comparison.parts:
        console.print(results_table(part))
        if (table := settings_table(part)) is not None:
            console.print(table)
    for note in comparison.notes():
        console.print(Text(note), soft_wrap=True)
