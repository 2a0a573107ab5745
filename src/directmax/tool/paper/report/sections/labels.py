"""Table 2 and figure 4: the mixed model with labels and without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from directmax.tool.look.content import NOTHING, Picture, Table
from directmax.tool.paper import published, slides
from directmax.tool.paper.report.layout import Section, compared, signed, verdict
from directmax.tool.paper.report.methods import (
    by_data,
    by_method,
    by_number,
    data_of,
    data_title,
    entry,
    look,
    method_of,
    run_titles,
)
from directmax.tool.paper.report.results import Outcome, Part, Results, mean_of, on_test
from directmax.tool.paper.table2 import ALONE

NOTE = (
    "Test images, mean ± standard deviation over seeds, of the epoch with the best validation "
    "bound among those level in accuracy: {what}. In the second line the paper's number, and ours "
    "minus it. “As in the authors' code”: labelled images first, then the others alone; "
    "dropout, 30 Gaussian dimensions, Adam at 8e-4; direct with one draw, one-sided, ε from 1, the "
    "categorical KL not in its gradient, Gumbel-Softmax with τ from 1. "
    "“With groups”: the tool's default, whose groups of alike images are found in the grey ones. "
    "Nothing is compared there, nor where pixels are drawn: the published images are by threshold."
)
MEASURES = {
    "accuracy": ("accuracy of the most probable value in per cent, higher is better", " %", False),
    "bound": ("bound in nats per image, lower is better", "", True),
}
"""What is measured, its unit, and whether lower is better."""
PICTURE = "A row a class; the images of a column share their Gaussian code."
MATCHED = (
    "Without labels values are matched to classes one-to-one on the validation images (Hungarian "
    "method)."
)


def build(results: Results, part: Part) -> Section:
    """The section of table 2."""
    labelled = [outcome for outcome in results.of(part, "train") if entry("labels")(outcome)]
    groups = by_data(labelled)
    return Section(
        source=f"{slides.SOURCE}.",
        findings=[
            text
            for data, group in groups.items()
            for text in (*_beside_published(group, data), *_ahead(group, data))
        ],
        tables=[_table(group, data, name) for data, group in groups.items() for name in MEASURES],
    )


def _table(group: Sequence[Outcome], data: str, measure: str) -> Table:
    what, unit, lower = MEASURES[measure]
    names = list(by_method(group))
    rows, has_baselines = [], False
    for labels, outcomes in by_number(group, "labels").items():
        runs = by_method(outcomes)
        others = published.label_baselines(data, labels) if measure == "accuracy" else {}
        has_baselines |= bool(others)
        baselines = "; ".join(f"{name} {other.value:.1f}" for name, other in others.items())
        cells = [
            compared(
                mean_of(runs.get(name, ()), on_test(measure)),
                _published(runs.get(name, ()), measure),
                "paper",
                unit=unit,
                lower_is_better=lower,
            )
            for name in names
        ]
        rows.append([f"{labels:,}", *cells, baselines or NOTHING])
    columns = ["labels", *(look(name).label for name in names)]
    if has_baselines:
        columns.append("Kingma et al. 2014")
    title = f"{data_title(data)}: {measure}"
    return Table(title, columns, [row[: len(columns)] for row in rows], NOTE.format(what=what))


def _published(runs: Sequence[Outcome], measure: str) -> float | None:
    """The paper's number of a cell; None where it has none, or images are not by threshold."""
    if not runs or any(run.settings.get("binarize") != "threshold" for run in runs):
        return None
    method, labels = method_of(runs[0]).removesuffix(ALONE), entry("labels")(runs[0])
    return published.table2(data_of(runs[0]), labels, method, measure).value


def _beside_published(group: Sequence[Outcome], data: str) -> list[str]:
    """In how many cells each method is better than its own published numbers, and than both."""
    texts = []
    for name, runs in by_method(group).items():
        counts, total = dict.fromkeys(MEASURES, 0), 0
        for each in by_number(runs, "labels").values():
            pairs = {
                measure: (spread.mean, paper)
                for measure in MEASURES
                if (spread := mean_of(each, on_test(measure)))
                and (paper := _published(each, measure)) is not None
            }
            if len(pairs) < len(MEASURES):
                continue
            total += 1
            for measure, (ours, paper) in pairs.items():
                difference = round(ours - paper, 2)
                counts[measure] += difference <= 0 if MEASURES[measure][2] else difference >= 0
        if total:
            texts.append(
                f"{data_title(data)}, {look(name).label}: at or above the published accuracy in "
                f"{counts['accuracy']} of {total} rows, at or below the published bound in "
                f"{counts['bound']}."
            )
    return texts


def build_pictures(results: Results, part: Part) -> Section:
    """The section of figure 4."""
    outcomes = [o for o in results.of(part, "train") if o.done]
    outcomes = sorted(outcomes, key=lambda o: (entry("labels")(o) or 0, data_of(o), method_of(o)))
    titles = run_titles(outcomes)
    rows = [
        [titles[o.name], *(mean_of([o], on_test(name)) for name in ("accuracy", "bound"))]
        for o in outcomes
    ]
    columns = ("run", "test accuracy, %", "test bound, nats")
    return Section(
        tables=[Table("", columns, rows, MATCHED)] if rows else [],
        pictures=[Picture(picture_name(part, o), titles[o.name], PICTURE) for o in outcomes],
    )


def picture_name(part: Part, outcome: Outcome) -> str:
    """Of a picture's file, without its ending; unique, as a job's folder ends in its digest."""
    return f"{part.name}-{PurePosixPath(outcome.folder).name}"


def _ahead(group: Sequence[Outcome], data: str) -> list[str]:
    """In how many rows direct is ahead of Gumbel-Softmax, and by how much, as the paper says.

    Of the seeds that both have: the draw of the labels may decide more than the method.
    """
    texts = []
    for ending, words in (("", "by our recipe"), (ALONE, "as in the authors' code")):
        differences = []
        for outcomes in by_number(group, "labels").values():
            runs = by_method([outcome for outcome in outcomes if outcome.done])
            pair = [runs.get(f"{name}{ending}", []) for name in ("direct", "gumbel-softmax")]
            seeds = set.intersection(*({entry("seed")(run) for run in each} for each in pair))
            direct, relaxed = (
                mean_of([run for run in each if entry("seed")(run) in seeds], on_test("accuracy"))
                for each in pair
            )
            if direct is not None and relaxed is not None:
                differences.append(round(direct.mean - relaxed.mean, 2))
        if not differences:
            continue
        num_ahead = sum(lead > 0 for lead in differences)
        ends = dict.fromkeys(map(signed, (min(differences), max(differences))))
        claim = f"{data_title(data)}, {words}: direct is more accurate than Gumbel-Softmax"
        ours = f"with {num_ahead} of {len(differences)} numbers of labels, by {' to '.join(ends)}"
        holds, published = num_ahead == len(differences), data in slides.TABLE2
        texts.append(verdict(claim, holds, f"{ours} points", published=published))
    return texts
