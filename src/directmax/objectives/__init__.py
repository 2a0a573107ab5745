"""f(z), in nats, lower is better: any callable, and reconstruction with its fast tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from directmax._lazy import lazy_names

if TYPE_CHECKING:
    from directmax.objectives._attribute_reconstruction import (
        AttributeReconstruction as AttributeReconstruction,
    )
    from directmax.objectives._bernoulli import bernoulli_loss as bernoulli_loss
    from directmax.objectives._bernoulli import bernoulli_table as bernoulli_table
    from directmax.objectives._evaluate import Objective as Objective
    from directmax.objectives._evaluate import evaluate as evaluate
    from directmax.objectives._evaluate import evaluate_many as evaluate_many
    from directmax.objectives._evaluate import single_change_losses as single_change_losses
    from directmax.objectives._evaluate import state_losses as state_losses
    from directmax.objectives._gaussian import gaussian_kl as gaussian_kl
    from directmax.objectives._likelihoods import gaussian_loss as gaussian_loss
    from directmax.objectives._likelihoods import logistic_loss as logistic_loss
    from directmax.objectives._likelihoods import unit_pixels as unit_pixels
    from directmax.objectives._mixed_reconstruction import (
        MixedReconstruction as MixedReconstruction,
    )
    from directmax.objectives._reconstruction import FactoredDecoder as FactoredDecoder
    from directmax.objectives._reconstruction import Reconstruction as Reconstruction

__all__, __getattr__, __dir__ = lazy_names(__name__)

LIKELIHOODS: dict[str, str] = {"gaussian": "gaussian_loss", "logistic": "logistic_loss"}
"""Of a pixel around its mean: name and function."""
