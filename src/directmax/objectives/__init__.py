"""f(z), in nats, lower is better: any callable, and reconstruction with its fast tables."""

from directmax.objectives._attribute_reconstruction import AttributeReconstruction
from directmax.objectives._batched import Batched, batched
from directmax.objectives._bernoulli import bernoulli_loss, bernoulli_table
from directmax.objectives._evaluate import (
    Objective,
    evaluate,
    evaluate_many,
    real,
    single_change_losses,
    state_losses,
)
from directmax.objectives._gaussian import gaussian_kl
from directmax.objectives._likelihoods import gaussian_loss, logistic_loss, unit_pixels
from directmax.objectives._linear_cost import LinearCost
from directmax.objectives._mixed_reconstruction import MixedReconstruction
from directmax.objectives._reconstruction import FactoredDecoder, Reconstruction

__all__ = [
    "AttributeReconstruction",
    "Batched",
    "FactoredDecoder",
    "LinearCost",
    "MixedReconstruction",
    "Objective",
    "Reconstruction",
    "batched",
    "bernoulli_loss",
    "bernoulli_table",
    "evaluate",
    "evaluate_many",
    "gaussian_kl",
    "gaussian_loss",
    "logistic_loss",
    "real",
    "single_change_losses",
    "state_losses",
    "unit_pixels",
]
