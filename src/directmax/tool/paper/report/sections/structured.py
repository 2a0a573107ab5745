"""Figure 3: binary variables and a structured decoder; estimators, and structured encoders."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from directmax.tool.paper import published
from directmax.tool.paper.report.curves import at_shared_epochs, by_epoch, by_time, timing
from directmax.tool.paper.report.layout import (
    NOTHING,
    Cell,
    Figure,
    Section,
    Table,
    seconds_text,
)
from directmax.tool.paper.report.methods import (
    ENCODERS,
    Look,
    by,
    data_of,
    data_sets,
    data_title,
    entry,
    in_order,
    look,
    method_of,
    methods,
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
    """The section of figure 3."""
    outcomes = results.of(part, "train")
    tables: list[Table] = []
    figures: list[Figure] = []
    findings: list[str] = []
    for data in data_sets(outcomes):
        group = by(outcomes, data_of)[data]
        for half in (_estimators(data, group), _encoders(data, group)):
            tables += half.tables
            figures += half.figures
            findings += half.findings
    source = published.FIGURES["figure3"]
    return Section(
        part.name,
        part.title,
        part.caption,
        source=f"{source.source}: {source.note}.",
        claims=published.CLAIMS["figure3"],
        findings=tuple(findings),
        tables=tables,
        figures=figures,
    )


@dataclass(frozen=True)
class _Half:
    """Of the paper's figure, on one data set; nothing where it was not run."""

    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    findings: tuple[str, ...] = ()


def _estimators(data: str, outcomes: Sequence[Outcome]) -> _Half:
    """Independent variables, by estimator."""
    independent = [o for o in outcomes if _encoder(o) == "independent"]
    if not independent:
        return _Half()
    names = _ranked(independent)
    lines = {look(name): _only(independent, name) for name in names}
    title = f"{data_title(data)}, independent variables: estimators"
    rows = [(Cell(each.label), *_numbers(runs, independent)) for each, runs in lines.items()]
    findings = []
    if first := mean_of(_only(independent, names[0]), on_test("nll")):
        findings.append(
            f"{data_title(data)}: of the estimators with independent variables "
            f"{look(names[0]).label} has the lowest test −log p(x), {first} nats."
        )
    return _Half(
        (Table(title, ("estimator", *COLUMNS), tuple(rows), NOTE),),
        (_figure(f"figure3-{data}-estimators", title, lines),),
        tuple(findings),
    )


def _encoders(data: str, outcomes: Sequence[Outcome]) -> _Half:
    """Independent and structured encoders."""
    if len(by(outcomes, _encoder)) < 2:
        return _Half()
    pairs = _pairs(outcomes)
    shown = [run for _, _, runs in pairs for run in runs]
    title = f"{data_title(data)}: encoders"
    rows = [
        (
            Cell(ENCODERS.get(encoder, Look(encoder, "ink")).label),
            Cell(look(method).label),
            *_numbers(runs, shown),
        )
        for encoder, method, runs in pairs
    ]
    lines = {_encoder_look(encoder, method): runs for encoder, method, runs in pairs}
    return _Half(
        (Table(title, ("encoder", "estimator", *COLUMNS), tuple(rows), NOTE, words=(1,)),),
        (_figure(f"figure3-{data}-encoders", title, lines),),
        tuple(_structured_findings(data, outcomes)),
    )


def _encoder(outcome: Outcome) -> str:
    return str(entry("encoder")(outcome) or "independent")


def _only(outcomes: Sequence[Outcome], method: str) -> list[Outcome]:
    return [outcome for outcome in outcomes if method_of(outcome) == method]


def _ranked(outcomes: Sequence[Outcome]) -> list[str]:
    """Methods by test −log p(x), those without a result last."""
    found = {name: mean_of(_only(outcomes, name), on_test("nll")) for name in methods(outcomes)}
    means = {name: math.inf if spread is None else spread.mean for name, spread in found.items()}
    return sorted(means, key=lambda name: means[name])


def _numbers(runs: Sequence[Outcome], every: Sequence[Outcome]) -> list[Cell]:
    """The cells of some runs, which are compared with every run of the table."""
    done = [run for run in runs if run.done]
    cells = []
    for name in ("nll", "bound", "kl"):
        spread = mean_of(done, on_test(name))
        cells.append(Cell(NOTHING, faint=True) if spread is None else Cell(str(spread)))
    seconds = seconds_of(done, cost_of(every))
    return [
        *cells,
        Cell(", ".join(str(run.best_epoch) for run in done) or NOTHING, faint=not done),
        Cell(str(len(done))),
        Cell(seconds_text(seconds), faint=seconds is None),
    ]


def _figure(name: str, title: str, lines: dict[Look, list[Outcome]]) -> Figure:
    every = [run for runs in lines.values() for run in runs]
    charts = []
    for measure in ("bound", "nll"):
        charts += [by_epoch("", lines, measure), by_time("", lines, measure, cost_of(every))]
    return Figure(
        name,
        title,
        tuple(chart for chart in charts if chart.series),
        note=CURVES.format(how=timing(every)),
    )


def _pairs(outcomes: Sequence[Outcome]) -> list[tuple[str, str, list[Outcome]]]:
    """Encoder, method and runs; of the independent encoder only what the others have, and ours."""
    coupled = methods([o for o in outcomes if _encoder(o) != "independent"])
    groups = by(outcomes, _encoder)
    found = []
    for encoder in in_order(groups, ENCODERS):
        for method in methods(groups[encoder]):
            if method in coupled or method == "local-expectation":
                found.append((encoder, method, _only(groups[encoder], method)))
    return found


def _encoder_look(encoder: str, method: str) -> Look:
    base = ENCODERS.get(encoder, Look(encoder, "ink"))
    paper = method == "direct"
    return replace(
        base,
        label=f"{base.label}: {'direct' if paper else look(method).label}",
        dash="dashed" if paper else "solid",
    )


def _structured_findings(data: str, outcomes: Sequence[Outcome]) -> list[str]:
    """What holds of the paper's claims, with its own estimator."""
    bounds = {
        encoder: mean_of(runs, on_test("nll"))
        for encoder, method, runs in _pairs(outcomes)
        if method == "direct"
    }
    texts = []
    if all(bounds.get(name) for name in ("independent", "supermodular", "pairwise")):
        values = ", ".join(
            f"{ENCODERS[name].label} {spread}" for name, spread in bounds.items() if spread
        )
        texts.append(
            f"{data_title(data)}, with the direct estimator: test −log p(x) {values} nats."
        )
    epoch = overtaking(outcomes)
    if epoch is not None:
        how = f"is below the super-modular one's from epoch {epoch} on"
        if epoch == 0:
            how = "does not end below the super-modular one's"
        paper = f"paper: below from epoch {published.OVERTAKES.value:.0f} on"
        texts.append(f"{data_title(data)}: the general encoder's validation bound {how} ({paper}).")
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
