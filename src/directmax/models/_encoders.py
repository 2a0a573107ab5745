"""The kinds of encoders. Does not import torch."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderKind:
    """What is known of an encoder without importing it.

    Attributes:
        text: what its variables are.
        structure: whether its posterior is the Gibbs distribution of a structure with exact sums.
        variables: how many, where nothing is said.
        values: of n variables, where nothing is said.
        shown: these in words.

    Example:
        >>> ENCODERS["tree"].values(8)
        9
    """

    text: str
    structure: bool = False
    variables: int = 15
    values: Callable[[int], int] = lambda n: 2
    shown: str = "2"


ENCODERS: dict[str, EncoderKind] = {
    "independent": EncoderKind("", variables=1, values=lambda n: 10, shown="10"),
    "pairwise": EncoderKind("binary variables with couplings of any sign"),
    "supermodular": EncoderKind("couplings of 0 or more"),
    "subset": EncoderKind("binary variables of which a fixed number is on", structure=True),
    "chain": EncoderKind(
        "couplings of neighbours, the same for all images",
        structure=True,
        variables=10,
        values=lambda n: 4,
        shown="4",
    ),
    "matching": EncoderKind(
        "no two variables have the same value",
        structure=True,
        variables=8,
        values=lambda n: n,
        shown="n",
    ),
    "tree": EncoderKind(
        "the value of a variable is its head in a tree",
        structure=True,
        variables=8,
        values=lambda n: n + 1,
        shown="n + 1",
    ),
}
"""By name."""

COUPLED = tuple(
    name for name, kind in ENCODERS.items() if name != "independent" and not kind.structure
)
"""Those of coupled binary variables, whose argmax a solver finds."""
