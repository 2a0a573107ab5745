"""f(z), in nats, lower is better: any callable, and reconstruction with its fast tables."""

from directmax.objectives._bernoulli import bernoulli_loss, bernoulli_table
from directmax.objectives._evaluate import (
    Objective,
    evaluate,
    single_change_losses,
    state_losses,
)
from directmax.objectives._mixed_reconstruction import MixedReconstruction
from directmax.objectives._reconstruction import FactoredDecoder, Reconstruction

__all__ = [
    "FactoredDecoder",
    "MixedReconstruction",
    "Objective",
    "Reconstruction",
    "bernoulli_loss",
    "bernoulli_table",
    "evaluate",
    "single_change_losses",
    "state_losses",
]
