"""Figure 3, right: structured encoders and an independent one by the published protocol."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from directmax.tool.look.content import NOTHING, Cell, Chart, Figure, Series, Table
from directmax.tool.look.curves import limits
from directmax.tool.look.progress import duration
from directmax.tool.look.spread import Spread
from directmax.tool.paper import published, slides
from directmax.tool.paper.report.curves import at_shared_epochs
from directmax.tool.paper.report.layout import Section, compared, verdict
from directmax.tool.paper.report.methods import ENCODERS, by, data_title, look, method_of
from directmax.tool.paper.report.results import Outcome, cost_of, mean_of, on_test, seconds_of
from directmax.tool.paper.report.sections.binary import (
    NOTE,
    REST,
    curves,
    encoder_look,
    encoder_of,
    lengths,
    pair_look,
    pairs_of,
)

AUTHORS = "authors"
MORE = (
    " The authors' quantity is the loss of perturb-and-MAP samples and the KL of the unary "
    "potentials alone: no bound for structured encoders, the bound itself for independent ones. "
    "Below it the last published value, which is that quantity, read to 0.5 nats, and ours minus "
    "it; below the seconds of training those at which it was reached, on another machine, the "
    "general encoder by CPLEX."
)
LAST = " Dotted: the last published value of the authors' quantity."


def build(data: str, outcomes: Sequence[Outcome]) -> Section:
    """The part of figure 3.

    Args:
        data: of all outcomes.
        outcomes: by encoder; with the direct estimator by the published protocol, and the default.
    """
    if len(by(outcomes, encoder_of)) < 2:
        return Section()
    coupled = {method for encoder, method in pairs_of(outcomes) if encoder != "independent"}
    pairs = {
        pair: [with_authors(run) for run in runs]
        for pair, runs in pairs_of(outcomes).items()
        if pair[1] in coupled
    }
    every = [run for runs in pairs.values() for run in runs]
    title = f"{data_title(data)}: encoders"
    columns = ("encoder", "estimator", "authors' quantity", "bound", "−log p(x)", "KL")
    rows = [
        [encoder_look(encoder).label, look(method).label, *_cells(encoder, method, runs, every)]
        for (encoder, method), runs in pairs.items()
    ]
    lines = {pair_look(*pair): runs for pair, runs in pairs.items()}
    figure = curves(f"figure3-{data}-encoders", title, lines, (AUTHORS, "bound", "nll"))
    return Section(
        findings=_findings(data, pairs),
        tables=[Table(title, (*columns, *REST, "training"), rows, NOTE + MORE, words=(1,))],
        figures=[_with_published(figure, pairs)],
    )


def with_authors(outcome: Outcome) -> Outcome:
    """The authors' quantity beside the bound: of an independent encoder it is the bound."""
    test, validation = dict(outcome.test), dict(outcome.curves)
    if encoder_of(outcome) == "independent":
        test[AUTHORS] = test.get("bound")
        if "bound" in validation:
            validation[AUTHORS] = validation["bound"]
    return replace(outcome, test=test, curves=validation)


def end_of(encoder: str, method: str, runs: Sequence[Outcome]) -> slides.End | None:
    """What was published of it: of the direct estimator, fifteen variables and Fashion-MNIST."""
    same = all(
        run.settings.get("data") == "fashion-mnist" and run.settings.get("variables") == 15
        for run in runs
    )
    return slides.ENDS.get(encoder) if same and method == "direct" else None


def _cells(
    encoder: str, method: str, runs: Sequence[Outcome], every: Sequence[Outcome]
) -> list[Any]:
    end = end_of(encoder, method, runs)
    values = [mean_of(runs, on_test(name)) for name in ("bound", "nll", "kl")]
    authors = compared(mean_of(runs, on_test(AUTHORS)), end.loss if end else None, "paper")
    return [authors, *values, *lengths(runs), _training(runs, every, end)]


def _training(
    runs: Sequence[Outcome], every: Sequence[Outcome], end: slides.End | None
) -> Cell | None:
    """The time of all epochs, without validation."""
    each = seconds_of([run for run in runs if run.done], cost_of(every))
    epochs = max((run.epochs or 0 for run in runs if run.done), default=0)
    below = f"paper {duration(end.seconds)}" if end else ""
    if each is None or not epochs:
        return Cell(NOTHING, below)
    return Cell(duration(each.mean * epochs), below)


def _with_published(figure: Figure, pairs: Mapping[tuple[str, str], Sequence[Outcome]]) -> Figure:
    """The first chart with the last published values as level lines."""
    chart: Chart = figure.charts[0]
    end = max((series.x[-1] for series in chart.series), default=0.0)
    levels = [
        Series(
            f"{encoder_look(encoder).label}, published",
            (0.0, end),
            (value.loss, value.loss),
            color=encoder_look(encoder).color,
            dash="dotted",
        )
        for (encoder, method), runs in pairs.items()
        if (value := end_of(encoder, method, runs)) and end
    ]
    series = [*chart.series, *levels]
    charts = [replace(chart, series=series, y_limits=limits(series)), *figure.charts[1:]]
    return replace(figure, charts=charts, note=figure.note + (LAST if levels else ""))


def _findings(data: str, pairs: Mapping[tuple[str, str], Sequence[Outcome]]) -> list[str]:
    """What holds of the paper's claims, with its own estimator."""
    title = data_title(data)
    runs = {encoder: pairs.get((encoder, "direct"), ()) for encoder in ENCODERS}
    texts = []
    for measure, words in (
        (AUTHORS, "the authors' quantity, which is no bound,"),
        ("bound", "the bound"),
        ("nll", "−log p(x)"),
    ):
        found = {name: s for name, each in runs.items() if (s := mean_of(each, on_test(measure)))}
        if len(found) == len(ENCODERS):
            texts += _orders(title, words, found, published=data == "fashion-mnist")
    epoch = overtaking([run for each in runs.values() for run in each])
    if epoch is not None:
        outcome = f"is below the super-modular one's from epoch {epoch} on"
        if epoch == 0:
            outcome = "does not end below the super-modular one's"
        paper = f"paper: below from epoch {published.OVERTAKES.value:.0f} on"
        texts.append(f"{title}: the general encoder's validation bound {outcome} ({paper}).")
    return texts


def _orders(title: str, words: str, found: Mapping[str, Spread], *, published: bool) -> list[str]:
    """The two claims of the paper, by one measure of the direct estimator."""
    means = {name: each.mean for name, each in found.items()}
    values = ", ".join(f"{encoder_look(name).label} {found[name]}" for name in found)
    structured = max(means["supermodular"], means["pairwise"]) < means["independent"]
    general = means["pairwise"] < means["supermodular"]
    claim = f"{title}, direct, by {words}"
    first = f"{claim} both structured encoders beat the independent one"
    second = f"{claim} the general encoder beats the super-modular one"
    return [
        verdict(first, structured, values, published=published),
        verdict(second, general, published=published),
    ]


def overtaking(outcomes: Sequence[Outcome], method: str = "direct") -> int | None:
    """From which epoch on the general encoder stays below the super-modular one.

    Args:
        outcomes: of one data set.
        method: of both.

    Returns:
        The first such epoch, 0 if the general encoder does not end below, None if one of the two
        was not run.
    """
    means = {}
    for encoder in ("pairwise", "supermodular"):
        runs = [o for o in outcomes if encoder_of(o) == encoder and method_of(o) == method]
        found = at_shared_epochs(runs, "bound")
        if found is None:
            return None
        means[encoder] = {epoch: statistics.fmean(values) for epoch, values in found.items()}
    first = 0
    for epoch in sorted(set(means["pairwise"]) & set(means["supermodular"])):
        if means["pairwise"][epoch] >= means["supermodular"][epoch]:
            first = 0
        elif first == 0:
            first = int(epoch)
    return first
