"""What training keeps beside the network of q(z|x), written into its weights."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax.models._attribute_networks import AttributeEncoder


@torch.no_grad()
def settle_weights(
    encoder: AttributeEncoder, average: nn.Module | None, calibration: Float[Tensor, "2 n"] | None
) -> None:
    """Give an encoder the mean weights, and scale and shift the log-odds of its last layer.

    Args:
        encoder: whose `classify` changes.
        average: layers like its `classifier`.
        calibration: scale and shift of every attribute's log-odds.
    """
    if average is not None:
        present = encoder.classifier.parameters()
        for own, mean in zip(present, average.parameters(), strict=True):
            own.copy_(mean)
    if calibration is None:
        return
    scale, shift = calibration
    weight, bias = encoder.potentials.weight, encoder.potentials.bias
    rows, constants = weight.unflatten(0, (-1, 2)), bias.unflatten(0, (-1, 2))  # (n, off or on, …)
    rows[:, 1] = (rows[:, 1] - rows[:, 0]) * scale.unsqueeze(-1)
    constants[:, 1] = (constants[:, 1] - constants[:, 0]) * scale + shift
    rows[:, 0], constants[:, 0] = 0.0, 0.0
