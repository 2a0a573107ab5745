"""directmax: train through arg max.

The library's public names, imported on first use so that the command line starts without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from directmax._version import __version__

if TYPE_CHECKING:
    from directmax.distributions import Categorical, PairwiseBinary
    from directmax.estimators import (
        ClampedArgmax,
        Direct,
        Estimate,
        Estimator,
        Exact,
        GumbelSoftmax,
        LocalExpectation,
    )
    from directmax.gumbel import sample_gumbel
    from directmax.models import Decoder, DiscreteVAE, Encoder, PairwiseEncoder
    from directmax.objectives import Reconstruction
    from directmax.schedules import ExponentialDecay, GeometricDecay

_HOME = {
    "Categorical": "distributions",
    "ClampedArgmax": "estimators",
    "Decoder": "models",
    "Direct": "estimators",
    "DiscreteVAE": "models",
    "Encoder": "models",
    "Estimate": "estimators",
    "Estimator": "estimators",
    "Exact": "estimators",
    "ExponentialDecay": "schedules",
    "GeometricDecay": "schedules",
    "GumbelSoftmax": "estimators",
    "LocalExpectation": "estimators",
    "PairwiseBinary": "distributions",
    "PairwiseEncoder": "models",
    "Reconstruction": "objectives",
    "sample_gumbel": "gumbel",
}

__all__ = [
    "Categorical",
    "ClampedArgmax",
    "Decoder",
    "Direct",
    "DiscreteVAE",
    "Encoder",
    "Estimate",
    "Estimator",
    "Exact",
    "ExponentialDecay",
    "GeometricDecay",
    "GumbelSoftmax",
    "LocalExpectation",
    "PairwiseBinary",
    "PairwiseEncoder",
    "Reconstruction",
    "__version__",
    "sample_gumbel",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f"directmax.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'directmax' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
