"""f(z) = −log p(x|z) for a decoder whose first layer is linear, with fast tables."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directmax._precision import no_autocast, widened
from directmax._validation import check_float_tensor
from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states, number_of_states
from directmax.objectives._bernoulli import bernoulli_loss, bernoulli_table, softplus
from directmax.objectives._evaluate import align_changes

CHUNK_ELEMENTS_CPU = 2**19
CHUNK_ELEMENTS_CUDA = 2**27
"""Decoded pixels held at a time: on a CPU what fits its cache, on a GPU what fills it."""


@runtime_checkable
class FactoredDecoder(Protocol):
    """A decoder whose first layer is linear: logits = rest(first(flattened one-hot z))."""

    first: nn.Linear

    def rest(self, pre_activation: Tensor, /) -> Tensor:
        """From the first layer's output `(…, h)` to logits `(…, d)`."""
        ...


class Reconstruction:
    r"""f(z) = −log p(x|z) of a Bernoulli decoder, in nats per image.

    Faster than a plain callable in two places, both exact:

    - `state_losses`: a code is decoded once, not once an image; all pairs are one matrix product.
    - `single_change_losses`: a change of one variable touches one column of the first layer, so
      the first layer costs an addition; only n(k−1)+1 changes are decoded, in chunks, without
      gradient.

    Args:
        decoder: a `FactoredDecoder`, from one-hot `(…, n, k)` to logits `(…, d)`.
        images: x `(b, d)` in [0, 1].

    Raises:
        TypeError: the decoder has no linear `first` layer and no `rest`; images are no
            floating-point tensor.
        ValueError: images have not two axes.

    Example:
        >>> import torch
        >>> from directmax.models import Decoder
        >>> objective = Reconstruction(Decoder(1, 10, 64), torch.rand(5, 64).round())
        >>> objective.state_losses(1, 10).shape
        torch.Size([5, 10])
    """

    def __init__(self, decoder: FactoredDecoder, images: Float[Tensor, "b d"]) -> None:
        if not isinstance(getattr(decoder, "first", None), nn.Linear) or not callable(
            getattr(decoder, "rest", None)
        ):
            raise TypeError(
                "decoder must have a linear layer `first` and a method `rest`, got "
                f"{type(decoder).__name__}; any other decoder is used as a plain function, "
                "lambda z: bernoulli_loss(decoder(z), images)"
            )
        check_float_tensor("images", images, ("batch", "pixels"), finite=False)
        self.decoder = decoder
        self.images = images

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """−log p(x|z), differentiable with respect to the decoder and to z.

        Raises:
            ValueError: `z` is for another number of images.
        """
        return bernoulli_loss(self.decoder.rest(self._first(z)), self.images)

    def _first(self, z: Tensor) -> Tensor:
        """The first layer's output, in the type of its weights (of half-precision models too)."""
        if z.shape[-3] != self.images.shape[0]:
            raise ValueError(
                f"z must be for the {self.images.shape[0]} images of the objective, got shape "
                f"{tuple(z.shape)} with a batch of {z.shape[-3]}"
            )
        first = self.decoder.first
        output: Tensor = first(z.flatten(-2).to(first.weight.dtype))
        return output

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b K"]:
        """−log p(x|z) of all K = k^n assignments, differentiable with respect to the decoder.

        Raises:
            ValueError: K > `max_states`.
        """
        first = self.decoder.first
        if num_variables == 1:
            number_of_states(1, num_values, max_states)
            # The columns of the weight are the decoded one-hots. Contiguous: matrix products with
            # the transposed layout are several times slower, forward and backward.
            pre_activation = first.weight.T.contiguous()  # (k, h)
            if first.bias is not None:
                pre_activation = pre_activation + first.bias
        else:
            states = enumerate_states(
                num_variables,
                num_values,
                max_states=max_states,
                dtype=first.weight.dtype,
                device=first.weight.device,
            )
            pre_activation = first(states.flatten(1))  # (K, h)
        return bernoulli_table(self.decoder.rest(pre_activation), self.images)

    @torch.no_grad()
    def single_change_losses(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        """f̃_i(j): −log p(x|z) after every change of a single variable, without gradient."""
        num_variables, num_values = z.shape[-2:]
        if num_variables == 1:
            table = self.state_losses(1, num_values, max_states=num_values)  # (b, k)
            return table.unsqueeze(-2).expand(z.shape)
        first = self.decoder.first
        columns = first.weight.T.contiguous().unflatten(0, (num_variables, num_values))  # (n, k, h)
        base = self._first(z).flatten(0, -2)  # (m, h), m = s·b
        index = z.argmax(-1)  # (*s, b, n)
        images = widened(self.images).expand(*z.shape[:-2], -1).flatten(0, -2)  # (m, d)
        rows = index.flatten(0, -2)  # (m, n)
        shifts = torch.arange(1, num_values, device=z.device)
        variables = torch.arange(num_variables, device=z.device)

        def losses(part: slice) -> Tensor:
            old = rows[part].unsqueeze(-1)  # (c, n, 1)
            new = (old + shifts) % num_values  # (c, n, k-1)
            step = columns[variables[:, None], new] - columns[variables[:, None], old]
            changed = base[part, None, None] + step  # (c, n, k-1, h)
            both = torch.cat([base[part, None], changed.flatten(1, 2)], 1)  # (c, n(k-1)+1, h)
            logits = widened(self.decoder.rest(both))  # (c, n(k-1)+1, d)
            with no_autocast(logits.device):
                inner = torch.bmm(logits, images[part].unsqueeze(-1)).squeeze(-1)
                return softplus(logits).sum(-1) - inner

        per_row = (num_variables * (num_values - 1) + 1) * images.shape[-1]
        budget = CHUNK_ELEMENTS_CUDA if z.is_cuda else CHUNK_ELEMENTS_CPU
        chunk = max(1, budget // per_row)
        total = rows.shape[0]
        parts = [losses(slice(start, start + chunk)) for start in range(0, total, chunk)]
        table = torch.cat(parts) if parts else base.new_zeros(0, per_row // images.shape[-1])
        table = table.unflatten(0, z.shape[:-2])  # (*s, b, n(k-1)+1)
        changed = table[..., 1:].unflatten(-1, (num_variables, num_values - 1))
        return align_changes(table[..., 0], changed, z)
