"""A section of the report, and the cells that compare with published numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from directmax.tool.look.content import NOTHING, Cell, Figure, Picture, Table
from directmax.tool.look.spread import Spread


@dataclass(frozen=True)
class Section:
    """An item of the paper.

    Attributes:
        name: of the item.
        title: over it.
        caption: what is in it.
        source: what was published and how.
        claims: what the paper says.
        findings: sentences that the numbers say; the most important ones for the top of the page.
        notes: of the item, such as that it has not been run.
    """

    name: str = ""
    title: str = ""
    caption: str = ""
    source: str = ""
    claims: Sequence[str] = ()
    findings: Sequence[str] = ()
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    pictures: Sequence[Picture] = ()


def compared(
    value: Spread | None,
    reference: float | None,
    name: str,
    *,
    unit: str = "",
    lower_is_better: bool = True,
) -> Cell:
    """A cell with a published number and the difference to it.

    Args:
        value: ours; None while there is none.
        reference: the published number; None if there is none.
        name: what it is called.
        unit: after ours.
        lower_is_better: decides the tone.
    """
    below = "" if reference is None else f"{name} {reference:.2f}"
    if value is None:
        return Cell(NOTHING, below)
    if reference is None:
        return Cell(f"{value}{unit}")
    difference = round(value.mean - reference, 2)
    favourable = difference <= 0 if lower_is_better else difference >= 0
    return Cell(f"{value}{unit}", below, signed(difference), "good" if favourable else "bad")


def verdict(claim: str, holds: bool, ours: str = "", *, published: bool = True) -> str:
    """A sentence that says whether a claim holds, and what is the case.

    Args:
        claim: a clause.
        holds: whether the numbers say so.
        ours: what they say.
        published: whether the claim is one of the paper about these data.

    Example:
        >>> verdict("direct is ahead", False, "it is 2 nats behind")
        'Does not hold: direct is ahead; here it is 2 nats behind.'
    """
    words = ("Holds", "Does not hold") if published else ("So it is", "It is not so")
    text = f"{words[not holds]}: {claim}"
    return f"{text}; here {ours}." if ours else f"{text}."


def signed(value: float) -> str:
    """A number with its sign, a true minus, and no sign at zero.

    Example:
        >>> signed(0.5), signed(-0.5), signed(-0.001)
        ('+0.50', '−0.50', '0.00')
    """
    text = f"{value:+.2f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")
