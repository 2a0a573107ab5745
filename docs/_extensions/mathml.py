"""Mathematics as MathML, which browsers draw themselves: no script, nothing fetched."""

from __future__ import annotations

import html
import re

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

TAG = re.compile(r"\\tag\{([^}]*)\}")
converter = LatexToMathML(fancy_error=False)
logger = logging.getLogger(__name__)


def mathml(latex: str, node: nodes.Node, *, display: bool) -> str:
    """One formula; what cannot be converted is a warning of the build, and stays LaTeX."""
    try:
        return converter.convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        logger.warning("no MathML for %r: %s", latex, error, location=node)
        return html.escape(latex)


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(mathml(node.astext(), node, display=False))
    raise nodes.SkipNode


def visit_display(self: HTML5Translator, node: nodes.math_block) -> None:
    r"""Write a formula on lines of its own, with the number of its `\tag`."""
    latex = node.astext()
    tag = TAG.search(latex)
    number = f'<span class="eqno">({html.escape(tag[1])})</span>' if tag else ""
    formula = mathml(TAG.sub("", latex).strip(), node, display=True)
    self.body.append(f'<div class="math">{formula}{number}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
