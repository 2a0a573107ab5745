"""Encoders whose posterior is the Gibbs distribution of a structure, by name."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._choices import check_choice
from directmax._validation import check_count
from directmax.distributions import Gibbs
from directmax.models._networks import StructuredEncoder, check_pixels
from directmax.structures import Arborescence, Chain, Matching, Structure, Subsets


class ChainEncoder(StructuredEncoder):
    r"""A `StructuredEncoder` on sequences, with transitions that are learned.

    The network's outputs are the scores of the states of every place; the transitions into a place
    are parameters, the same for all images, and 0 at the start: independent variables. The prior is
    uniform on all sequences.

    Args:
        num_pixels: d, the size of an image.
        length: n ≥ 1.
        states: k ≥ 2.
        hidden: units of the hidden layer.
        trunk: as of `Encoder`.

    Raises:
        TypeError, ValueError: a size that is no integer or too small.

    Example:
        >>> encoder = ChainEncoder(64, 5, 3)
        >>> encoder(torch.zeros(2, 64)), encoder.transitions.shape
        (Gibbs(batch_size=2, Chain(5, 3)), torch.Size([4, 3, 3]))

    Reference: Lafferty, McCallum and Pereira 2001 (the chain).
    """

    def __init__(
        self,
        num_pixels: int,
        length: int,
        states: int,
        *,
        hidden: int = 300,
        trunk: nn.Module | None = None,
    ) -> None:
        super().__init__(num_pixels, Chain(length, states), hidden=hidden, trunk=trunk)
        self.transitions = nn.Parameter(torch.zeros(max(1, length - 1), states, states))

    def forward(self, images: Float[Tensor, "b d"]) -> Gibbs:
        """q(z|x)."""
        length, states = self.structure.shape
        check_pixels(images, self.num_pixels, self)
        weights = self.layers(images).unflatten(-1, (length, states))
        return Gibbs(weights, Chain(length, states, self.transitions), validate=False)


def structured_encoder(
    kind: str,
    num_pixels: int,
    num_variables: int,
    num_values: int,
    *,
    chosen: int = 1,
    hidden: int = 300,
    trunk: nn.Module | None = None,
) -> StructuredEncoder:
    """The encoder of a name in `ENCODERS` whose posterior is on a structure.

    Args:
        kind: subset, chain, matching or tree.
        num_pixels: d.
        num_variables: n.
        num_values: k.
        chosen: of a subset: how many variables are on.
        hidden: units of the hidden layer.
        trunk: as of `Encoder`.

    Raises:
        TypeError, ValueError: sizes that make no such set, or one without exact sums.

    Example:
        >>> structured_encoder("tree", 64, 5, 6).structure
        Arborescence(5)
    """
    check_choice("kind", kind, ("subset", "chain", "matching", "tree"))
    check_count("num_values", num_values)
    structure: Structure
    if kind == "chain":
        return ChainEncoder(num_pixels, num_variables, num_values, hidden=hidden, trunk=trunk)
    if kind == "subset":
        structure = Subsets(num_variables, chosen)
    elif kind == "matching":
        structure = Matching(num_variables, num_values)
    else:
        structure = Arborescence(num_variables)
    return StructuredEncoder(num_pixels, structure, hidden=hidden, trunk=trunk)
