"""Words to choose from, with a hint when one is misspelt. Does not import torch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

LONGEST = 100
"""Letters of a wrong word that are shown."""


def check_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """Return `value` if it is one of `choices`; else say which there are, and the nearest.

    Raises:
        ValueError: `value` is none of them.

    Example:
        >>> check_choice("estimator", "dirct", ("direct", "exact"))
        Traceback (most recent call last):
        ...
        ValueError: unknown estimator 'dirct': choose from direct, exact; did you mean 'direct'?
    """
    if isinstance(value, str) and value in choices:
        return value
    near = difflib.get_close_matches(str(value).lower(), choices, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    got = repr(str(value)[:LONGEST])  # in one line
    raise ValueError(f"unknown {name} {got}: choose from {', '.join(choices)}{hint}")
