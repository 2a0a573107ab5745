"""The paper's encoder and decoder: one hidden layer each."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._validation import check_count


class Encoder(nn.Module):
    """x → linear → ReLU → linear → logits of n variables with k values.

    Args:
        num_pixels: d, the size of an image.
        num_variables: n ≥ 1.
        num_values: k ≥ 2.
        hidden: units of the hidden layer.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> Encoder(64, 1, 10)(torch.zeros(5, 64)).shape
        torch.Size([5, 1, 10])

    Reference: Lorberbom et al. 2019, section 5.
    """

    def __init__(
        self, num_pixels: int, num_variables: int, num_values: int, *, hidden: int = 300
    ) -> None:
        super().__init__()
        self.num_variables = check_count("num_variables", num_variables)
        self.num_values = check_count("num_values", num_values, minimum=2)
        self.layers = nn.Sequential(
            nn.Linear(check_count("num_pixels", num_pixels), check_count("hidden", hidden)),
            nn.ReLU(),
            nn.Linear(hidden, num_variables * num_values),
        )

    def forward(self, images: Float[Tensor, "b d"]) -> Float[Tensor, "b n k"]:
        """Logits of q(z|x)."""
        logits: Tensor = self.layers(images)
        return logits.unflatten(-1, (self.num_variables, self.num_values))


class Decoder(nn.Module):
    """One-hot z `(…, n, k)` → linear → ReLU → linear → logits of d pixels.

    Its first layer is linear, so it is a `FactoredDecoder`: objectives use its columns instead of
    multiplying by one-hot vectors.

    Args:
        num_variables: n ≥ 1.
        num_values: k ≥ 2.
        num_pixels: d, the size of an image.
        hidden: units of the hidden layer.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> Decoder(1, 10, 64)(torch.eye(10).unsqueeze(1)).shape
        torch.Size([10, 64])

    Reference: Lorberbom et al. 2019, section 5.
    """

    def __init__(
        self, num_variables: int, num_values: int, num_pixels: int, *, hidden: int = 300
    ) -> None:
        super().__init__()
        self.num_variables = check_count("num_variables", num_variables)
        self.num_values = check_count("num_values", num_values, minimum=2)
        self.first = nn.Linear(num_variables * num_values, check_count("hidden", hidden))
        self.last = nn.Linear(hidden, check_count("num_pixels", num_pixels))

    def rest(self, pre_activation: Float[Tensor, "... h"]) -> Float[Tensor, "... d"]:
        """From the first layer's output to pixel logits."""
        logits: Tensor = self.last(torch.relu(pre_activation))
        return logits

    def forward(self, z: Float[Tensor, "... n k"]) -> Float[Tensor, "... d"]:
        """Pixel logits of p(x|z)."""
        return self.rest(self.first(z.flatten(-2)))
