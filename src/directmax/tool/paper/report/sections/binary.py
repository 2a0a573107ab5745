"""What the parts of figure 3 share: encoders, the numbers of a row, figures of curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from directmax.tool.look.content import NOTHING, Figure
from directmax.tool.look.spread import seconds_text
from directmax.tool.paper.report.curves import Lines, by_epoch, by_time, timing
from directmax.tool.paper.report.methods import ENCODERS, Look, by, by_method, entry, in_order, look
from directmax.tool.paper.report.results import (
    Outcome,
    cost_of,
    mean_of,
    on_test,
    seconds_of,
)

COLUMNS = ("−log p(x)", "bound", "KL", *(REST := ("best epoch", "epochs", "seeds")), "s an epoch")
CURVES = "Validation images. Lines: mean over seeds; bands: ± one standard deviation. {how}"
NOTE = (
    "Test images, nats per image, mean ± standard deviation over seeds, of the epoch with the best "
    "validation bound; bound and −log p(x) are exact, by enumeration."
)


def encoder_of(outcome: Outcome) -> str:
    """independent, supermodular or pairwise."""
    return str(entry("encoder")(outcome) or "independent")


def encoder_look(encoder: str) -> Look:
    """Of any encoder."""
    return ENCODERS.get(encoder, Look(encoder, "ink"))


def pair_look(encoder: str, method: str) -> Look:
    """Of an encoder that is trained by a method; the paper's is solid."""
    base = encoder_look(encoder)
    dash: Any = "solid" if method == "direct" else "dashed"
    return replace(base, label=f"{base.label}: {look(method).label}", dash=dash)


def pairs_of(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    """By encoder and method, in the order of both."""
    return {
        (encoder, method): runs
        for encoder, group in in_order(by(outcomes, encoder_of), ENCODERS).items()
        for method, runs in by_method(group).items()
    }


def lengths(runs: Sequence[Outcome]) -> list[Any]:
    """The cells of `REST`: best epochs, epochs that were run, seeds."""
    done = [run for run in runs if run.done]
    return [
        ", ".join(str(run.best_epoch) for run in done) or NOTHING,
        ", ".join(dict.fromkeys(str(run.epochs) for run in done)) or NOTHING,
        len(done),
    ]


def seconds(runs: Sequence[Outcome], every: Sequence[Outcome]) -> str:
    """Of an epoch, compared with every run of the table."""
    done = [run for run in runs if run.done]
    return seconds_text(seconds_of(done, cost_of(every)))


def numbers(runs: Sequence[Outcome], every: Sequence[Outcome]) -> list[Any]:
    """The cells of `COLUMNS`."""
    done = [run for run in runs if run.done]
    values = [mean_of(done, on_test(name)) for name in ("nll", "bound", "kl")]
    return [*values, *lengths(runs), seconds(runs, every)]


def curves(
    name: str, title: str, lines: Lines, measures: Sequence[str], *, columns: int = 2
) -> Figure:
    """Every measure by epoch and by time."""
    every = [run for runs in lines.values() for run in runs]
    charts = []
    for measure in measures:
        charts += [by_epoch("", lines, measure), by_time("", lines, measure, cost_of(every))]
    return Figure(name, title, charts, columns, note=CURVES.format(how=timing(every)))
