"""f(z), in nats, lower is better: any callable, and reconstruction with its fast tables."""

from directmax.objectives._attribute_reconstruction import AttributeReconstruction
from directmax.objectives._bernoulli import bernoulli_loss, bernoulli_table
from directmax.objectives._decision_tasks import (
    DecisionTask,
    knapsack_task,
    matching_task,
    polynomial_costs,
    shortest_path_task,
)
from directmax.objectives._decisions import fenchel_young, noise_contrastive, regret, spo_plus
from directmax.objectives._evaluate import (
    Objective,
    evaluate,
    evaluate_many,
    single_change_losses,
    state_losses,
)
from directmax.objectives._gaussian import gaussian_kl
from directmax.objectives._likelihoods import gaussian_loss, logistic_loss, unit_pixels
from directmax.objectives._mixed_reconstruction import MixedReconstruction
from directmax.objectives._reconstruction import FactoredDecoder, Reconstruction

__all__ = [
    "AttributeReconstruction",
    "DecisionTask",
    "FactoredDecoder",
    "MixedReconstruction",
    "Objective",
    "Reconstruction",
    "bernoulli_loss",
    "bernoulli_table",
    "evaluate",
    "evaluate_many",
    "fenchel_young",
    "gaussian_kl",
    "gaussian_loss",
    "knapsack_task",
    "logistic_loss",
    "matching_task",
    "noise_contrastive",
    "polynomial_costs",
    "regret",
    "shortest_path_task",
    "single_change_losses",
    "spo_plus",
    "state_losses",
    "unit_pixels",
]
