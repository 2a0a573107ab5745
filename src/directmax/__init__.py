"""directmax: train through arg max.

The library's public names, imported on first use so that the command line starts without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from directmax._version import __version__

if TYPE_CHECKING:
    from directmax.distributions import Categorical, PairwiseBinary, PerturbedArgmax
    from directmax.estimators import (
        Arm,
        ClampedArgmax,
        CorrectedDirect,
        Direct,
        DisArm,
        Estimate,
        Estimator,
        Exact,
        GumbelRao,
        GumbelSoftmax,
        ImplicitMLE,
        LabelledDirect,
        LocalExpectation,
        Rebar,
        ReinMax,
        Relax,
        ScoreFunction,
        StraightThrough,
        Surrogate,
    )
    from directmax.gumbel import conditional_gumbel, sample_gumbel
    from directmax.laboratory import GradientComparison, GradientStatistics, compare_gradients
    from directmax.models import (
        AttributeDecoder,
        AttributeEncoder,
        AttributeVAE,
        Decoder,
        DiscreteVAE,
        Encoder,
        MixedEncoder,
        MixedVAE,
        PairwiseEncoder,
    )
    from directmax.objectives import (
        AttributeReconstruction,
        MixedReconstruction,
        Reconstruction,
    )
    from directmax.schedules import ExponentialDecay, GeometricDecay

_HOME = {
    "Arm": "estimators",
    "AttributeDecoder": "models",
    "AttributeEncoder": "models",
    "AttributeVAE": "models",
    "AttributeReconstruction": "objectives",
    "Categorical": "distributions",
    "ClampedArgmax": "estimators",
    "CorrectedDirect": "estimators",
    "Decoder": "models",
    "Direct": "estimators",
    "DisArm": "estimators",
    "DiscreteVAE": "models",
    "Encoder": "models",
    "Estimate": "estimators",
    "Estimator": "estimators",
    "Exact": "estimators",
    "ExponentialDecay": "schedules",
    "GeometricDecay": "schedules",
    "GradientComparison": "laboratory",
    "GradientStatistics": "laboratory",
    "GumbelRao": "estimators",
    "GumbelSoftmax": "estimators",
    "ImplicitMLE": "estimators",
    "LabelledDirect": "estimators",
    "LocalExpectation": "estimators",
    "MixedEncoder": "models",
    "MixedReconstruction": "objectives",
    "MixedVAE": "models",
    "PairwiseBinary": "distributions",
    "PairwiseEncoder": "models",
    "PerturbedArgmax": "distributions",
    "Rebar": "estimators",
    "Reconstruction": "objectives",
    "ReinMax": "estimators",
    "Relax": "estimators",
    "ScoreFunction": "estimators",
    "StraightThrough": "estimators",
    "Surrogate": "estimators",
    "compare_gradients": "laboratory",
    "conditional_gumbel": "gumbel",
    "sample_gumbel": "gumbel",
}

__all__ = [
    "Arm",
    "AttributeDecoder",
    "AttributeEncoder",
    "AttributeReconstruction",
    "AttributeVAE",
    "Categorical",
    "ClampedArgmax",
    "CorrectedDirect",
    "Decoder",
    "Direct",
    "DisArm",
    "DiscreteVAE",
    "Encoder",
    "Estimate",
    "Estimator",
    "Exact",
    "ExponentialDecay",
    "GeometricDecay",
    "GradientComparison",
    "GradientStatistics",
    "GumbelRao",
    "GumbelSoftmax",
    "ImplicitMLE",
    "LabelledDirect",
    "LocalExpectation",
    "MixedEncoder",
    "MixedReconstruction",
    "MixedVAE",
    "PairwiseBinary",
    "PairwiseEncoder",
    "PerturbedArgmax",
    "Rebar",
    "Reconstruction",
    "ReinMax",
    "Relax",
    "ScoreFunction",
    "StraightThrough",
    "Surrogate",
    "__version__",
    "compare_gradients",
    "conditional_gumbel",
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
