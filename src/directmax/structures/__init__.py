"""Sets of assignments with a linear score: the best one, and where tractable sums over all."""

from directmax.structures._base import Structure
from directmax.structures._chain import Chain
from directmax.structures._listed import Listed
from directmax.structures._matching import Matching, Ranking
from directmax.structures._paths import Paths
from directmax.structures._subsets import Subsets

__all__ = [
    "Chain",
    "Listed",
    "Matching",
    "Paths",
    "Ranking",
    "Structure",
    "Subsets",
]
