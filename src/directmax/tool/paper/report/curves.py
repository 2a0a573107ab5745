"""Charts of validation curves, mean and deviation over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from directmax.tool.config import stored_config
from directmax.tool.look.content import Chart, Series
from directmax.tool.look.curves import banded, limits
from directmax.tool.paper.report.methods import Look
from directmax.tool.paper.report.results import (
    Cost,
    Outcome,
    measured_in_turn,
    on_one_machine,
    seconds_of,
)
from directmax.tool.paper.slides import Curve

NAMES = {
    "bound": "validation bound, nats per image",
    "nll": "validation −log p(x), nats per image",
    "accuracy": "validation accuracy, %",
    "authors": "authors' quantity (no bound), nats",
}
Lines = Mapping[Look, Sequence[Outcome]]


def by_epoch(title: str, lines: Lines, measure: str) -> Chart:
    """A measure of the validation images by epoch, one line a method."""
    series = [each for look, runs in lines.items() if (each := _series(look, runs, measure))]
    return Chart(title, "epoch", NAMES[measure], series, y_limits=limits(series))


def by_time(title: str, lines: Lines, measure: str, cost: Cost) -> Chart:
    """The same by the time of training: the epoch times the seconds of an epoch, its cost.

    Epochs of starts that were not continued count, as if all had come before. Of runs of different
    machines it is empty.
    """
    series = []
    comparable = on_one_machine(run for runs in lines.values() for run in runs)
    for look, runs in lines.items() if comparable else ():
        each, seconds = _series(look, runs, measure), seconds_of(runs, cost)
        if each is not None and seconds is not None:
            before = _other_epochs(runs)
            series.append(replace(each, x=[(x + before) * seconds.mean for x in each.x]))
    unit, scale = "seconds", 1.0
    if max((each.x[-1] for each in series), default=0.0) > 300:
        unit, scale = "minutes", 60.0
    series = [replace(each, x=[x / scale for x in each.x]) for each in series]
    return Chart(title, f"{unit} of training", NAMES[measure], series, y_limits=limits(series))


def _other_epochs(runs: Sequence[Outcome]) -> int:
    """Epochs of starts that were not continued."""
    with_starts = [run.settings for run in runs if run.settings.get("starts", 1) > 1]
    configs = [stored_config(dict(settings)) for settings in with_starts]
    return max((config.total_epochs - config.epochs for config in configs), default=0)


def at_shared_epochs(runs: Sequence[Outcome], measure: str) -> dict[float, list[float]] | None:
    """A measure of the validation images by epoch, of every run, where all of them have one.

    Returns:
        None if no run is done and has the measure.
    """
    runs = [run for run in runs if run.done and measure in run.curves]
    if not runs:
        return None
    tables = [dict(zip(run.curves["epoch"], run.curves[measure], strict=True)) for run in runs]
    return {
        epoch: [table[epoch] for table in tables]
        for epoch in tables[0]
        if all(epoch in table for table in tables)
    }


def _series(look: Look, runs: Sequence[Outcome], measure: str) -> Series | None:
    """Mean over the runs that have the measure, at the epochs that all of them reached."""
    found = at_shared_epochs(runs, measure)
    if not found:
        return None
    factor = 100 if measure == "accuracy" else 1
    values = [[factor * value for value in each] for each in found.values()]
    return banded(Series(look.label, list(found), (), color=look.color, dash=look.dash), values)


def at_test_level(outcome: Outcome, measure: str) -> Outcome:
    """An outcome whose curve goes through the test value of the epoch that was chosen.

    A validation at every epoch may be of few images, whose level is another: moved by a constant
    the curve can be laid over one of test images. Its shape is that of the validation images.
    """
    test, epoch = outcome.test.get(measure), outcome.best_epoch
    if test is None or epoch is None or measure not in outcome.curves:
        return outcome
    curve = outcome.curves[measure]
    shift = test - float(np.interp(epoch, outcome.curves["epoch"], curve))
    moved = [value + shift for value in curve]
    return replace(outcome, curves={**outcome.curves, measure: moved})


def published_line(look: Look, curve: Curve, *, first: float = 0.0) -> Series:
    """A published curve, dotted in the colour of ours.

    Args:
        look: of ours.
        curve: as it was read.
        first: where its 0 is on our axis.
    """
    x = [value + first for value in curve.x]
    return Series(f"{look.label}, published", x, curve.y, color=look.color, dash="dotted")


def timing(outcomes: Sequence[Outcome]) -> str:
    """Where the times of outcomes that are compared come from, as a sentence."""
    if not on_one_machine(outcomes):
        return "The runs are of different machines, so their times are not compared."
    if measured_in_turn(outcomes):
        return "Seconds of an epoch were measured before the runs, each configuration in turn."
    return (
        "Seconds of an epoch are the median of the run itself; runs that shared the machine with "
        "others took longer than they would alone."
    )


def timings(groups: Mapping[str, Sequence[Outcome]]) -> str:
    """The same of several groups, by their titles, which are named where the sentences differ."""
    found: dict[str, list[str]] = {}
    for title, outcomes in groups.items():
        found.setdefault(timing(outcomes), []).append(title)
    if len(found) < 2:
        return "".join(found)
    return " ".join(f"{'; '.join(titles)}: {text}" for text, titles in found.items())
