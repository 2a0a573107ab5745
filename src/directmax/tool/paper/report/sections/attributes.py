"""Figure 5: attributes of images, how often they are right, and what switching them changes."""

from __future__ import annotations

from collections.abc import Callable

from directmax.tool.look.content import Picture, Table
from directmax.tool.paper.report.layout import Section
from directmax.tool.paper.report.methods import (
    by,
    by_data,
    by_method,
    data_title,
    entry,
    look,
    run_titles,
)
from directmax.tool.paper.report.results import Outcome, Part, Results, mean_of, on_test
from directmax.tool.paper.report.sections.labels import picture_name

NOTE = (
    "Test images, per cent, higher is better; the bound in nats per image, lower is better; "
    "mean ± standard deviation over seeds, of the epoch with the best validation bound among those "
    "level in accuracy."
)
PICTURE = (
    "Each row: a test image, its reconstruction, and its Gaussian code decoded with the attributes "
    "above the column."
)


def build(results: Results, part: Part) -> Section:
    """The section of figure 5."""
    done = [outcome for outcome in results.of(part, "train") if outcome.done]
    titles = run_titles(done)
    return Section(
        tables=[_table(outcomes, data) for data, outcomes in by_data(done).items()],
        pictures=[Picture(picture_name(part, each), titles[each.name], PICTURE) for each in done],
    )


def _table(outcomes: list[Outcome], data: str) -> Table:
    """A row a method and number of labels, which differs where images were added."""
    names = list(dict.fromkeys(name for run in outcomes for name in run.test.get("attributes", {})))
    rows = []
    for method, method_runs in by_method(outcomes).items():
        for labels, runs in by(method_runs, entry("labels")).items():
            spreads = [mean_of(runs, _accuracy(name)) for name in names]
            spreads += [mean_of(runs, on_test(metric)) for metric in ("accuracy", "bound")]
            rows.append([look(method).label, f"{labels:,}", *spreads])
    columns = ("encoder and estimator", "labels", *names, "mean", "bound")
    return Table(data_title(data), columns, rows, NOTE)


def _accuracy(name: str) -> Callable[[Outcome], float | None]:
    """Reads how often an attribute is right on the test images, in per cent."""

    def read(outcome: Outcome) -> float | None:
        value = outcome.test.get("attributes", {}).get(name)
        return None if value is None else 100 * value

    return read
