"""Losses of all single-variable changes of decoded assignments, without gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from directmax._kernels import over_rows
from directmax._precision import fast_bfloat16, no_autocast, widened
from directmax._transforms import recorded, wrapped
from directmax.objectives._bernoulli import softplus

CHUNK_ELEMENTS_CPU = 2**21
CHUNK_ELEMENTS_CUDA = 2**27
"""Decoded pixels held at a time: on a CPU what fits its cache, on a GPU what fills it."""


@dataclass(frozen=True)
class Candidates:
    """m assignments of n variables with k values, decoded, and what their changes need.

    A change moves the first layer's output by a difference of two of its columns. Where the decoder
    also ends in a linear layer, rest(a) = last(hidden(a)), the logits move by
    W (hidden(a + step) − hidden(a)), and W may be multiplied in bfloat16: its error is relative to
    the *change* of the logits, not to the logits.

    Attributes:
        decoder: see `FactoredDecoder`.
        columns: of the first layer's weight, `(n, k, h)`.
        values: z, `(m, n)`.
        pre_activation: the first layer's output, `(m, h)`.
        logits: of the pixels, `(m, d)`.
        images: `(m, d)`.
        reduced: multiply in bfloat16 where the device is faster with it.
        others: the first layer's output of other assignments, in place of the single changes.
    """

    decoder: Any
    columns: Float[Tensor, "n k h"]
    values: Int[Tensor, "m n"]
    pre_activation: Float[Tensor, "m h"]
    logits: Float[Tensor, "m d"]
    images: Float[Tensor, "m d"]
    reduced: bool
    others: Float[Tensor, "m c h"] | None = None

    def losses(self, base: Float[Tensor, " m"]) -> Float[Tensor, "m n k_minus_1"]:
        """−log p(x|z) after z_i → z_i + r (r = 1 … k−1, modulo k), or of `others`, in nats.

        Args:
            base: the losses before the change.
        """
        n, k, _ = self.columns.shape
        total, pixels = self.logits.shape
        shape = (n, k - 1) if self.others is None else (self.others.shape[1],)
        if not total:
            return self.logits.new_zeros(0, *shape)
        budget = CHUNK_ELEMENTS_CUDA if self.logits.is_cuda else CHUNK_ELEMENTS_CPU
        chunk = max(1, budget // (math.prod(shape) * pixels))
        one = self._by_difference if self.convex else self._by_decoding
        parts = [one(slice(start, start + chunk), base) for start in range(0, total, chunk)]
        return torch.cat(parts).unflatten(1, shape)

    @property
    def in_bfloat16(self) -> bool:
        """Whether changes are multiplied in it."""
        weight = self.decoder.last.weight
        if recorded():  # for any device
            return False
        return self.reduced and weight.dtype == torch.float32 and fast_bfloat16(weight.device)

    @property
    def convex(self) -> bool:
        """Whether the decoder ends in a linear layer, so that a change has a bound from below."""
        return isinstance(getattr(self.decoder, "last", None), nn.Linear) and callable(
            getattr(self.decoder, "hidden", None)
        )

    def losses_below(
        self, base: Float[Tensor, " m"], most: Float[Tensor, "m c"]
    ) -> Float[Tensor, "m n k_minus_1"]:
        """As `losses` where the loss may change by less than `most`; else a bound from below.

        The loss is convex in the logits, so a change by Δ costs at least g·Δ, g its derivative; and
        with Δ = W δ that is (Wᵀ g)·δ, a product of the hidden units in place of one with W. Only
        changes whose bound is below `most` are decoded. For decoders that are `convex`, on a CPU
        without bfloat16, with which all changes cost less than their bounds.

        Args:
            base: the losses before the change.
            most: for each change, in the order of `losses`.
        """
        n, k, _ = self.columns.shape
        total, pixels = self.logits.shape
        if not total:
            return self.logits.new_zeros(0, n, k - 1)
        weight, images = self.decoder.last.weight, self.images
        chunk = max(1, CHUNK_ELEMENTS_CPU // (n * (k - 1) * pixels))
        found = []
        with no_autocast(weight.device):
            slope = ((self.logits.sigmoid() - images) @ widened(weight)).unsqueeze(-1)  # (m, h, 1)
            for start in range(0, total, chunk):
                part = slice(start, start + chunk)
                hidden = self._hidden_changes(part, False)  # (c, n(k-1), h)
                bound = torch.bmm(widened(hidden), slope[part]).squeeze(-1)
                least = bound - 1e-4 * bound.abs() - 1e-3  # what rounding may have added
                row, change = (least < most[part]).nonzero(as_tuple=True)
                steps = (hidden[row, change] @ weight.T).unsqueeze(1)  # (changes, 1, d)
                row = row + start
                losses = loss_changes(self.logits[row], steps, images[row]).squeeze(-1)
                found.append(bound.index_put((row - start, change), losses.to(bound)))
        return (base[:, None] + torch.cat(found)).unflatten(1, (n, k - 1))

    def _moved(self, part: slice) -> Tensor:
        """The first layer's output after every change, `(c, n(k−1), h)`."""
        if self.others is not None:
            return self.others[part]
        n, k, _ = self.columns.shape
        old = self.values[part]  # (c, n)
        variables = torch.arange(n, device=old.device)
        before = self.pre_activation[part, None]
        if k == 2:  # the step of a flip has one size and a sign
            sign = 1 - 2 * old.to(self.columns.dtype)
            step = self.columns[:, 1] - self.columns[:, 0]  # (n, h)
            return torch.addcmul(before, sign.unsqueeze(-1), step)
        shifts = torch.arange(1, k, device=old.device)
        new = (old.unsqueeze(-1) + shifts) % k  # (c, n, k-1)
        steps = self.columns[variables[:, None], new]
        steps = steps - self.columns[variables, old].unsqueeze(-2)
        return before + steps.flatten(1, 2)

    def _by_decoding(self, part: slice, base: Tensor) -> Tensor:
        logits = widened(self.decoder.rest(self._moved(part)))  # (c, n(k-1), d)
        with no_autocast(logits.device):
            inner = torch.bmm(logits, self.images[part].unsqueeze(-1)).squeeze(-1)
            return softplus(logits).sum(-1) - inner

    def _by_difference(self, part: slice, base: Tensor) -> Tensor:
        weight, reduced = self.decoder.last.weight, self.in_bfloat16  # (d, h)
        with no_autocast(weight.device):
            hidden = self._hidden_changes(part, reduced)  # (c, n(k-1), h)
            # As one matrix product: a batched one would copy.
            change = hidden.flatten(0, 1) @ (weight.bfloat16() if reduced else weight).T
            change = change.unflatten(0, hidden.shape[:2])  # (c, n(k-1), d)
            return base[part, None] + loss_changes(self.logits[part], change, self.images[part])

    def _hidden_changes(self, part: slice, reduced: bool) -> Tensor:
        """hidden(a + step) − hidden(a) of every change."""
        hidden, before = self.decoder.hidden, self.pre_activation[part]
        plain = before.dtype == torch.float32 and _for_kernels(before, self.columns, self.values)
        if plain and hidden is torch.relu and self.others is None:
            return _moved_relu(before, self.columns, self.values[part], reduced)
        moved = hidden(self._moved(part)) - hidden(before.unsqueeze(1).clone())
        return moved.bfloat16() if reduced else moved


def _for_kernels(first: Tensor, *others: Tensor) -> bool:
    """Whether compiled kernels may read these; torch.compile has its own, in one graph."""
    fits = first.device.type == "cpu" and not torch.compiler.is_compiling()
    return fits and not wrapped(first, *others)


def _moved_relu(
    before: Float[Tensor, "m h"],
    columns: Float[Tensor, "n k h"],
    values: Int[Tensor, "m n"],
    reduced: bool,
) -> Float[Tensor, "m c h"]:
    """relu(a + step) − relu(a) for the n(k−1) changes of single variables; in bfloat16, or not."""
    from directmax.objectives._bernoulli_kernel import moved_relu

    n, k, h = columns.shape
    kind = torch.bfloat16 if reduced else torch.float32
    out = torch.empty(len(values), n * (k - 1), h, dtype=kind, device="cpu")
    numbers = out.view(torch.int16) if reduced else out
    arrays = tuple(t.contiguous().numpy() for t in (before, columns, values, numbers))
    minimum = max(1, 64 // (n * (k - 1)))
    over_rows(lambda start, stop: moved_relu(*arrays, start, stop), len(values), minimum=minimum)
    return out


def loss_changes(
    logits: Float[Tensor, "m d"], change: Float[Tensor, "m c d"], images: Float[Tensor, "m d"]
) -> Float[Tensor, "m c"]:
    """Σ_d softplus(L_d + Δ_d) − softplus(L_d) − x_d Δ_d."""
    if logits.dtype != torch.float32 or not _for_kernels(logits, change, images):
        change = widened(change)
        moved = softplus(logits.unsqueeze(1) + change).sum(-1)
        inner = torch.bmm(change, images.unsqueeze(-1)).squeeze(-1)
        return moved - softplus(logits).sum(-1, keepdim=True) - inner
    from directmax.objectives import _bernoulli_kernel

    out = torch.empty(change.shape[:2], dtype=torch.float32, device="cpu")
    bits = change.view(torch.int16) if change.dtype == torch.bfloat16 else change.float()
    arrays = tuple(t.contiguous().numpy() for t in (logits, bits, images.float(), out))
    over_rows(
        lambda start, stop: _bernoulli_kernel.loss_changes(*arrays, start, stop),
        len(out),
        minimum=8,
    )
    return out
