"""f(z) = −log p(x|z) of a decoder of which only the result is known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from directmax._precision import fast_bfloat16, no_autocast, widened
from directmax._transforms import in_transforms
from directmax._validation import (
    check_callable,
    check_dense,
    check_flag,
    check_float_tensor,
    check_place,
    check_real,
    check_tensor,
)
from directmax.distributions import DEFAULT_MAX_STATES, enumerate_states
from directmax.objectives._bernoulli import bernoulli_loss, bernoulli_table
from directmax.objectives._candidates import loss_changes
from directmax.objectives._evaluate import (
    align_changes,
    changed,
    changes_of_one,
    single_change_losses,
)
from directmax.objectives._linear_calls import LinearCalls, MovedCalls
from directmax.objectives._linear_map import is_factored
from directmax.objectives._reconstruction import value_logits
from directmax.objectives._training_mode import look_at

CHUNK_PIXELS_CPU, CHUNK_PIXELS_CUDA = 2**21, 2**22
"""Pixels of a call of the decoder where there is a choice: on a CPU its layers then fit the cache,
and torch asks the system for no memory."""


class PlainReconstruction:
    """f(z) = −log p(x|z) of any decoder, in nats per image.

    All states, and for n = 1 all values, are decoded once, not once an image. Changes are decoded
    without gradient, in chunks; with `reduced` linear layers and convolutions of float32 multiply
    only what a change changes, in bfloat16 where the device is faster with it. For a decoder with a
    linear `first` layer there is `Reconstruction`, which is faster.

    Args:
        decoder: from one-hot `(m, n, k)` to logits `(m, d)`; each row for itself.
        images: x `(b, d)` in [0, 1].
        loss: of logits `(*s, b, d)` and images, `(*s, b)`; Bernoulli.
        table: of logits `(c, d)` and images, `(b, c)`, the same likelihood.
        reduced: whether changes may be multiplied in bfloat16. Their losses are then off by some
            0.25 % of the change.

    Raises:
        TypeError: images are no floating-point tensor; at the call, the decoder returns none.
        ValueError: images have not two axes; at the call, `z` is for another number of images.

    Example:
        >>> from torch import nn
        >>> decoder = nn.Sequential(nn.Flatten(), nn.Linear(6, 64))
        >>> objective = PlainReconstruction(decoder, torch.rand(5, 64).round())
        >>> objective.single_change_losses(torch.eye(3)[torch.zeros(5, 2, dtype=int)]).shape
        torch.Size([5, 2, 3])
    """

    def __init__(
        self,
        decoder: Callable[[Tensor], Tensor],
        images: Float[Tensor, "b d"],
        *,
        loss: Callable[[Tensor, Tensor], Tensor] = bernoulli_loss,
        table: Callable[[Tensor, Tensor], Tensor] = bernoulli_table,
        reduced: bool = True,
    ) -> None:
        check_float_tensor("images", images, ("batch", "pixels"), finite=False)
        for name, part in (("decoder", decoder), ("loss", loss), ("table", table)):
            check_callable(name, part)
        self.decoder, self.images = decoder, images
        self.loss, self.table = loss, table
        self.reduced = check_flag("reduced", reduced)

    @property
    def chunk_assignments(self) -> int:
        """How many assignments a call has at most, where there is a choice."""
        most = CHUNK_PIXELS_CUDA if self.images.is_cuda else CHUNK_PIXELS_CPU
        return max(1, most // max(1, self.images.shape[-1]))

    def __call__(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"]:
        """−log p(x|z), differentiable with respect to the decoder and to z."""
        return self._decoded(z, False)[0]

    def state_losses(
        self, num_variables: int, num_values: int, *, max_states: int = DEFAULT_MAX_STATES
    ) -> Float[Tensor, "b K"]:
        """−log p(x|z) of all K = k^n assignments, differentiable with respect to the decoder.

        Raises:
            ValueError: K > `max_states`.
        """
        look_at(self.decoder)
        states = enumerate_states(
            num_variables, num_values, max_states=max_states, device=self.images.device
        )
        return self.table(decoded(self.decoder, states), self.images)

    @torch.no_grad()
    def single_change_losses(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b n k"]:
        """f̃_i(j): −log p(x|z) after every change of a single variable, without gradient."""
        if z.shape[-2] == 1:
            return changes_of_one(self, z)
        return self.losses_and_changes(z)[1]

    def losses_and_changes(
        self, z: Float[Tensor, "*s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "*s b n k"]]:
        """f(z), differentiable, and `single_change_losses(z)`."""
        if z.shape[-2] == 1:
            return self(z), self.single_change_losses(z)
        if _traced():
            losses = self(z)
            return losses, single_change_losses(self.__call__, z, losses=losses.detach())
        losses, base = self._decoded(z, True)
        n, k = z.shape[-2:]
        rows = z.flatten(0, -3)
        columns = torch.arange(n * (k - 1), device=z.device)
        variables, shifts = columns // (k - 1), columns % (k - 1) + 1

        def assignments(part: slice, some: slice) -> Tensor:
            values = (rows[part].argmax(-1)[:, variables[some]] + shifts[some]) % k
            return changed(rows[part], variables[some].expand_as(values), values)

        table = self._moved(base, assignments, len(columns)).view(*z.shape[:-1], k - 1)
        return losses, align_changes(losses.detach(), table, z)

    def losses_and_others(
        self, z: Float[Tensor, "*s b n k"], others: Float[Tensor, "c *s b n k"]
    ) -> tuple[Float[Tensor, "*s b"], Float[Tensor, "c *s b"]]:
        """f(z), differentiable, and f of other assignments for these images, without gradient."""
        if _traced():
            with torch.no_grad():
                rest = self(others)
            return self(z), rest
        losses, base = self._decoded(z, True)
        rows = others.flatten(1, -3).transpose(0, 1)  # (m, c, n, k)
        table = self._moved(base, lambda part, some: rows[part, some].clone(), len(others))
        return losses, table.T.reshape(others.shape[:-2])

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
        new = values.flatten(-2)
        variables = chosen.unsqueeze(-1).expand_as(values).flatten(-2)
        if _traced():
            return self(changed(z, variables, new).movedim(-3, 0)).movedim(0, -1)
        _, base = self._decoded(z, True)
        rows = z.flatten(0, -3), variables.flatten(0, -2), new.flatten(0, -2)

        def assignments(part: slice, some: slice) -> Tensor:
            return changed(rows[0][part], rows[1][part, some], rows[2][part, some])

        return self._moved(base, assignments, new.shape[-1]).view(new.shape)

    def _decoded(self, z: Tensor, remembers: bool) -> tuple[Tensor, _Base]:
        """f(z) and what its neighbours need."""
        check_tensor("z", z, (), "batch, variables, values")
        check_place("z", z, self.images.device, "images")
        if z.ndim < 3 or z.shape[-3] != len(self.images):
            raise ValueError(
                f"z must be for the {len(self.images)} images of the objective, got shape "
                f"{tuple(z.shape)} of (batch, variables, values)"
            )
        if remembers:
            look_at(self.decoder)
        device = self.images.device
        remembers = remembers and self.reduced and fast_bfloat16(device)
        remembers = remembers and not torch.is_autocast_enabled(device.type)
        rows = _as_weights(self.decoder, z.flatten(0, -3))
        with LinearCalls() if remembers else nullcontext() as seen:
            logits = _checked(self.decoder(rows.clone()), rows)  # (m, d); it may write to z
        if seen is not None:
            seen.ends_with(logits)
        losses = self.loss(logits.unflatten(0, z.shape[:-2]), self.images)
        base = widened(logits.detach())
        images = self.images.to(base.dtype).expand(*z.shape[:-2], -1).flatten(0, -2)
        return losses, _Base(base, images, losses.detach().flatten(), seen)

    @torch.no_grad()
    def _moved(
        self, base: _Base, assignments: Callable[[slice, slice], Tensor], count: int
    ) -> Float[Tensor, "m c"]:
        """f of c neighbours of each of the m rows, some rows and some neighbours at a time."""
        most, total = self.chunk_assignments, len(base.logits)
        some, width = max(1, most // max(1, count)), max(1, min(count, most))
        out = base.losses.new_empty(total, count)
        for start in range(0, total, some):
            part = slice(start, start + some)
            for first in range(0, count, width):
                columns = slice(first, first + width)
                out[part, columns] = self._losses(base, part, assignments(part, columns))
        return out

    def _losses(self, base: _Base, part: slice, z: Float[Tensor, "p c n k"]) -> Tensor:
        """f of neighbours of some rows, `(p, c)`."""
        images, before = base.images[part], base.logits[part]
        change = self._by_difference(base, part, z)  # (p, c, d)
        if change is None:
            rows = _as_weights(self.decoder, z.flatten(0, 1))
            logits = widened(_checked(self.decoder(rows), rows)).unflatten(0, z.shape[:2])
            if self.loss is not bernoulli_loss:
                return self.loss(logits.transpose(0, 1), images).T
            change = logits - before.unsqueeze(1)
        with no_autocast(change.device):
            return base.losses[part].unsqueeze(1) + loss_changes(before, change, images)

    def _by_difference(self, base: _Base, part: slice, z: Tensor) -> Tensor | None:
        """The change of the logits, where linear operations were remembered."""
        if base.seen is None:
            return None
        rows = _as_weights(self.decoder, z.flatten(0, 1)).clone()
        with MovedCalls(base.seen, part) as moved:
            logits = self.decoder(rows)
        try:
            change = moved.change(logits)
        except LookupError:  # not what it did before: what it returned means nothing
            base.seen.whole = True
            return self._by_difference(base, part, z)
        if change is not None:
            return change.unflatten(0, z.shape[:2])
        logits = widened(_checked(logits, rows)).unflatten(0, z.shape[:2])
        return logits - base.logits[part].unsqueeze(1)


@dataclass(frozen=True)
class _Base:
    """m assignments decoded.

    Attributes:
        logits: of the pixels, `(m, d)`.
        images: `(m, d)`.
        losses: `(m,)`.
        seen: the decoder's linear operations, where neighbours are decoded by them.
    """

    logits: Tensor
    images: Tensor
    losses: Tensor
    seen: LinearCalls | None


def _traced() -> bool:
    return torch.compiler.is_compiling() or in_transforms()


def decoded(decoder: Any, z: Float[Tensor, "m n k"]) -> Float[Tensor, "m d"]:
    """Pixel logits of assignments, by any decoder, in the type of its weights.

    Example:
        >>> decoded(torch.nn.Flatten(), torch.eye(3).unsqueeze(0)).shape
        torch.Size([1, 9])
    """
    check_callable("decoder", decoder)
    if check_real("z", z).ndim != 3:
        raise ValueError(f"z must be (assignments, variables, values), got {tuple(z.shape)}")
    if is_factored(decoder):
        logits: Tensor = decoder.rest(decoder.first(z.flatten(1).to(decoder.first.weight.dtype)))
        return logits
    return _checked(decoder(_as_weights(decoder, z)), z)


def all_values_decoded(
    decoder: Any, num_values: int, *, like: Float[Tensor, "b d"]
) -> Float[Tensor, "k d"]:
    """Pixel logits of all values of a single variable, by any decoder, differentiable.

    Args:
        decoder: from one-hot `(m, 1, k)` to logits `(m, d)`.
        num_values: k.
        like: images, whose device and type codes have.

    Returns:
        Logits `(k, d)`; σ of them is the probability of a pixel to be 1.

    Raises:
        TypeError, ValueError: the decoder returns something else.

    Example:
        >>> all_values_decoded(torch.nn.Flatten(), 3, like=torch.zeros(1, 9)).shape
        torch.Size([3, 3])
    """
    if is_factored(decoder):
        return value_logits(decoder)
    eye = torch.eye(num_values, dtype=like.dtype, device=like.device)
    return decoded(decoder, eye.unsqueeze(1))


def _as_weights(decoder: object, z: Tensor) -> Tensor:
    """Assignments in the type of a decoder's weights, also of a half-precision one."""
    weight = next(decoder.parameters(), z) if isinstance(decoder, nn.Module) else z
    return z.to(weight.dtype) if weight.is_floating_point() else z


def _checked(logits: object, z: Tensor) -> Tensor:
    """What a decoder returned, if it is a row of logits for each assignment."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        got = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"decoder must return a floating-point tensor of pixel logits, got {got}")
    check_dense("what the decoder returns", logits)
    if logits.ndim != 2 or len(logits) != len(z):
        raise ValueError(
            f"decoder must return pixel logits (m, d) for z (m, n, k) = {tuple(z.shape)}, got "
            f"shape {tuple(logits.shape)}"
        )
    return logits
