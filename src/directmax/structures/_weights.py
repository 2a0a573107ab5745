"""Weights of a batch of problems, checked."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from directmax._precision import widened
from directmax._transforms import readable
from directmax._validation import check_broadcast, check_dense, check_has_numbers, check_place
from directmax.gumbel import sample_gumbel


class Weighted:
    """What has weights of one shape for every problem.

    Attributes:
        shape: of the weights of a problem, `(m,)` or `(n, k)`.
        batch_size: how many problems its parameters are for; None for any number.
        tractable: whether sums over Z are available.
    """

    shape: tuple[int, ...]
    batch_size: int | None = None
    tractable: ClassVar[bool] = False

    def present(self) -> Bool[Tensor, "b_or_1 n"] | None:
        """Which variables take a value, on the CPU; None for all of them.

        Those beyond the length of a problem take none. What labels have there does not count.
        """
        return None

    def check(self, weights: Tensor, *, validate: bool = True) -> None:
        """Refuse weights that do not fit.

        Raises:
            TypeError, ValueError: as `argmax`.
        """
        self._rows(weights, validate)

    def _fit(self, weights: object, name: str = "weights") -> Tensor:
        """The weights, or assignments, if their type and shape are right."""
        if not isinstance(weights, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(weights).__name__}")
        if not weights.is_floating_point():
            raise TypeError(f"{name} must be floating point, got {weights.dtype}; use .float()")
        check_dense(name, weights)
        axes = len(self.shape)
        if weights.ndim <= axes or weights.shape[-axes:] != self.shape:
            wanted = ", ".join(("batch", *map(str, self.shape)))
            raise ValueError(
                f"{name} must end in ({wanted}) for {self!r}, got shape {tuple(weights.shape)}"
            )
        problems = weights.shape[-axes - 1]
        if self.batch_size not in (None, problems):
            raise ValueError(
                f"{name} must be of the {self.batch_size} problems that {self!r} has parameters "
                f"for, got {problems}"
            )
        return weights

    def _fit_both(self, weights: object, z: object) -> None:
        """Refuse weights and assignments that are not of the same problems."""
        given = self._fit(weights)
        z = check_place("z", self._fit(z, "z"), given.device, "weights")
        check_broadcast("weights and z", given, z)

    def _rows(
        self, weights: Tensor, validate: bool, name: str = "weights"
    ) -> Float[Tensor, "r ..."]:
        """The weights, checked, with one axis in front of a problem's."""
        self._fit(weights, name)
        if validate and weights.numel():
            self._has_masks(weights, name)
        return widened(weights).reshape(-1, *self.shape).contiguous()

    @staticmethod
    def _has_masks(weights: Tensor, name: str = "weights") -> bool:
        """Whether one is −∞, after a check that all are below ∞."""
        check_has_numbers(name, weights)
        if not readable(weights):
            raise TypeError(
                f"{name} cannot be looked at inside torch.vmap: put what it maps over among the "
                "problems, (batch, *shape)"
            )
        least, most = (float(x) for x in weights.detach().aminmax())
        if not most < torch.inf:
            raise ValueError(f"{name} must be below inf and not NaN; did the training diverge?")
        return least == -torch.inf

    def _leading(self, weights: Tensor) -> torch.Size:
        return weights.shape[: weights.ndim - len(self.shape)]

    @staticmethod
    def _finite(rows: Tensor) -> Tensor:
        """−∞ as a finite number that no sum of others makes up for: 0 times it is 0."""
        return rows.masked_fill(rows == -torch.inf, forbidden(rows.dtype))


def within(
    present: Bool[Tensor, "b_or_1 n"] | None, z: Float[Tensor, "*s b n k"]
) -> Float[Tensor, "*s b n k"]:
    """z, with 0 for the variables that take no value."""
    return z if present is None else z.masked_fill(~present.to(z.device).unsqueeze(-1), 0.0)


def forbidden(dtype: torch.dtype) -> float:
    """What stands for −∞ in sums: its exponential is 0, and a thousand of it do not overflow."""
    return -(torch.finfo(dtype).max ** 0.5)


def categorical(
    logits: Float[Tensor, "*s k"], generator: torch.Generator | None
) -> Float[Tensor, "*s k"]:
    """One-hot samples of softmax(logits)."""
    noise = sample_gumbel(
        logits.shape, generator=generator, dtype=logits.dtype, device=logits.device
    )
    index = (logits + noise).argmax(-1, keepdim=True)
    return torch.zeros_like(logits).scatter_(-1, index, 1.0)
