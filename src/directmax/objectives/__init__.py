"""f(z), in nats, lower is better: any callable, and reconstruction with its fast tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from directmax._lazy import lazy_names

if TYPE_CHECKING:
    from directmax.objectives._attribute_reconstruction import (
        AttributeReconstruction as AttributeReconstruction,
    )
    from directmax.objectives._batched import Batched as Batched
    from directmax.objectives._batched import batched as batched
    from directmax.objectives._bernoulli import bernoulli_loss as bernoulli_loss
    from directmax.objectives._bernoulli import bernoulli_table as bernoulli_table
    from directmax.objectives._decision_tasks import DecisionTask as DecisionTask
    from directmax.objectives._decision_tasks import knapsack_task as knapsack_task
    from directmax.objectives._decision_tasks import matching_task as matching_task
    from directmax.objectives._decision_tasks import polynomial_costs as polynomial_costs
    from directmax.objectives._decision_tasks import portfolio_task as portfolio_task
    from directmax.objectives._decision_tasks import shortest_path_task as shortest_path_task
    from directmax.objectives._decision_tasks import (
        travelling_salesman_task as travelling_salesman_task,
    )
    from directmax.objectives._decisions import fenchel_young as fenchel_young
    from directmax.objectives._decisions import noise_contrastive as noise_contrastive
    from directmax.objectives._decisions import regret as regret
    from directmax.objectives._decisions import spo_plus as spo_plus
    from directmax.objectives._evaluate import Objective as Objective
    from directmax.objectives._evaluate import changed as changed
    from directmax.objectives._evaluate import evaluate as evaluate
    from directmax.objectives._evaluate import evaluate_many as evaluate_many
    from directmax.objectives._evaluate import real as real
    from directmax.objectives._evaluate import single_change_losses as single_change_losses
    from directmax.objectives._evaluate import state_losses as state_losses
    from directmax.objectives._evaluate import tabled as tabled
    from directmax.objectives._gaussian import gaussian_kl as gaussian_kl
    from directmax.objectives._likelihoods import gaussian_loss as gaussian_loss
    from directmax.objectives._likelihoods import logistic_loss as logistic_loss
    from directmax.objectives._likelihoods import unit_pixels as unit_pixels
    from directmax.objectives._linear_cost import LinearCost as LinearCost
    from directmax.objectives._linear_map import LinearMap as LinearMap
    from directmax.objectives._linear_map import is_factored as is_factored
    from directmax.objectives._mixed_reconstruction import (
        MixedReconstruction as MixedReconstruction,
    )
    from directmax.objectives._plain_reconstruction import (
        PlainReconstruction as PlainReconstruction,
    )
    from directmax.objectives._plain_reconstruction import all_values_decoded as all_values_decoded
    from directmax.objectives._plain_reconstruction import decoded as decoded
    from directmax.objectives._pool import SolutionPool as SolutionPool
    from directmax.objectives._reconstruction import FactoredDecoder as FactoredDecoder
    from directmax.objectives._reconstruction import Reconstruction as Reconstruction
    from directmax.objectives._with_cost import WithCost as WithCost

__all__, __getattr__, __dir__ = lazy_names(__name__)

LIKELIHOODS: dict[str, str] = {"gaussian": "gaussian_loss", "logistic": "logistic_loss"}
"""Of a pixel around its mean: name and function."""
BERNOULLI = "bernoulli"
"""The name of that of a binary pixel."""
