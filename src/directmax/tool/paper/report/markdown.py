"""`reproduction.md`: the same report as Markdown, with the figures as files beside it."""

from __future__ import annotations

from collections.abc import Sequence

from directmax.tool.paper.report.layout import Cell, Section, Table, with_notes
from directmax.tool.paper.report.page import Page

FIGURES = "figures"


def render_markdown(page: Page) -> str:
    """The page as text; figures are `figures/NAME.svg`, pictures `figures/NAME.png`."""
    lines = [f"# {page.title}", "", page.lead, ""]
    lines += [f"- {name}: {value}" for name, value, _ in page.status]
    lines += ["", *(f"> {warning}\n" for warning in page.warnings)]
    lines += ["```sh", page.command, "```", ""]
    findings = [f"- {text}" for section in page.sections for text in section.findings]
    if findings:
        lines += ["## At a glance", "", *findings, ""]
    for section in page.sections:
        lines += _section(section)
    lines += ["## Deviations from the paper", ""]
    lines += [f"{each.number}. *{each.title}* {each.text}" for each in page.deviations]
    lines += ["", "## Runs", "", *_tables(page.troubles), *_table(page.runs)]
    if page.commands:
        lines += ["The jobs one by one:", "", "```sh", *page.commands, "```", ""]
    lines += ["## Versions and machine", "", *_tables(page.machine)]
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> list[str]:
    lines = [f"## {section.title}", ""]
    if section.caption:
        lines += [section.caption, ""]
    if section.source:
        lines += [f"Source: {section.source}", ""]
    for note in section.notes:
        lines += [note, ""]
    if section.claims:
        lines += ["What the paper says:", "", *(f"- {claim}" for claim in section.claims), ""]
    lines += _tables(section.tables)
    for figure in section.figures:
        lines += [f"![{figure.title}]({FIGURES}/{figure.name}.svg)", ""]
        lines += [figure.note, ""] if figure.note else []
    for picture in section.pictures:
        lines += [f"**{picture.title}**", ""]
        if picture.missing:
            lines += [picture.missing, ""]
            continue
        lines += [f"![{picture.title}]({FIGURES}/{picture.name}.png)", ""]
        lines += [picture.note, ""] if picture.note else []
    return lines


def _tables(tables: Sequence[Table]) -> list[str]:
    lines = []
    for table, note in with_notes(tables):
        lines += [*_table(table), note, ""] if note else _table(table)
    return lines


def _table(table: Table) -> list[str]:
    lines = [f"**{table.title}**", ""] if table.title else []
    lines.append(f"| {' | '.join(_escape(name) for name in table.columns)} |")
    lines.append("|" + " --- |" * len(table.columns))
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in table.rows]
    return [*lines, ""]


def _cell(cell: Cell) -> str:
    below = ", ".join(part.rstrip(",") for part in (cell.below, cell.difference) if part)
    return _escape(f"{cell.main} ({below})" if below else cell.main)


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
