"""Codebooks: a vector for every value of every variable, as the first layer of a decoder."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._validation import check_count, check_flag, check_real, check_tensor
from directmax.models._networks import Decoder, check_like
from directmax.objectives import LinearMap


class Codebook(LinearMap):
    r"""Flattened one-hot z `(…, n·k)` → the chosen vectors, one after the other → linear.

    A vector e_ij of D numbers for each value j of each variable i, and h = Σ_i P_i e_{i,z_i} + b.
    As a layer of z it is linear, W with the columns P_i e_ij, so a decoder whose `first` it is has
    fast tables: all n·k columns are one product, and a change of one variable adds one of them.

    Args:
        num_variables: n ≥ 1.
        num_values: k ≥ 2.
        dimensions: D ≥ 1, numbers in a vector.
        out_features: h; None leaves the linear layer out: then h = n·D, the vectors themselves.
        shared: one codebook of k vectors for all variables, as in VQ-VAE.

    Attributes:
        vectors: e, `(n, k, D)`, or `(1, k, D)` where it is shared; standard normal at the start.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> codebook = Codebook(8, 16, 4)
        >>> z = torch.eye(16)[torch.zeros(5, 8, dtype=torch.int64)]  # the first value, everywhere
        >>> torch.equal(codebook(z.flatten(1)).view(5, 8, 4)[0], codebook.vectors[:, 0])
        True

    Reference: van den Oord et al. 2017 (VQ-VAE).
    """

    def __init__(
        self,
        num_variables: int,
        num_values: int,
        dimensions: int,
        *,
        out_features: int | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__()
        n = self.num_variables = check_count("num_variables", num_variables)
        k = self.num_values = check_count("num_values", num_values, minimum=2)
        size = self.dimensions = check_count("dimensions", dimensions)
        self.shared = check_flag("shared", shared)
        self.vectors = nn.Parameter(torch.randn(1 if shared else n, k, size))
        self.projection: Tensor | None = None
        self.bias: Tensor | None = None
        if out_features is not None:
            h = check_count("out_features", out_features)
            # The scale of an nn.Linear of n·D inputs.
            most = 1 / math.sqrt(n * size)
            self.projection = nn.Parameter(torch.empty(h, n, size).uniform_(-most, most))
            self.bias = nn.Parameter(torch.empty(h).uniform_(-most, most))

    @property
    def weight(self) -> Float[Tensor, "h m"]:  # type: ignore[override]
        """W, with a column for each value of each variable, m = n·k."""
        vectors = self.vectors.expand(self.num_variables, -1, -1)  # (n, k, D)
        if self.projection is None:
            return torch.block_diag(*vectors.transpose(1, 2))
        blocks = torch.bmm(self.projection.transpose(0, 1), vectors.transpose(1, 2))  # (n, h, k)
        return blocks.transpose(0, 1).flatten(1)

    def forward(self, z: Float[Tensor, "... m"]) -> Float[Tensor, "... h"]:
        """The vectors of one-hot z, or a mixture of them, projected.

        Raises:
            TypeError: z is no floating-point tensor.
            ValueError: it does not end in n·k.
        """
        check_tensor("z", check_real("z", z), (self.num_variables * self.num_values,), "n·k")
        check_like("z", z, self, "codebook")
        if self.projection is not None:
            return super().forward(z)
        rows = z.unflatten(-1, (self.num_variables, self.num_values)).unsqueeze(-2)  # (…, n, 1, k)
        return (rows @ self.vectors).squeeze(-2).flatten(-2)


class CodebookDecoder(Decoder):
    """One-hot z `(…, n, k)` → codebook → linear → ReLU → linear → logits of d pixels.

    A `Decoder` whose first layer goes through vectors of D numbers; it costs what that one costs.
    With another network behind the codebook, make a `Codebook` the `first` of a decoder of yours.

    Args:
        num_variables: n ≥ 1.
        num_values: k ≥ 2.
        num_pixels: d, the size of an image.
        dimensions: D ≥ 1, numbers in a vector.
        shared: one codebook of k vectors for all variables.
        hidden: units of the hidden layer.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> CodebookDecoder(8, 16, 64, dimensions=4)(torch.zeros(5, 8, 16)).shape
        torch.Size([5, 64])
    """

    def __init__(
        self,
        num_variables: int,
        num_values: int,
        num_pixels: int,
        *,
        dimensions: int = 16,
        shared: bool = False,
        hidden: int = 300,
    ) -> None:
        super().__init__(num_variables, num_values, num_pixels, hidden=hidden)
        self.first = Codebook(
            num_variables, num_values, dimensions, out_features=hidden, shared=shared
        )
