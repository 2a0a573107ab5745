"""Pages from templates: data in, text out.

The templates are files of `templates/`. HTML is escaped; a page needs nothing beside itself.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from html import escape
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from directmax.tool.look.content import Chart, Series, with_notes
from directmax.tool.look.palette import css


def render(template: str, **values: Any) -> str:
    """A page as text.

    Args:
        template: the name of its file; what ends in .html is escaped.
        values: what the template names.

    Example:
        >>> "<title>a &lt; b</title>" in render("page.html", title="a < b")
        True
    """
    return environment().get_template(template).render(values).rstrip() + "\n"


@cache
def environment() -> Environment:
    """The one template engine, with its filters."""
    made = Environment(
        loader=PackageLoader("directmax.tool.look"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "bar": lambda text: text.replace("|", "\\|"),  # of a table in Markdown
        "chart": _chart,
        "code": _code,
        "data_uri": _data_uri,
        "drawing": Markup,  # an SVG of `figures`
        "short": _short,
        "swatch": _swatch,
        "with_notes": with_notes,
    }
    made.globals["palette"] = Markup(css())
    return made


def _chart(chart: Chart, name: str) -> Markup:
    from directmax.tool.look.figures import chart_svg

    return Markup(chart_svg(chart, name))


def _swatch(series: Series) -> Markup:
    from directmax.tool.look.figures import swatch

    return Markup(swatch(series))


def _code(text: str) -> Markup:
    """Escaped, with `code` in back-ticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _short(title: str) -> str:
    """The part of a title before its colon, for the navigation."""
    return re.split(r"[:.·]", title)[0].strip()
