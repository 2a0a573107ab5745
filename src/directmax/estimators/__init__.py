"""E_q[f] as a value whose gradient is the estimator's; one file a family."""

from directmax.estimators._base import Estimate, Estimator
from directmax.estimators._clamped_argmax import ClampedArgmax
from directmax.estimators._direct import Direct
from directmax.estimators._exact import Exact
from directmax.estimators._gumbel_softmax import GumbelSoftmax
from directmax.estimators._local_expectation import LocalExpectation

ESTIMATORS: dict[str, type[Estimator]] = {
    "clamped-argmax": ClampedArgmax,
    "direct": Direct,
    "exact": Exact,
    "gumbel-softmax": GumbelSoftmax,
    "local-expectation": LocalExpectation,
}
"""Every estimator by its name on the command line."""

__all__ = [
    "ESTIMATORS",
    "ClampedArgmax",
    "Direct",
    "Estimate",
    "Estimator",
    "Exact",
    "GumbelSoftmax",
    "LocalExpectation",
]
