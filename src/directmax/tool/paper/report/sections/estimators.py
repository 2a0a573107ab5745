"""Figure 3, left: estimators with independent variables by the published protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from directmax.tool.look.content import Chart, Table
from directmax.tool.look.curves import limits
from directmax.tool.look.spread import Spread
from directmax.tool.paper import slides
from directmax.tool.paper.report.curves import at_test_level, published_line
from directmax.tool.paper.report.layout import Section, compared, signed, verdict
from directmax.tool.paper.report.methods import by_method, data_title, look
from directmax.tool.paper.report.results import Outcome, mean_of, on_test
from directmax.tool.paper.report.sections.binary import (
    NOTE,
    REST,
    curves,
    lengths,
    seconds,
)

MORE = (
    " Second lines: under the bound the lowest height of the published curve in as many epochs, "
    "under the bound at the last epoch its height there, each with ours minus it; published curves "
    "are of the loss of one sample, smoothed, read to 0.3 nats. Our bound at the last epoch is of "
    "the chosen one and what the validation bound rose since. The bound of the default of this "
    "tool is of refined codes; that of its encoder is compared with the lowest published curve."
)
LEVEL = (
    " Dotted: published, of test images. In the first chart our curves, of few validation images, "
    "are moved by a constant, so that each goes through the test bound of its chosen epoch."
)
REFINED = " The bound of the default of this tool is of refined codes."
DEFAULT = "default"
CLOSE = 1.0
"""Nats, within which a published curve counts as reproduced."""
Runs = Mapping[str, Sequence[Outcome]]
"""By method."""


def build(data: str, outcomes: Sequence[Outcome]) -> Section:
    """The part of figure 3.

    Args:
        data: of all outcomes.
        outcomes: with independent variables, by the published protocol, and the default.
    """
    if not outcomes:
        return Section()
    bounds = {name: bound_of(each) for name, each in by_method(outcomes).items()}
    names = sorted(bounds, key=lambda name: s.mean if (s := bounds[name]) else math.inf)
    runs = {name: by_method(outcomes)[name] for name in names}
    title = f"{data_title(data)}, independent variables: estimators"
    has_refined = any(_own(each) is not None for each in runs.values())
    columns = ["estimator", "bound", "bound at the last epoch"]
    columns += ["encoder's own bound"] if has_refined else []
    columns += ["−log p(x)", "KL", *REST, "s an epoch"]
    rows = [_row(name, each, outcomes, has_refined) for name, each in runs.items()]
    lines = {look(name): each for name, each in runs.items()}
    figure = curves(f"figure3-{data}-estimators", title, lines, ("bound", "nll"))
    if any(curve_of(name, each) for name, each in runs.items()):
        charts = [_beside_published(figure.charts[0], runs), *figure.charts[1:]]
        figure = replace(figure, charts=charts, note=figure.note + LEVEL)
    if has_refined:
        figure = replace(figure, note=figure.note + REFINED)
    return Section(
        findings=_findings(data, runs),
        tables=[Table(title, columns, rows, NOTE + MORE)],
        figures=[figure],
    )


def bound_of(runs: Sequence[Outcome]) -> Spread | None:
    """Of the test images."""
    return mean_of(runs, on_test("bound"))


def curve_of(name: str, runs: Sequence[Outcome]) -> slides.Curve | None:
    """The published curve of a method; None of other data or sizes."""
    published = all(
        run.settings.get("data") == "fashion-mnist" and run.settings.get("variables") == 15
        for run in runs
    )
    return slides.LEARNING.get(name) if published else None


def lowest_published(runs: Sequence[Outcome]) -> tuple[str, float] | None:
    """The method whose published curve is the lowest, and how low."""
    found = {name: curve_of(name, runs) for name in slides.LEARNING}
    lows = {name: low for name, c in found.items() if c and (low := c.lowest()) is not None}
    return min(lows.items(), key=lambda each: each[1]) if lows else None


def _own(runs: Sequence[Outcome]) -> Spread | None:
    return mean_of(runs, on_test("amortized"))


def _until(runs: Sequence[Outcome]) -> float:
    """The last epoch that all of them reached, counted from 0 as in the published curves."""
    return min((run.epochs - 1 for run in runs if run.done and run.epochs), default=math.inf)


def _row(
    name: str, runs: Sequence[Outcome], every: Sequence[Outcome], has_refined: bool
) -> list[Any]:
    curve, until = curve_of(name, runs), _until(runs)
    lowest = curve.lowest(until) if curve else None
    at_end = (curve.at(until) or curve.last) if curve else None
    cells = [
        look(name).label,
        compared(bound_of(runs), lowest, "published lowest"),
        compared(Spread.of(map(_last, runs)), at_end, "published there"),
    ]
    if has_refined:
        best = lowest_published(runs) if name == DEFAULT else None
        own = _own(runs)
        label = f"lowest published ({look(best[0]).label})" if best else ""
        cells.append(compared(own, best[1] if best else None, label) if own else None)
    values = [mean_of(runs, on_test(measure)) for measure in ("nll", "kl")]
    return [*cells, *values, *lengths(runs), seconds(runs, every)]


def _last(outcome: Outcome) -> float | None:
    """The bound at the last epoch, on the level of the test images."""
    curve = at_test_level(outcome, "bound").curves.get("bound")
    return curve[-1] if outcome.done and curve else None


def _beside_published(chart: Chart, runs: Runs) -> Chart:
    """The chart of the bound by epoch, at the level of the test images, with what was published."""
    moved = {
        look(name).label: [at_test_level(run, "bound") for run in each]
        for name, each in runs.items()
    }
    lines = {look(name): moved[look(name).label] for name in runs}
    ours = curves("", "", lines, ("bound",)).charts[0].series
    published = [
        published_line(look(name), curve, first=1.0)
        for name, each in runs.items()
        if (curve := curve_of(name, each))
    ]
    series = [*ours, *published]
    label = "bound, level of the test images, nats"
    return replace(chart, y_label=label, series=series, y_limits=limits(series))


def _findings(data: str, runs: Runs) -> list[str]:
    title, texts = data_title(data), []
    nlls = {name: s for name, each in runs.items() if (s := mean_of(each, on_test("nll")))}
    protocol = {name: each for name, each in nlls.items() if name != DEFAULT}
    if len(protocol) > 1:
        best = min(protocol, key=lambda name: protocol[name].mean)
        texts.append(
            f"{title}: of the estimators with independent variables by the published protocol "
            f"{look(best).label} has the lowest test −log p(x), {protocol[best]} nats."
        )
    pairs = {
        name: (bound.mean, low)
        for name, each in runs.items()
        if (curve := curve_of(name, each))
        and (bound := bound_of(each))
        and (low := curve.lowest(_until(each))) is not None
    }
    texts += _against_curves(title, pairs, runs)
    return [*texts, *_of_default(title, runs)]


def _against_curves(title: str, pairs: Mapping[str, tuple[float, float]], runs: Runs) -> list[str]:
    """Ours and the published lowest in as many epochs."""
    if not pairs:
        return []
    epochs = sorted({int(_until(runs[name])) + 1 for name in pairs})
    length = f"{' to '.join(dict.fromkeys(map(str, (epochs[0], epochs[-1]))))} epochs"
    differences = {name: ours - low for name, (ours, low) in pairs.items()}
    near = sum(round(each, 2) <= CLOSE for each in differences.values())
    each = ", ".join(f"{look(name).label} {signed(value)}" for name, value in differences.items())
    texts = [
        f"{title}: the bound of {near} of {len(pairs)} estimators comes within {CLOSE:g} nat of, "
        f"or below, its published curve in {length} ({each})."
    ]
    if len(pairs) > 1:
        ours, theirs = (
            [look(name).label for _, name in sorted((pairs[name][i], name) for name in pairs)]
            for i in (0, 1)
        )
        claim = f"{title}: by the bound in {length} the order is {', '.join(theirs)}"
        same = ours == theirs
        texts.append(verdict(claim, same, "" if same else f"it is {', '.join(ours)}"))
    return texts


def _of_default(title: str, runs: Runs) -> list[str]:
    default = runs.get(DEFAULT, ())
    bound, own = bound_of(default), _own(default)
    best = lowest_published(default) if default else None
    if bound is None:
        return []
    text = f"{title}: the default of this tool reaches {bound} nats"
    if own is not None:
        text += f" with refined codes, {own} by its encoder alone"
    if best is not None:
        name, low = best
        mean = (own or bound).mean
        text += f", {signed(mean - low)} to the lowest published, {low} ({look(name).label})"
    return [f"{text}."]
