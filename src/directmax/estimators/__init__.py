"""E_q[f] as a value whose gradient is the estimator's; one file a family."""

from directmax.estimators._arm import Arm, DisArm
from directmax.estimators._base import Estimate, Estimator
from directmax.estimators._clamped_argmax import ClampedArgmax
from directmax.estimators._corrected_direct import CorrectedDirect
from directmax.estimators._direct import Direct
from directmax.estimators._exact import Exact
from directmax.estimators._gumbel_softmax import GumbelSoftmax
from directmax.estimators._implicit_mle import ImplicitMLE
from directmax.estimators._labelled_direct import LabelledDirect
from directmax.estimators._local_expectation import LocalExpectation
from directmax.estimators._noise_score import NoiseScore
from directmax.estimators._rebar import Rebar, Relax, Surrogate
from directmax.estimators._score_function import ScoreFunction
from directmax.estimators._straight_through import GumbelRao, ReinMax, StraightThrough

ESTIMATORS: dict[str, type[Estimator]] = {
    "arm": Arm,
    "clamped-argmax": ClampedArgmax,
    "corrected-direct": CorrectedDirect,
    "direct": Direct,
    "disarm": DisArm,
    "exact": Exact,
    "gumbel-rao": GumbelRao,
    "gumbel-softmax": GumbelSoftmax,
    "implicit-mle": ImplicitMLE,
    "local-expectation": LocalExpectation,
    "rebar": Rebar,
    "reinmax": ReinMax,
    "relax": Relax,
    "score-function": ScoreFunction,
    "straight-through": StraightThrough,
}
"""Every estimator by its name on the command line."""

__all__ = [
    "ESTIMATORS",
    "Arm",
    "ClampedArgmax",
    "CorrectedDirect",
    "Direct",
    "DisArm",
    "Estimate",
    "Estimator",
    "Exact",
    "GumbelRao",
    "GumbelSoftmax",
    "ImplicitMLE",
    "LabelledDirect",
    "LocalExpectation",
    "NoiseScore",
    "Rebar",
    "ReinMax",
    "Relax",
    "ScoreFunction",
    "StraightThrough",
    "Surrogate",
]
