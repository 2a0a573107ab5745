"""Sets that are given as a list."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._precision import no_autocast
from directmax.structures._base import Structure
from directmax.structures._rows import Answer
from directmax.structures._weights import categorical


class Enumerated(Structure):
    """Structures whose assignments are all at hand, with the score of each."""

    tractable: ClassVar[bool] = True

    @abstractmethod
    def _states(self, rows: Tensor) -> Float[Tensor, "K ..."]:
        """All assignments, on the device and of the type of the rows."""

    def _scores(self, rows: Float[Tensor, "r ..."], scale: Tensor | float) -> Tensor:
        """⟨w, z⟩ + scale · c(z) of all assignments, `(r, K)`, of finite weights."""
        with no_autocast(rows.device):
            return rows.flatten(1) @ self._states(rows).flatten(1).T

    def _argmax(self, rows: Float[Tensor, "r ..."], masked: bool) -> Answer:
        best = self._scores(self._finite(rows) if masked else rows, 1.0).argmax(-1)
        z = self._states(rows)[best]
        return z, ~((z > 0) & (rows == -torch.inf)).flatten(1).any(-1) if masked else None

    def _max_marginals(self, rows: Float[Tensor, "r ..."]) -> Tensor:
        scores = self._scores(self._finite(rows), 1.0)
        states = self._states(rows)
        chosen = states.flatten(1).T > 0  # (i, K)
        excluded = (rows == -torch.inf).flatten(1).to(rows.dtype) @ states.flatten(1).T > 0
        scores = scores.masked_fill(excluded, -torch.inf)

        def best(where: Tensor) -> Tensor:
            each = [scores.masked_fill(~row, -torch.inf).amax(-1) for row in where]
            return torch.stack(each, -1)

        if len(self.shape) == 1:
            return torch.stack([best(~chosen), best(chosen)], -1)
        return best(chosen).reshape(-1, *self.shape)

    def _log_partition(self, rows: Tensor, scale: Tensor | float) -> Tensor:
        return self._scores(rows, scale).logsumexp(-1)

    def _sample(self, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        choice = categorical(self._scores(rows, 1.0), generator).argmax(-1)
        return self._states(rows)[choice]


class Listed(Enumerated):
    r"""Any set, as a list of its assignments.

    argmax and sums are a product of the weights with the list, O(Km); runs where the weights are.
    With `extended` it is a pool of solutions that grows.

    Args:
        states: zeros and ones `(K, m)`, or one-hot `(K, n, k)`; all different, K ≥ 1.

    Raises:
        TypeError, ValueError: no tensor of that kind, or an assignment twice.

    Example:
        >>> neighbours = Listed(torch.tensor([[1, 1, 0], [0, 1, 1]]))
        >>> neighbours.argmax(torch.tensor([[0.0, 1.0, 2.0]]))
        tensor([[0., 1., 1.]])
        >>> neighbours.extended(torch.tensor([[1, 0, 1], [1, 1, 0]]))
        Listed(3 states of shape (3,))
    """

    def __init__(self, states: Float[Tensor, "K ..."]) -> None:
        self.states = _checked(states)
        if len(self.states.unique(dim=0)) != len(self.states):
            raise ValueError(
                "states must be different, got one of them twice; use states.unique(dim=0)"
            )
        self.shape = tuple(self.states.shape[1:])

    def __repr__(self) -> str:
        return f"Listed({len(self.states)} states of shape {self.shape})"

    def extended(self, states: Float[Tensor, "K ..."]) -> Listed:
        """A list that also has these assignments, of which some may be there; order is kept.

        Raises:
            TypeError, ValueError: no zeros and ones `(K, *shape)`.
        """
        new = _checked(states).to(self.states.device)
        if new.shape[1:] != self.shape:
            raise ValueError(
                f"states must have shape (states, {', '.join(map(str, self.shape))}), got "
                f"{tuple(new.shape)}"
            )
        new = new.unique(dim=0)
        known = (new.flatten(1).unsqueeze(1) == self.states.flatten(1)).all(-1).any(-1)
        return Listed(torch.cat([self.states, new[~known]])) if not bool(known.all()) else self

    def _states(self, rows: Tensor) -> Float[Tensor, "K ..."]:
        return self.states.to(rows)

    def _feasible(self, rows: Tensor) -> Bool[Tensor, " r"]:
        return (rows.flatten(1).unsqueeze(1) == self._states(rows).flatten(1)).all(-1).any(-1)


def _checked(states: object) -> Tensor:
    """Zeros and ones as float32."""
    if not isinstance(states, Tensor):
        raise TypeError(f"states must be a torch.Tensor, got {type(states).__name__}")
    if states.ndim not in (2, 3) or not states.numel():
        raise ValueError(
            "states must have shape (states, elements) or (states, variables, values), got "
            f"{tuple(states.shape)}"
        )
    if not bool(((states == 0) | (states == 1)).all()):
        raise ValueError("states must be zeros and ones, got other values")
    if states.ndim == 3 and not bool((states.sum(-1) == 1).all()):
        raise ValueError("states of variables must be one-hot, got a row without exactly one 1")
    return states.detach().float().clone()
