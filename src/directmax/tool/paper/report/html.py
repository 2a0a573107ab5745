"""`reproduction.html`: one page that needs nothing else, for light and dark, wide and phone."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape

from directmax.tool.paper.report.draw import chart_svg, swatch
from directmax.tool.paper.report.layout import Cell, Figure, Picture, Section, Table, with_notes
from directmax.tool.paper.report.page import Page
from directmax.tool.paper.report.style import STYLE


def render_html(page: Page, pictures: Mapping[str, bytes]) -> str:
    """The page as text.

    Args:
        page: what to show.
        pictures: PNG files by the names of the pictures, of all that are not missing.
    """
    body = [
        "<header>",
        f"<h1>{escape(page.title)}</h1>",
        f"<p class=lead>{_text(page.lead)}</p>",
        _status(page),
        "".join(f"<p class=warning>{_text(warning)}</p>" for warning in page.warnings),
        _navigation(page),
        "</header>",
        _findings(page),
        *(_section(section, pictures) for section in page.sections),
        _deviations(page),
        _appendix(page),
    ]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        '<meta name=color-scheme content="light dark">'
        f"<title>{escape(page.title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _status(page: Page) -> str:
    entries = "".join(
        f"<div class={kind}><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value, kind in page.status
    )
    return f"<dl class=status>{entries}</dl>"


def _navigation(page: Page) -> str:
    links = [(section.name, section.title) for section in page.sections]
    links += [("deviations", "Deviations"), ("runs", "Runs"), ("machine", "Machine")]
    items = "".join(
        f'<a href="#{escape(name)}">{escape(_short(title))}</a>' for name, title in links
    )
    return f"<nav aria-label=Contents>{items}</nav>"


def _short(title: str) -> str:
    """The part of a title before its colon, for the navigation."""
    return re.split(r"[:.·]", title)[0].strip()


def _findings(page: Page) -> str:
    found = [(section, text) for section in page.sections for text in section.findings]
    if not found:
        return ""
    items = "".join(
        f'<li><a href="#{escape(section.name)}">{escape(_short(section.title))}</a>'
        f"<span>{_text(text)}</span></li>"
        for section, text in found
    )
    return f"<section class=glance><h2>At a glance</h2><ul>{items}</ul></section>"


def _section(section: Section, pictures: Mapping[str, bytes]) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    if section.caption:
        parts.append(f"<p>{_text(section.caption)}</p>")
    if section.source:
        parts.append(f"<p class=note>Source: {_text(section.source)}</p>")
    parts += [f"<p class=note>{_text(note)}</p>" for note in section.notes]
    if section.claims:
        claims = "".join(f"<li>{_text(claim)}</li>" for claim in section.claims)
        parts.append(f"<details><summary>What the paper says</summary><ul>{claims}</ul></details>")
    parts += _tables([table for table in section.tables if not table.folded])
    parts += [_figure(figure) for figure in section.figures]
    parts += _tables([table for table in section.tables if table.folded])
    if section.pictures:
        shown = "".join(_picture(picture, pictures) for picture in section.pictures)
        parts.append(f"<div class=charts>{shown}</div>")
    return f'<section id="{escape(section.name)}">{"".join(parts)}</section>'


def _tables(tables: Sequence[Table]) -> list[str]:
    return [_table(table, note) for table, note in with_notes(tables)]


def _table(table: Table, note: str = "") -> str:
    kinds = [" class=word" if number in table.words else "" for number in range(len(table.columns))]
    head = "".join(
        f"<th scope=col{kind}>{_text(name)}</th>"
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    head = f"<thead><tr>{head}</tr></thead>" if any(table.columns) else ""
    rows = "".join(
        "<tr>"
        + f"<th scope=row>{_cell(row[0])}</th>"
        + "".join(
            f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    label = escape(table.title or "table", quote=True)
    content = (
        f'<div class=wide tabindex=0 role=region aria-label="{label}">'
        f"<table>{head}<tbody>{rows}</tbody></table></div>"
        + (f"<p class=note>{_text(note)}</p>" if note else "")
    )
    if table.folded:
        return f"<details><summary>{_text(table.title)}</summary>{content}</details>"
    return (f"<h3>{_text(table.title)}</h3>" if table.title else "") + content


def _cell(cell: Cell) -> str:
    text = f"<span class={'none' if cell.faint else 'main'}>{_text(cell.main)}</span>"
    below = []
    if cell.below:
        below.append(f"<span>{_text(cell.below)}</span>")
    if cell.difference:
        below.append(f'<b class="{cell.tone}">{escape(cell.difference)}</b>')
    return text + (f"<small>{' '.join(below)}</small>" if below else "")


def _figure(figure: Figure) -> str:
    legend = "".join(
        f"<li>{swatch(series)}{_text(series.label)}</li>" for series in figure.legend()
    )
    charts = "".join(
        f"<div>{chart_svg(chart, f'{figure.name}-{number}')}</div>"
        for number, chart in enumerate(figure.charts)
    )
    note = f"<figcaption>{_text(figure.note)}</figcaption>" if figure.note else ""
    return (
        f"<figure><h3>{_text(figure.title)}</h3><ul class=legend>{legend}</ul>"
        f"<div class=charts>{charts}</div>{note}</figure>"
    )


def _picture(picture: Picture, pictures: Mapping[str, bytes]) -> str:
    head = f"<figure><h3>{_text(picture.title)}</h3>"
    if picture.missing:
        return f"{head}<p class=note>{_text(picture.missing)}</p></figure>"
    data = base64.b64encode(pictures[picture.name]).decode()
    title = escape(picture.title, quote=True)
    return (
        f'{head}<img alt="{title}" src="data:image/png;base64,{data}">'
        f"<figcaption>{_text(picture.note)}</figcaption></figure>"
    )


def _deviations(page: Page) -> str:
    items = "".join(
        f"<li value={each.number}><b>{_text(each.title)}</b> {_text(each.text)}</li>"
        for each in page.deviations
    )
    return (
        "<section id=deviations><h2>Deviations from the paper</h2>"
        "<p class=note>Numbers as in the documentation, which has all of them.</p>"
        f"<ol>{items}</ol></section>"
    )


def _appendix(page: Page) -> str:
    commands = "\n".join(page.commands)
    return (
        "<section id=runs><h2>Runs</h2>"
        + "".join(_tables(page.troubles))
        + _table(page.runs)
        + "<h3>Command</h3>"
        + f"<pre>{escape(page.command)}</pre>"
        + (
            f"<details><summary>The jobs one by one</summary><pre>{escape(commands)}</pre>"
            "</details>"
            if commands
            else ""
        )
        + "</section><section id=machine><h2>Versions and machine</h2>"
        + "".join(_tables(page.machine))
        + "</section>"
    )


def _text(text: str) -> str:
    """Escaped, with `code` in back-ticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
