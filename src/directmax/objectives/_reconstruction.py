"""f(z) = −log p(x|z) for a decoder whose first layer is linear, with fast tables."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax._precision import widened
from directmax._validation import check_flag, check_float_tensor, check_place, check_tensor
from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states, number_of_states
from directmax.objectives._bernoulli import bernoulli_loss, bernoulli_table
from directmax.objectives._candidates import Candidates
from directmax.objectives._evaluate import align_changes, changes_of_one
from directmax.objectives._linear_map import First, is_factored
from directmax.objectives._training_mode import look_at


class FactoredDecoder(Protocol):
    """A decoder whose first layer is linear: logits = rest(first(flattened one-hot z)).

    Two members are optional and make changes of several variables faster: a linear layer `last` and
    a method `hidden` with rest(a) = last(hidden(a)).

    Example:
        >>> from torch import nn
        >>> class Mixture(nn.Module):  # logits of the pixels are a row of a matrix
        ...     def __init__(self, values: int, pixels: int) -> None:
        ...         super().__init__()
        ...         self.first = nn.Linear(values, pixels)
        ...
        ...     def rest(self, pre_activation: Tensor) -> Tensor:
        ...         return pre_activation
        >>> objective = Reconstruction(Mixture(10, 64), torch.rand(5, 64).round())
        >>> objective.state_losses(1, 10).shape
        torch.Size([5, 10])
    """

    @property
    def first(self) -> First:
        """A linear layer of the flattened one-hot z, or a `LinearMap`."""
        ...

    def rest(self, pre_activation: Tensor, /) -> Tensor:
        """From the first layer's output `(…, h)` to logits `(…, d)`."""
        ...


def value_logits(decoder: FactoredDecoder) -> Float[Tensor, "k d"]:
    """Logits of all values of a single variable, differentiable.

    Example:
        >>> from directmax.models import Decoder
        >>> value_logits(Decoder(1, 10, 64)).shape
        torch.Size([10, 64])
    """
    first = decoder.first
    # The columns of the weight are the decoded one-hots. Contiguous: matrix products with the
    # transposed layout are several times slower, forward and backward.
    pre_activation = first.weight.T.clone(memory_format=torch.contiguous_format)  # (k, h)
    if first.bias is not None:
        pre_activation = pre_activation + first.bias
    return decoder.rest(pre_activation)


class Reconstruction:
    r"""f(z) = −log p(x|z) of a Bernoulli decoder, in nats per image.

    Faster than a plain callable in two places:

    - `state_losses`: a code is decoded once, not once an image; all pairs are one matrix product.
    - `single_change_losses`: a change of one variable touches one column of the first layer, so
      the first layer costs an addition; only n(k−1)+1 changes are decoded, in chunks, without
      gradient, and where the last layer is linear too, as differences (see `Candidates`).

    Args:
        decoder: a `FactoredDecoder`, from one-hot `(…, n, k)` to logits `(…, d)`.
        images: x `(b, d)` in [0, 1].
        reduced: whether single changes, which carry no gradient, may be decoded in bfloat16 where
            the device is faster with it. Their losses are then off by some 0.25 % of the change.

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

    def __init__(
        self, decoder: FactoredDecoder, images: Float[Tensor, "b d"], *, reduced: bool = True
    ) -> None:
        if not is_factored(decoder):
            raise TypeError(
                "decoder must have a linear layer `first` and a method `rest`, got "
                f"{type(decoder).__name__}; for any other decoder there is PlainReconstruction"
            )
        check_float_tensor("images", images, ("batch", "pixels"), finite=False)
        self.decoder = decoder
        self.images = images
        self.reduced = check_flag("reduced", reduced)

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """−log p(x|z), differentiable with respect to the decoder and to z.

        Raises:
            ValueError: `z` is for another number of images.
        """
        return bernoulli_loss(self.decoder.rest(self._first(z)), self.images)

    def _first(self, z: Tensor) -> Tensor:
        """The first layer's output, in the type of its weights (of half-precision models too)."""
        check_tensor("z", z, (), "batch, variables, values")
        check_place("z", z, self.images.device, "images")
        if z.ndim < 3 or z.shape[-3] != self.images.shape[0]:
            raise ValueError(
                f"z must be for the {self.images.shape[0]} images of the objective, got shape "
                f"{tuple(z.shape)} of (batch, variables, values)"
            )
        first = self.decoder.first
        columns = first.weight.shape[-1]
        if z.shape[-2] * z.shape[-1] != columns:
            raise ValueError(
                f"z must have the {columns} entries (variables times values) that the decoder "
                f"takes, got shape {tuple(z.shape)}"
            )
        output: Tensor = first(z.flatten(-2).to(first.weight.dtype))
        return output

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b K"]:
        """−log p(x|z) of all K = k^n assignments, differentiable with respect to the decoder.

        Raises:
            ValueError: K > `max_states`.
        """
        look_at(self.decoder)
        if num_variables == 1:
            number_of_states(1, num_values, max_states)
            return bernoulli_table(value_logits(self.decoder), self.images)
        first = self.decoder.first
        states = enumerate_states(
            num_variables,
            num_values,
            max_states=max_states,
            dtype=first.weight.dtype,
            device=first.weight.device,
        )
        return bernoulli_table(self.decoder.rest(first(states.flatten(1))), self.images)

    @torch.no_grad()
    def single_change_losses(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        """f̃_i(j): −log p(x|z) after every change of a single variable, without gradient."""
        if z.shape[-2] == 1:
            return changes_of_one(self, z)
        pre_activation = self._first(z)
        logits = widened(self.decoder.rest(pre_activation.clone()))  # which may write to it
        return self._changes(z, pre_activation, logits, bernoulli_loss(logits, self.images))

    def losses_and_changes(
        self, z: Float[Tensor, "*s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "*s b n k"]]:
        """f(z), differentiable, and `single_change_losses(z)`; z is decoded once for both."""
        if z.shape[-2] == 1:
            return self(z), self.single_change_losses(z)
        pre_activation = self._first(z)
        logits = self.decoder.rest(pre_activation.clone())
        losses = bernoulli_loss(logits, self.images)
        with torch.no_grad():
            changes = self._changes(
                z, pre_activation.detach(), widened(logits.detach()), losses.detach()
            )
        return losses, changes

    def losses_and_changes_below(
        self, z: Float[Tensor, "*s b n k"], most: Float[Tensor, "*s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "*s b n k"]]:
        """`losses_and_changes` for an argmax, which wants the changes that may win it.

        Args:
            z: one-hot, n > 1.
            most: by how much the loss must change at most for f̃_i(j) to matter, 0 or less.

        Returns:
            f(z), differentiable, and f̃ where f̃ − f(z) < `most`; elsewhere a bound of f̃ from
            below, not under f(z) + `most`.
        """
        pre_activation = self._first(z)
        logits = self.decoder.rest(pre_activation.clone())
        losses = bernoulli_loss(logits, self.images)
        with torch.no_grad():
            given = (z, pre_activation.detach(), widened(logits.detach()))
            changes = self._changes(*given, losses.detach(), most=most)
        return losses, changes

    def losses_and_others(
        self, z: Float[Tensor, "*s b n k"], others: Float[Tensor, "c *s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "c *s b"]]:
        """f(z), differentiable, and f of other assignments for these images, without gradient."""
        pre_activation = self._first(z)
        logits = self.decoder.rest(pre_activation.clone())
        losses = bernoulli_loss(logits, self.images)
        with torch.no_grad():
            moved = self._first(others).movedim(0, -2)  # (*s, b, c, h)
            table = self._changes(
                z, pre_activation.detach(), widened(logits.detach()), losses.detach(), moved
            )
        return losses, table.movedim(-1, 0)

    @torch.no_grad()
    def losses_of_changes(
        self,
        z: Float[Tensor, "*s b n k"],
        chosen: Int64[Tensor, "*s b m"],
        values: Int64[Tensor, "*s b m v"],
    ) -> Float[Tensor, "*s b c"]:
        """−log p(x|z) after a change of some variables to some values, c = m·v, without gradient.

        Args:
            z: one-hot.
            chosen: the variables, for each problem its own.
            values: what each is changed to.
        """
        num_values = z.shape[-1]
        pre_activation = self._first(z)
        logits = widened(self.decoder.rest(pre_activation.clone()))
        columns = self.decoder.first.weight.T  # (n·k, h)
        start = chosen * num_values
        old = columns[start + z.argmax(-1).gather(-1, chosen)].unsqueeze(-2)
        new = columns[start.unsqueeze(-1) + values]  # (*s, b, m, v, h)
        moved = (pre_activation[..., None, None, :] + (new - old)).flatten(-3, -2)
        return self._changes(z, pre_activation, logits, bernoulli_loss(logits, self.images), moved)

    def _changes(
        self,
        z: Tensor,
        pre_activation: Tensor,
        logits: Tensor,
        base: Tensor,
        others: Tensor | None = None,
        most: Tensor | None = None,
    ) -> Tensor:
        """f̃, or f of others given their first layer's output, from what decoding z gave."""
        num_variables, num_values = z.shape[-2:]
        columns = self.decoder.first.weight.T.contiguous()
        columns = columns.unflatten(0, (num_variables, num_values))  # (n, k, h)
        images = widened(self.images).expand(*z.shape[:-2], -1).flatten(0, -2)  # (m, d), m = s·b
        look_at(self.decoder)
        task = Candidates(
            decoder=self.decoder,
            columns=columns,
            values=z.argmax(-1).flatten(0, -2),  # (m, n)
            pre_activation=pre_activation.flatten(0, -2),  # (m, h)
            logits=logits.flatten(0, -2),  # (m, d)
            images=images,
            reduced=self.reduced,
            others=None if others is None else others.flatten(0, -3),
        )
        bounded = logits.device.type == "cpu" and task.convex and not task.in_bfloat16
        if most is not None and bounded:
            table = task.losses_below(base.flatten(), _by_shift(most, z).flatten(0, -3).flatten(1))
        else:
            table = task.losses(base.flatten())
        table = table.unflatten(0, z.shape[:-2])  # (*s, b, n, k-1)
        if others is not None:
            return table
        return align_changes(base, table, z)


def _by_shift(table: Tensor, z: Tensor) -> Float[Tensor, "*s b n k_minus_1"]:
    """Entries of a table at z_i + r modulo k, r = 1 … k−1: `align_changes` backwards."""
    k = z.shape[-1]
    values = (z.argmax(-1, keepdim=True) + torch.arange(1, k, device=z.device)) % k
    return table.gather(-1, values)
