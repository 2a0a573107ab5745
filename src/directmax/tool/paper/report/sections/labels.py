"""Table 2 and figure 4: the mixed model with labels and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from directmax.tool.look.content import NOTHING, Cell, Picture, Table
from directmax.tool.paper import published
from directmax.tool.paper.report.layout import Section, compared, signed
from directmax.tool.paper.report.methods import (
    by_data,
    by_method,
    by_number,
    data_of,
    data_title,
    entry,
    look,
    method_of,
    run_titles,
)
from directmax.tool.paper.report.results import Outcome, Part, Results, mean_of, on_test

NOTE = (
    "Test images; accuracy of the most probable value in per cent, higher is better, and under it "
    "the bound in nats per image, lower is better; mean ± standard deviation over seeds, of the "
    "epoch with the best validation accuracy."
)
MISSING = (
    "The paper's numbers of this table are not in the text that was at hand, so no difference is "
    "shown."
)
PICTURE = "A row a class; the images of a column share their Gaussian code."
MATCHED = (
    "Without labels values are matched to classes one-to-one on the validation images (Hungarian "
    "method)."
)


def build(results: Results, part: Part) -> Section:
    """The section of table 2."""
    labelled = [outcome for outcome in results.of(part, "train") if entry("labels")(outcome)]
    groups = by_data(labelled)
    return Section(
        source=f"{published.PAPER}, table 2.",
        notes=(MISSING,),
        findings=[text for data, group in groups.items() for text in _ahead(group, data)],
        tables=[_table(group, data) for data, group in groups.items()],
    )


def _table(group: Sequence[Outcome], data: str) -> Table:
    names = list(by_method(group))
    rows, has_baselines = [], False
    for labels, outcomes in by_number(group, "labels").items():
        runs = by_method(outcomes)
        published_values = published.label_baselines(data, labels)
        has_baselines |= bool(published_values)
        baselines = "; ".join(
            f"{name} {other.value:.1f}" for name, other in published_values.items()
        )
        cells = [_cell(runs.get(name, []), data, labels, name) for name in names]
        rows.append([f"{labels:,}", *cells, baselines or NOTHING])
    columns = ["labels", *(look(name).label for name in names)]
    if has_baselines:
        columns.append("Kingma et al. 2014")
    return Table(data_title(data), columns, [row[: len(columns)] for row in rows], NOTE)


def build_pictures(results: Results, part: Part) -> Section:
    """The section of figure 4."""
    outcomes = [o for o in results.of(part, "train") if o.done]
    outcomes = sorted(outcomes, key=lambda o: (entry("labels")(o) or 0, data_of(o), method_of(o)))
    titles = run_titles(outcomes)
    rows = [
        [titles[o.name], *(mean_of([o], on_test(name)) for name in ("accuracy", "bound"))]
        for o in outcomes
    ]
    columns = ("run", "test accuracy, %", "test bound, nats")
    return Section(
        tables=[Table("", columns, rows, MATCHED)] if rows else [],
        pictures=[Picture(picture_name(part, o), titles[o.name], PICTURE) for o in outcomes],
    )


def picture_name(part: Part, outcome: Outcome) -> str:
    """Of a picture's file, without its ending; unique, as a job's folder ends in its digest."""
    return f"{part.name}-{PurePosixPath(outcome.folder).name}"


def _cell(runs: list[Outcome], data: str, labels: int, method: str) -> Cell:
    accuracy, bound = (mean_of(runs, on_test(name)) for name in ("accuracy", "bound"))
    paper = published.table2(data, labels, method, "accuracy").value
    cell = compared(accuracy, paper, "paper", unit=" %", lower_is_better=False)
    return cell if bound is None or paper is not None else replace(cell, below=f"{bound} nats")


def _ahead(group: list[Outcome], data: str) -> list[str]:
    """In how many rows direct is ahead of Gumbel-Softmax, and by how much at most and at least."""
    differences = []
    for outcomes in by_number(group, "labels").values():
        runs = by_method(outcomes)
        pair = (runs.get(name, ()) for name in ("direct", "gumbel-softmax"))
        direct, relaxed = (mean_of(each, on_test("accuracy")) for each in pair)
        if direct is not None and relaxed is not None:
            differences.append(round(direct.mean - relaxed.mean, 2))
    if not differences:
        return []
    num_ahead = sum(lead > 0 for lead in differences)
    span = signed(min(differences)) + (
        f" to {signed(max(differences))}" if min(differences) < max(differences) else ""
    )
    return [
        f"{data_title(data)}: direct is more accurate than Gumbel-Softmax with {num_ahead} of "
        f"{len(differences)} numbers of labels (by {span} points)."
    ]
