"""Sets of assignments with a linear score: the best one, and where tractable sums over all."""

from directmax.structures._base import Structure
from directmax.structures._listed import Listed
from directmax.structures._subsets import Subsets

__all__ = [
    "Listed",
    "Structure",
    "Subsets",
]
