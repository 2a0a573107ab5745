"""Sets of assignments with a linear score: the best one, and where tractable sums over all."""

from directmax.structures._base import Structure
from directmax.structures._chain import Chain
from directmax.structures._knapsack import Knapsack
from directmax.structures._listed import Listed
from directmax.structures._matching import Matching, Ranking
from directmax.structures._milp import Milp
from directmax.structures._pairwise import Pairwise
from directmax.structures._paths import Paths
from directmax.structures._spanning_tree import SpanningTree
from directmax.structures._states import all_states
from directmax.structures._subsets import Subsets
from directmax.structures._tours import Tours
from directmax.structures._trees import Arborescence, ProjectiveTree

__all__ = [
    "Arborescence",
    "Chain",
    "Knapsack",
    "Listed",
    "Matching",
    "Milp",
    "Pairwise",
    "Paths",
    "ProjectiveTree",
    "Ranking",
    "SpanningTree",
    "Structure",
    "Subsets",
    "Tours",
    "all_states",
]
