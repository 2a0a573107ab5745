"""Figure 5: attributes of images, how often they are right, and what switching them changes."""

from __future__ import annotations

from directmax.experiments import published
from directmax.reproduce.report.layout import NOTHING, Cell, Picture, Section, Table
from directmax.reproduce.report.methods import (
    by,
    data_of,
    data_sets,
    data_title,
    entry,
    look,
    method_of,
    methods,
)
from directmax.reproduce.report.results import Outcome, Part, Results, mean_of, on_test
from directmax.reproduce.report.sections.labels import picture_name

NOTE = (
    "Test images, per cent, higher is better; the bound in nats per image, lower is better. Of the "
    "epoch with the best validation accuracy."
)
PICTURE = (
    "Each row: a test image, its reconstruction, and its Gaussian code decoded with the attributes "
    "above the column."
)


def build(results: Results, part: Part) -> Section:
    """The section of figure 5."""
    outcomes = results.of(part, "train")
    done = [outcome for outcome in outcomes if outcome.done]
    source = published.FIGURES["figure5"]
    return Section(
        part.name,
        part.title,
        part.caption,
        source=f"{source.source}: {source.note}.",
        tables=[_table(by(done, data_of)[data], data) for data in data_sets(done)],
        pictures=[Picture(picture_name(part, each), title_of(each), PICTURE) for each in done],
    )


def title_of(outcome: Outcome) -> str:
    """Data, labels and method in words."""
    how = f"{entry('labels')(outcome):,} labels"
    return f"{data_title(data_of(outcome))}, {how}, {look(method_of(outcome)).label}"


def _table(outcomes: list[Outcome], data: str) -> Table:
    names = list(outcomes[0].test.get("attributes", {}))
    rows = []
    for method in methods(outcomes):
        runs = [outcome for outcome in outcomes if method_of(outcome) == method]
        cells = [Cell(look(method).label), Cell(f"{entry('labels')(runs[0]):,}")]
        for name in names:
            shares = [100 * run.test["attributes"][name] for run in runs]
            cells.append(Cell(f"{sum(shares) / len(shares):.2f}"))
        for metric in ("accuracy", "bound"):
            found = mean_of(runs, on_test(metric))
            cells.append(Cell(str(found) if found else NOTHING, faint=found is None))
        rows.append(tuple(cells))
    columns = ("encoder and estimator", "labels", *names, "mean", "bound")
    return Table(data_title(data), columns, tuple(rows), NOTE)
