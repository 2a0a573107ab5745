"""q(z|x) from potentials: perturb, argmax, score, and where tractable log-probabilities."""

from directmax.distributions._base import DiscreteDistribution
from directmax.distributions._categorical import Categorical
from directmax.distributions._enumeration import (
    DEFAULT_MAX_STATES,
    enumerate_states,
    number_of_states,
    state_block,
)
from directmax.distributions._gibbs_structure import Gibbs
from directmax.distributions._noise import SumOfGamma
from directmax.distributions._observed import observed_one_hot
from directmax.distributions._pairwise_binary import PairwiseBinary
from directmax.distributions._perturbed_argmax import Maximiser, PerturbedArgmax

__all__ = [
    "DEFAULT_MAX_STATES",
    "Categorical",
    "DiscreteDistribution",
    "Gibbs",
    "Maximiser",
    "PairwiseBinary",
    "PerturbedArgmax",
    "SumOfGamma",
    "enumerate_states",
    "number_of_states",
    "observed_one_hot",
    "state_block",
]
