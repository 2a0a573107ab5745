"""Figure 5: attributes of images, how often they are right, and what switching them changes."""

from __future__ import annotations

from collections.abc import Callable

from directmax.tool.paper import published
from directmax.tool.paper.report.layout import NOTHING, Cell, Picture, Section, Table
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
from directmax.tool.paper.report.results import Outcome, Part, Results, mean_of, on_test
from directmax.tool.paper.report.sections.labels import picture_name

NOTE = (
    "Test images, per cent, higher is better; the bound in nats per image, lower is better; "
    "mean ± standard deviation over seeds, of the epoch with the best validation accuracy."
)
PICTURE = (
    "Each row: a test image, its reconstruction, and its Gaussian code decoded with the attributes "
    "above the column."
)


def build(results: Results, part: Part) -> Section:
    """The section of figure 5."""
    outcomes = results.of(part, "train")
    done = [outcome for outcome in outcomes if outcome.done]
    titles = run_titles(done)
    source = published.FIGURES["figure5"]
    return Section(
        part.name,
        part.title,
        part.caption,
        source=f"{source.source}: {source.note}.",
        tables=[_table(by(done, data_of)[data], data) for data in data_sets(done)],
        pictures=[Picture(picture_name(part, each), titles[each.name], PICTURE) for each in done],
    )


def _table(outcomes: list[Outcome], data: str) -> Table:
    """A row a method and number of labels, which differs where images were added."""
    names = list(dict.fromkeys(name for run in outcomes for name in run.test.get("attributes", {})))
    rows = []
    for method in methods(outcomes):
        mine = [outcome for outcome in outcomes if method_of(outcome) == method]
        for labels, runs in by(mine, entry("labels")).items():
            spreads = [mean_of(runs, _share(name)) for name in names]
            spreads += [mean_of(runs, on_test(metric)) for metric in ("accuracy", "bound")]
            rows.append(
                (
                    Cell(look(method).label),
                    Cell(f"{labels:,}"),
                    *(Cell(str(found or NOTHING), faint=found is None) for found in spreads),
                )
            )
    columns = ("encoder and estimator", "labels", *names, "mean", "bound")
    return Table(data_title(data), columns, tuple(rows), NOTE)


def _share(name: str) -> Callable[[Outcome], float | None]:
    """Reads how often an attribute is right on the test images, in per cent."""

    def read(outcome: Outcome) -> float | None:
        value = outcome.test.get("attributes", {}).get(name)
        return None if value is None else 100 * value

    return read
