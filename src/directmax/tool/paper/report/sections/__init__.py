"""One file an item of the paper: its tables, figures and what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from directmax.tool.paper import published
from directmax.tool.paper.report.layout import Section
from directmax.tool.paper.report.results import Part, Results
from directmax.tool.paper.report.sections import (
    attributes,
    convergence,
    labels,
    structured,
    table1,
    tradeoff,
)

BUILDERS: dict[str, Callable[[Results, Part], Section]] = {
    "figure1": tradeoff.build,
    "table1": table1.build,
    "figure2": convergence.build,
    "figure3": structured.build,
    "table2": labels.build,
    "figure4": labels.build_pictures,
    "figure5": attributes.build,
}


def sections(results: Results) -> list[Section]:
    """The sections of a report, in the order of its items."""
    return [_section(results, part) for part in results.parts]


def _section(results: Results, part: Part) -> Section:
    built, needs = Section(), part.needs
    if part.name not in BUILDERS:
        needs = needs or "This report has no tables or figures for this item."
    elif part.jobs or not needs:
        built = BUILDERS[part.name](results, part)
    figure = published.FIGURES.get(part.name)
    # Nothing is drawn of what has no result yet.
    figures = [replace(f, charts=[c for c in f.charts if c.series]) for f in built.figures]
    return replace(
        built,
        name=part.name,
        title=part.title,
        caption=part.caption,
        source=f"{figure.source}: {figure.note}." if figure else built.source,
        claims=published.CLAIMS.get(part.name, ()) if part.jobs else (),
        notes=(*built.notes, *([needs] if needs else [])),
        figures=[figure for figure in figures if figure.charts],
    )


__all__ = ["BUILDERS", "sections"]
