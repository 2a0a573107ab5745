"""Sphinx configuration. Nothing is fetched: the build works offline."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from directmax import __version__
from directmax.estimators import ESTIMATORS
from directmax.solvers import SOLVERS

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "directmax"
author = "The directmax developers"
project_copyright = author
version = release = __version__

extensions = [
    "mathml",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
sphinx_gallery_conf = {  # runs examples/gallery, and fails where one of its programs does
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "ExampleTitleSortKey",
    "image_scrapers": ("svg.scrape",),
    "write_computation_times": False,  # of the machine that built the pages, by a script of a CDN
    "download_all_examples": False,
    "parallel": 2,
    "abort_on_example_error": True,
}
html_theme = "furo"
html_title = f"directmax {__version__}"
html_static_path = ["_static"]
html_css_files = ["directmax.css"]
html_math_renderer = "mathml"
smartquotes_action = "q"  # dashes stay as they are: --flag


def table(*rows: tuple[str, ...]) -> str:
    """In Markdown; the first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


myst_enable_extensions = ["amsmath", "deflist", "dollarmath", "substitution"]
myst_substitutions = {  # tables that follow from the declarations
    "estimators": table(
        ("", "bias", "needs", "$f$ for a problem and sample"),
        *((f"`{e.class_name}`", e.bias, e.needs, e.evaluations) for e in ESTIMATORS.values()),
    ),
    "solvers": table(
        ("name", "potentials", "n", "when"),
        *(
            (f"`{name}`", r"$h_{ij} \ge 0$" if s.supermodular_only else "any", s.variables, s.when)
            for name, s in SOLVERS.items()
        ),
    ),
}
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
# Docstrings use single backticks for code, as in Markdown.
default_role = "code"

ARRAY = re.compile(
    r"(?:jaxtyping\.)?\b(?:Float|Float32|Int64|UInt8)"
    r"\[(?:torch\.|np\.|numpy\.)?(Tensor|ndarray), [^\[\]]*\]"
)
HIDDEN_COLON = "\ue000"
BARS = re.compile(r"\|(\S(?:[^|`]*\S)?)\|")  # |a|, which would be a substitution
PRIVATE = re.compile(r"\b(?:torch|(?:directmax(?:\.\w+)*))\.(?=[A-Z])")


def plain_arrays(text: str | None) -> str | None:
    """`Float[Tensor, '*s b']` → `Tensor`: the shapes are said in the docstring."""
    return None if text is None else ARRAY.sub(r"\1", text)


def process_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str | None, str | None]:
    """Write tensors in signatures without jaxtyping."""
    return plain_arrays(signature), plain_arrays(returns)


def process_docstring(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Markdown tables to reStructuredText, plain types, and the shapes left out of signatures."""
    result: list[str] = []
    table: list[list[str]] = []
    for line in [*lines, ""]:
        text = line.strip()
        if text.startswith("|") and text.endswith("|"):
            table.append([cell.strip() for cell in text.strip("|").split("|")])
            continue
        if table:
            result += list_table(table)
            table = []
        result.append(line)
    for i, line in enumerate(result):
        if line.startswith(":vartype"):
            result[i] = PRIVATE.sub("", ARRAY.sub(r"\1", line))
    result = [BARS.sub(r"\|\1\|", line) for line in result]
    lines[:] = [line.replace(HIDDEN_COLON, ":") for line in result] + shapes(obj, what)


def list_table(rows: list[list[str]]) -> list[str]:
    """The rows of a Markdown table, the second one dashes, as a list-table."""
    lines = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in (rows[0], *rows[2:]):
        lines += [f"   {'* -' if not i else '  -'} {cell}" for i, cell in enumerate(row)]
    return [*lines, ""]


def shapes(obj: Any, what: str) -> list[str]:
    """A line with the shapes of the annotations of a function or property."""
    function = obj.fget if isinstance(obj, property) else getattr(obj, "func", obj)
    if what not in ("function", "method", "property") or not inspect.isroutine(function):
        return []
    found = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        if match := re.fullmatch(r"""\w+\[\s*Tensor,\s*(["'])\s*(.*?)\1\s*\]""", str(annotation)):
            found[name] = f"({', '.join(match[2].split())})"
    said = ", ".join(f"``{name}`` ``{shape}``" for name, shape in found.items() if name != "return")
    returned = f"→ ``{found['return']}``" if "return" in found else ""
    return ["", f"Shapes: {f'{said} {returned}'.strip()}", ""] if found else []


def keep_colons(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Keep napoleon from reading "Direct: central difference." as a type and a description."""
    if what in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(":", HIDDEN_COLON)


def plain_properties(app: Sphinx, doctree: nodes.document) -> None:
    """Write the types of properties without jaxtyping."""
    for node in doctree.findall(addnodes.desc_annotation):
        if ARRAY.search(text := node.astext()):
            node.children = [nodes.Text(ARRAY.sub(r"\1", text))]


def dashes_of_fields(app: Sphinx, doctree: nodes.document) -> None:
    """Write the dash that Sphinx puts behind the name of an argument, which smart quotes would."""
    for node in [node for node in doctree.findall(nodes.Text) if node == " -- "]:
        node.parent.replace(node, nodes.Text(" – "))


def setup(app: Sphinx) -> None:
    """Connect the hooks."""
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-process-docstring", process_docstring, priority=600)  # after napoleon
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon
    app.connect("doctree-read", plain_properties)
    app.connect("doctree-read", dashes_of_fields)
