"""Names of a package that are imported on first use. Does not import torch."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from typing import Any


def lazy_names(package: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """`__all__`, `__getattr__` and `__dir__` of a package whose names come on first use.

    The names are those that the package's `__init__.py` imports `if TYPE_CHECKING`: one list, which
    type checkers read too; for them a star in place of the names would stand for nothing.

    Args:
        package: `__name__` of the package, while it is imported.
    """
    spec = sys.modules[package].__spec__
    source = getattr(spec.loader, "get_source")(package) if spec else ""  # noqa: B009
    homes: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            for each in node.body:
                if isinstance(each, ast.ImportFrom) and each.module:
                    homes |= dict.fromkeys((alias.name for alias in each.names), each.module)

    def resolve(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return sorted(homes), resolve, lambda: sorted({*vars(sys.modules[package]), *homes})
