"""Table 2 and figure 4: the mixed model with labels and without."""

from __future__ import annotations

from pathlib import PurePosixPath

from directmax.tool.paper import published
from directmax.tool.paper.report.layout import (
    NOTHING,
    Cell,
    Picture,
    Section,
    Table,
    compared,
    signed,
)
from directmax.tool.paper.report.methods import (
    by,
    data_of,
    data_sets,
    data_title,
    entry,
    look,
    method_of,
    methods,
    run_titles,
)
from directmax.tool.paper.report.results import Outcome, Part, Results, Spread, mean_of, on_test

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


def build(results: Results, part: Part) -> Section:
    """The section of table 2."""
    outcomes = results.of(part, "train")
    tables, findings = [], []
    for data in data_sets(outcomes):
        group = [o for o in by(outcomes, data_of)[data] if entry("labels")(o)]
        names = methods(group)
        rows, others = [], False
        for labels in sorted(by(group, entry("labels"))):
            row = [o for o in group if entry("labels")(o) == labels]
            cells = [Cell(f"{labels:,}")]
            cells += [_cell(row, data, labels, name) for name in names]
            known = published.label_baselines(data, labels)
            others |= bool(known)
            cells.append(
                Cell(
                    "; ".join(f"{n} {p.value:.1f}" for n, p in known.items()) or NOTHING,
                    faint=not known,
                )
            )
            rows.append(tuple(cells))
        findings += _ahead(group, data)
        columns = ["labels", *(look(name).label for name in names)]
        if others:
            columns.append("Kingma et al. 2014")
        else:
            rows = [cells[:-1] for cells in rows]
        if rows:
            tables.append(Table(data_title(data), tuple(columns), tuple(rows), NOTE))
    return Section(
        part.name,
        part.title,
        part.caption,
        source=f"{published.PAPER}, table 2.",
        notes=(MISSING,),
        findings=tuple(findings),
        tables=tables,
    )


def build_pictures(results: Results, part: Part) -> Section:
    """The section of figure 4."""
    outcomes = [o for o in results.of(part, "train") if o.done]
    outcomes = sorted(outcomes, key=lambda o: (entry("labels")(o) or 0, data_of(o), method_of(o)))
    titles = run_titles(outcomes)
    rows = []
    for outcome in outcomes:
        accuracy, bound = on_test("accuracy")(outcome), outcome.test.get("bound")
        rows.append(
            (
                Cell(titles[outcome.name]),
                Cell(NOTHING if accuracy is None else f"{accuracy:.2f}", faint=accuracy is None),
                Cell(NOTHING if bound is None else f"{bound:.2f}", faint=bound is None),
            )
        )
    source = published.FIGURES["figure4"]
    columns = ("run", "test accuracy, %", "test bound, nats")
    note = (
        "Without labels values are matched to classes one-to-one on the validation images "
        "(Hungarian method)."
    )
    return Section(
        part.name,
        part.title,
        part.caption,
        source=f"{source.source}: {source.note}.",
        claims=published.CLAIMS["figure4"],
        tables=[Table("", columns, tuple(rows), note)] if rows else [],
        pictures=[
            Picture(picture_name(part, outcome), titles[outcome.name], PICTURE)
            for outcome in outcomes
        ],
    )


def picture_name(part: Part, outcome: Outcome) -> str:
    """Of a picture's file, without its ending; unique, as a job's folder ends in its digest."""
    return f"{part.name}-{PurePosixPath(outcome.folder).name}"


def _cell(row: list[Outcome], data: str, labels: int, method: str) -> Cell:
    runs = [outcome for outcome in row if method_of(outcome) == method]
    accuracy, bound = mean_of(runs, on_test("accuracy")), mean_of(runs, on_test("bound"))
    paper = published.table2(data, labels, method, "accuracy").value
    cell = compared(
        accuracy.mean if accuracy else None, f"{accuracy} %", paper, "paper", lower_is_better=False
    )
    if bound is None or paper is not None:
        return cell
    return Cell(cell.main, f"{bound} nats", cell.difference, cell.tone)


def _ahead(group: list[Outcome], data: str) -> list[str]:
    """In how many rows direct is ahead of Gumbel-Softmax, and by how much at most and at least."""
    leads = []
    for row in by(group, entry("labels")).values():
        found: dict[str, Spread | None] = {
            name: mean_of([o for o in row if method_of(o) == name], on_test("accuracy"))
            for name in ("direct", "gumbel-softmax")
        }
        direct, relaxed = found["direct"], found["gumbel-softmax"]
        if direct is not None and relaxed is not None:
            leads.append(round(direct.mean - relaxed.mean, 2))
    if not leads:
        return []
    ahead = sum(lead > 0 for lead in leads)
    span = signed(min(leads)) + (f" to {signed(max(leads))}" if min(leads) < max(leads) else "")
    return [
        f"{data_title(data)}: direct is more accurate than Gumbel-Softmax with {ahead} of "
        f"{len(leads)} numbers of labels (by {span} points)."
    ]
