"""Figure 3: binary variables and a structured decoder; estimators, and structured encoders."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from directmax.tool.look.content import NOTHING, Figure, Table
from directmax.tool.look.spread import seconds_text
from directmax.tool.paper import published
from directmax.tool.paper.report.curves import (
    Lines,
    at_shared_epochs,
    by_epoch,
    by_time,
    timing,
)
from directmax.tool.paper.report.layout import Section
from directmax.tool.paper.report.methods import (
    ENCODERS,
    Look,
    by,
    by_data,
    by_method,
    data_title,
    entry,
    in_order,
    look,
    method_of,
)
from directmax.tool.paper.report.results import (
    Outcome,
    Part,
    Results,
    cost_of,
    mean_of,
    on_test,
    seconds_of,
)

NOTE = (
    "Test images, nats per image, mean ± standard deviation over seeds, of the epoch with the best "
    "validation bound; bound and −log p(x) are exact, by enumeration. The paper has curves only."
)
CURVES = "Validation images. Lines: mean over seeds; bands: ± one standard deviation. {how}"
COLUMNS = ("−log p(x)", "bound", "KL", "best epoch", "seeds", "seconds an epoch")


def build(results: Results, part: Part) -> Section:
    """The section of figure 3: on every data set estimators, then encoders."""
    halves = [
        half
        for data, group in by_data(results.of(part, "train")).items()
        for half in (_estimators(data, group), _encoders(data, group))
    ]
    return Section(
        findings=[text for half in halves for text in half.findings],
        tables=[table for half in halves for table in half.tables],
        figures=[figure for half in halves for figure in half.figures],
    )


def _estimators(data: str, outcomes: Sequence[Outcome]) -> Section:
    """Independent variables, by estimator, the best first."""
    independent = [o for o in outcomes if _encoder(o) == "independent"]
    if not independent:
        return Section()
    found = {name: mean_of(runs, on_test("nll")) for name, runs in by_method(independent).items()}
    best, *_ = names = sorted(found, key=lambda name: s.mean if (s := found[name]) else math.inf)
    lines = {look(name): by_method(independent)[name] for name in names}
    title = f"{data_title(data)}, independent variables: estimators"
    rows = [[each.label, *_numbers(runs, independent)] for each, runs in lines.items()]
    finding = (
        f"{data_title(data)}: of the estimators with independent variables {look(best).label} has "
        f"the lowest test −log p(x), {found[best]} nats."
    )
    return Section(
        findings=[finding] if found[best] else [],
        tables=[Table(title, ("estimator", *COLUMNS), rows, NOTE)],
        figures=[_figure(f"figure3-{data}-estimators", title, lines)],
    )


def _encoders(data: str, outcomes: Sequence[Outcome]) -> Section:
    """Independent and structured encoders."""
    if len(by(outcomes, _encoder)) < 2:
        return Section()
    pairs = _pairs(outcomes)
    every = [run for runs in pairs.values() for run in runs]
    title = f"{data_title(data)}: encoders"
    rows = [
        [_encoder_look(encoder).label, look(method).label, *_numbers(runs, every)]
        for (encoder, method), runs in pairs.items()
    ]
    lines = {_pair_look(*pair): runs for pair, runs in pairs.items()}
    return Section(
        findings=_structured_findings(data, outcomes),
        tables=[Table(title, ("encoder", "estimator", *COLUMNS), rows, NOTE, words=(1,))],
        figures=[_figure(f"figure3-{data}-encoders", title, lines)],
    )


def _encoder(outcome: Outcome) -> str:
    return str(entry("encoder")(outcome) or "independent")


def _encoder_look(encoder: str) -> Look:
    return ENCODERS.get(encoder, Look(encoder, "ink"))


def _pair_look(encoder: str, method: str) -> Look:
    base, paper = _encoder_look(encoder), method == "direct"
    label = f"{base.label}: {'direct' if paper else look(method).label}"
    return replace(base, label=label, dash="dashed" if paper else "solid")


def _numbers(runs: Sequence[Outcome], every: Sequence[Outcome]) -> list[Any]:
    """The cells of some runs, which are compared with every run of the table."""
    done = [run for run in runs if run.done]
    return [
        *(mean_of(done, on_test(name)) for name in ("nll", "bound", "kl")),
        ", ".join(str(run.best_epoch) for run in done) or NOTHING,
        len(done),
        seconds_text(seconds_of(done, cost_of(every))),
    ]


def _figure(name: str, title: str, lines: Lines) -> Figure:
    every = [run for runs in lines.values() for run in runs]
    charts = []
    for measure in ("bound", "nll"):
        charts += [by_epoch("", lines, measure), by_time("", lines, measure, cost_of(every))]
    return Figure(name, title, charts, note=CURVES.format(how=timing(every)))


def _pairs(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    """By encoder and method; of the independent encoder only what the others have, and ours."""
    coupled = by_method([o for o in outcomes if _encoder(o) != "independent"])
    return {
        (encoder, method): runs
        for encoder, group in in_order(by(outcomes, _encoder), ENCODERS).items()
        for method, runs in by_method(group).items()
        if method in coupled or method == "local-expectation"
    }


def _structured_findings(data: str, outcomes: Sequence[Outcome]) -> list[str]:
    """What holds of the paper's claims, with its own estimator."""
    found = {
        encoder: mean_of(runs, on_test("nll"))
        for (encoder, method), runs in _pairs(outcomes).items()
        if method == "direct"
    }
    texts = []
    if all(found.get(name) for name in ENCODERS):
        values = ", ".join(f"{_encoder_look(name).label} {found[name]}" for name in ENCODERS)
        texts.append(
            f"{data_title(data)}, with the direct estimator: test −log p(x) {values} nats."
        )
    epoch = overtaking(outcomes)
    if epoch is not None:
        outcome = f"is below the super-modular one's from epoch {epoch} on"
        if epoch == 0:
            outcome = "does not end below the super-modular one's"
        paper = f"paper: below from epoch {published.OVERTAKES.value:.0f} on"
        texts.append(
            f"{data_title(data)}: the general encoder's validation bound {outcome} ({paper})."
        )
    return texts


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
        runs = [o for o in outcomes if _encoder(o) == encoder and method_of(o) == method]
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
