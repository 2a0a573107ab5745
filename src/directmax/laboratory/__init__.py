"""Measure gradient estimators: bias, variance and cost, against the enumerated gradient."""

from directmax.laboratory._compare import compare_gradients
from directmax.laboratory._gradients import Gradients, ParameterGradients, PotentialGradients
from directmax.laboratory._measure import (
    Reference,
    average_reference,
    exact_reference,
    measure_gradient,
)
from directmax.laboratory._results import GradientComparison, GradientStatistics, Measured
from directmax.laboratory._settings import Point, Setting

__all__ = [
    "GradientComparison",
    "GradientStatistics",
    "Gradients",
    "Measured",
    "ParameterGradients",
    "Point",
    "PotentialGradients",
    "Reference",
    "Setting",
    "average_reference",
    "compare_gradients",
    "exact_reference",
    "measure_gradient",
]
