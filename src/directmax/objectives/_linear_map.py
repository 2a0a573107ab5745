"""First layers of decoders: a linear layer, or a module that is one."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class LinearMap(nn.Module):
    """A layer x → W x + b whose weight is computed, to be the `first` of a decoder.

    A subclass gives `weight` `(h, n·k)` and `bias` `(h,)` or None, as attributes or properties;
    both may depend on parameters in any way. Then tables need its columns only, as of `nn.Linear`.

    Example:
        >>> import torch
        >>> class Tied(LinearMap):  # one number for each value
        ...     bias = None
        ...     def __init__(self, values: int, hidden: int) -> None:
        ...         super().__init__()
        ...         self.numbers, self.hidden = nn.Parameter(torch.randn(values)), hidden
        ...     @property
        ...     def weight(self) -> Tensor:
        ...         return self.numbers.expand(self.hidden, -1)
        >>> Tied(10, 64)(torch.eye(10)).shape
        torch.Size([10, 64])
    """

    weight: Tensor
    bias: Tensor | None

    def forward(self, z: Float[Tensor, "... m"]) -> Float[Tensor, "... h"]:
        """W z + b of flattened one-hot assignments."""
        return F.linear(z, self.weight, self.bias)


First = nn.Linear | LinearMap
"""What the first layer of a decoder with fast tables may be."""


def is_factored(decoder: object) -> bool:
    """Whether a decoder has a linear layer `first` and a method `rest` for what follows.

    Example:
        >>> is_factored(nn.Linear(4, 4))
        False
    """
    # Not of `First`: the compiler of torch 2.8 takes no union of types that is made elsewhere.
    linear = isinstance(getattr(decoder, "first", None), (nn.Linear, LinearMap))
    return linear and callable(getattr(decoder, "rest", None))
