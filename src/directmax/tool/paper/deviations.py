"""Deviations from the paper that matter to its tables and figures: those of `deviations.md`.

`docs/deviations.md` has all of them, by the same numbers; a test compares the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Deviation:
    """One deviation.

    Attributes:
        number: in `docs/deviations.md`.
        title: its first words there.
        text: what is different.
        items: which tables and figures it touches.
    """

    number: int
    title: str
    text: str
    items: tuple[str, ...]


_ENTRY = re.compile(r"^(\d+)\. \*(.+?)\.\* (.+) \[(.+)\]$", re.MULTILINE)
DEVIATIONS = tuple(
    Deviation(int(number), title, text, tuple(items.split()))
    for number, title, text, items in _ENTRY.findall(
        Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    )
)


def deviations_of(items: tuple[str, ...]) -> list[Deviation]:
    """Those that touch at least one of some tables and figures.

    Example:
        >>> [each.number for each in deviations_of(("figure1",))]
        [4, 6, 14, 27]
    """
    return [each for each in DEVIATIONS if set(each.items) & set(items)]
