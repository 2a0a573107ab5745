"""Sequences of states."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from directmax._precision import no_autocast
from directmax._transforms import OUTSIDE, refuse_recorded
from directmax._validation import check_count
from directmax.structures._base import Structure
from directmax.structures._parameters import check_numbers, common, per_row
from directmax.structures._rows import Answer, solve_others, solve_rows
from directmax.structures._weights import categorical, forbidden, within

MODERATE = 30.0
"""e to this, either sign, is far from the ends of float32."""


class Chain(Structure):
    r"""Sequences of n states: ⟨w, z⟩ + Σ_t T_t[z_t, z_{t+1}], a linear-chain conditional field.

    argmax: the Viterbi algorithm, compiled; max-marginals: forwards and backwards. Sums: the
    forward algorithm, O(nk²). All also give gradients with respect to the transitions.

    Args:
        length: n ≥ 1.
        states: k ≥ 2.
        transitions: T, from state i to state j: `(k, k)`, `(n − 1, k, k)`, one for each place, or
            `(b, n − 1, k, k)`, for each problem too; −∞ forbids one. None for 0.
        lengths: of every problem, from 1 to n, `(b,)`; z and marginals are 0 beyond. None for n.

    Raises:
        TypeError, ValueError: sizes, transitions or lengths that do not fit.

    Example:
        >>> stay = torch.eye(2) * 3
        >>> weights = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
        >>> Chain(3, 2).argmax(weights).argmax(-1)
        tensor([[0, 1, 0]])
        >>> Chain(3, 2, stay).argmax(weights).argmax(-1)
        tensor([[0, 0, 0]])

    Reference: Viterbi 1967; Lafferty, McCallum and Pereira 2001.
    """

    tractable: ClassVar[bool] = True

    def __init__(
        self,
        length: int,
        states: int,
        transitions: Float[Tensor, "... k k"] | None = None,
        *,
        lengths: Int[Tensor, " b"] | None = None,
    ) -> None:
        n, k = check_count("length", length), check_count("states", states, 2)
        self.shape = (n, k)
        ends = n if lengths is None else lengths
        self.lengths, with_length = check_numbers("lengths", ends, 1, n)
        self._table, problems = _checked(transitions, n, k)
        self.batch_size = common("transitions and lengths", problems, with_length)
        self._largest = float(self._table.detach().abs().max()) if self._table.numel() else 0.0

    def __repr__(self) -> str:
        return f"Chain({self.shape[0]}, {self.shape[1]})"

    @property
    def own(self) -> tuple[Tensor, ...]:
        """The transitions, with all axes."""
        return (self._table,)

    def offset(self, z: Float[Tensor, "*s b n k"]) -> Float[Tensor, "*s b"] | None:
        """Σ_t T_t[z_t, z_{t+1}]."""
        if self.shape[0] == 1:
            return None
        return _along(self._table.to(z), within(self.present(), z))

    def present(self) -> Bool[Tensor, "b_or_1 n"] | None:
        """Those within the length."""
        if bool((self.lengths == self.shape[0]).all()):
            return None
        return torch.arange(self.shape[0], device="cpu") < self.lengths.unsqueeze(-1)

    def _argmax(self, rows: Float[Tensor, "r n k"], masked: bool) -> Answer:
        from directmax.structures._chain_kernel import maximise

        return solve_rows(maximise, rows, *self._parameters(rows), minimum=8)

    def _parameters(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Transitions and lengths for a kernel."""
        return self._table.detach().to("cpu", rows.dtype).contiguous(), self.lengths

    def _alternatives(
        self, rows: Float[Tensor, "r n k"], z: Float[Tensor, "r n k"]
    ) -> tuple[Float[Tensor, "n r n k"], Bool[Tensor, "n r"]]:
        """Forwards and backwards once, and a walk to both sides from every place."""
        from directmax.structures._chain_kernel import alternatives

        return solve_others(alternatives, rows, z, *self._parameters(rows))

    def _max_marginals(self, rows: Float[Tensor, "r n k"]) -> Float[Tensor, "r n k"]:
        from directmax.structures._chain_kernel import max_marginals

        return solve_rows(max_marginals, rows, *self._parameters(rows), minimum=8)[0]

    def _feasible(self, rows: Float[Tensor, "r n k"]) -> Bool[Tensor, " r"]:
        inside = self._inside(rows)
        allowed = (rows.sum(-1) == inside).all(-1)
        banned = (self._table.detach() == -torch.inf).to(rows)
        crossed = _along(banned, rows.reshape(-1, len(banned), *self.shape)).reshape(-1)
        return allowed & (crossed == 0)

    def _inside(self, rows: Tensor) -> Bool[Tensor, "r_or_1 n"]:
        """Which places are within the length."""
        places = torch.arange(self.shape[0], device=rows.device)
        return places < per_row(self.lengths, rows).unsqueeze(-1)

    def _offset_reach(self, rows: int) -> float:
        finite = self._table.detach().masked_fill(self._table == -torch.inf, 0)
        return 2.0 * self.shape[0] * float(finite.abs().max())

    def _forward(self, rows: Float[Tensor, "r n k"], scale: Tensor | float) -> list[Tensor]:
        """log of the sums over sequences up to place t that end in each state, `(r, k)`.

        Beyond the length they stay what they were.
        """
        inside, sums = self._inside(rows), [rows[:, 0]]
        places = self._table.shape[1]
        steps = [self._step(rows, t, scale) for t in range(1, min(places, self.shape[0] - 1) + 1)]
        if self._moderate:
            factors = [step.exp() for step in steps]
        for t in range(1, self.shape[0]):
            before, at = sums[-1].unsqueeze(-2), (t - 1) % places
            if self._moderate:
                top = before.detach().amax(-1, keepdim=True)
                with no_autocast(rows.device):
                    into = (((before - top).exp() @ factors[at]).log() + top).squeeze(-2)
            else:
                into = (before.mT + steps[at]).logsumexp(-2)
            sums.append(torch.where(inside[:, t : t + 1], into + rows[:, t], sums[-1]))
        return sums

    @property
    def _moderate(self) -> bool:
        """Whether no sum of e^T underflows, so that products of matrices will do."""
        return self._largest <= MODERATE

    def _step(self, rows: Tensor, t: int, scale: Tensor | float) -> Float[Tensor, "r_or_1 k k"]:
        """The transitions into place t of every row."""
        table = self._table[:, (t - 1) % self._table.shape[1]].to(rows)
        table = self._finite(table)
        if len(table) > 1:
            table = table.repeat(len(rows) // len(table), 1, 1)
        if isinstance(scale, Tensor):
            return table * scale.view(-1, 1, 1)
        # At scale 0 what is forbidden stays so.
        return torch.where(table == forbidden(table.dtype), table, table * scale)

    def _log_partition(self, rows: Float[Tensor, "r n k"], scale: Tensor | float) -> Tensor:
        return self._forward(rows, scale)[-1].logsumexp(-1)

    def _sample(
        self, rows: Float[Tensor, "r n k"], generator: torch.Generator | None
    ) -> Float[Tensor, "r n k"]:
        sums, z = self._forward(rows, 1.0), torch.zeros_like(rows)
        inside = self._inside(rows)
        for t in reversed(range(self.shape[0])):
            scores = sums[t]
            if t + 1 < self.shape[0]:
                follows = self._step(rows, t + 1, 1.0).expand(len(rows), -1, -1)
                scores = scores + (follows * z[:, t + 1].unsqueeze(-2)).sum(-1)
            z[:, t] = categorical(scores, generator) * inside[:, t : t + 1]
        return z


def _along(
    table: Float[Tensor, "b_or_1 places k k"], z: Float[Tensor, "*s b n k"]
) -> Float[Tensor, "*s b"]:
    """Σ_t T_t[z_t, z_{t+1}]."""
    pairs = z[..., :-1, :, None] * z[..., 1:, None, :]  # (*s, b, n − 1, k, k)
    return torch.where(pairs > 0, table, torch.zeros_like(table)).sum((-3, -2, -1))


def _checked(
    value: object, n: int, k: int
) -> tuple[Float[Tensor, "b_or_1 places k k"], int | None]:
    """The transitions with all four axes, and how many problems they are for."""
    if value is None:
        return torch.zeros(1, 1, k, k, device="cpu"), None
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise TypeError(
            "transitions must be a floating-point tensor, got "
            f"{value.dtype if isinstance(value, Tensor) else type(value).__name__}"
        )
    whole = value.ndim in (2, 3, 4) and value.shape[-2:] == (k, k)
    if not whole or (value.ndim > 2 and value.shape[-3] not in (n - 1, max(1, n - 1))):
        raise ValueError(
            f"transitions must have shape ({k}, {k}), ({n - 1}, {k}, {k}) or "
            f"(batch, {n - 1}, {k}, {k}), got {tuple(value.shape)}"
        )
    refuse_recorded("Chain with transitions", OUTSIDE)
    if not float(value.detach().max() if value.numel() else 0.0) < np.inf:
        raise ValueError("transitions must be below inf and not NaN; did the training diverge?")
    if value.ndim > 2 and value.shape[-3] == 0:  # a chain of one place has none
        value = value.sum(-3, keepdim=True)
    problems = len(value) if value.ndim == 4 else None
    return value[(None,) * (4 - value.ndim)], problems
