"""What perturbs potentials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from directmax._choices import check_choice
from directmax._validation import check_count, check_positive
from directmax.gumbel import sample_gumbel

NOISES = ("gumbel", "gaussian", "none")


class SumOfGamma:
    r"""Noise of which κ together are about Gumbel: (Σ_{i=1}^t Γ(1/κ, κ/i) − log t)/κ.

    For `PerturbedArgmax(..., noise=SumOfGamma(kappa))`, where about κ elements are chosen.

    Args:
        kappa: κ > 0, how many ones z has.
        terms: t, of the series.

    Raises:
        TypeError, ValueError: κ is not above 0, or t < 1.

    Example:
        >>> SumOfGamma(5.0)((1000, 4), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([1000, 4])

    Reference: Niepert, Minervini and Franceschi 2021, theorem 2.
    """

    def __init__(self, kappa: float, *, terms: int = 10) -> None:
        self.kappa = check_positive("kappa", kappa)
        self.terms = check_count("terms", terms)

    def __repr__(self) -> str:
        return f"SumOfGamma({self.kappa})"

    def __call__(
        self,
        shape: Sequence[int],
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Noise of that shape."""
        shapes = torch.full((self.terms, *shape), 1 / self.kappa, dtype=dtype, device=device)
        each = torch.arange(1, self.terms + 1, dtype=dtype, device=device)
        gammas = torch._standard_gamma(shapes, generator=generator)
        total = (gammas / each.view(-1, *(1,) * len(shape))).sum(0) * self.kappa
        return (total - math.log(self.terms)) / self.kappa


Noise = Callable[..., Tensor]


def check_noise(noise: object) -> str | Noise:
    """A word for noise, or a function that draws it.

    Raises:
        TypeError, ValueError: something else.
    """
    if isinstance(noise, str):
        return check_choice("noise", noise, NOISES)
    if not callable(noise):
        raise TypeError(
            f"noise must be one of {', '.join(NOISES)}, or a function such as SumOfGamma(kappa), "
            f"got {type(noise).__name__}"
        )
    return noise


def draw(
    noise: str | Noise,
    shape: Sequence[int],
    generator: torch.Generator | None,
    like: Tensor,
) -> Tensor:
    """Noise of that shape and of the type of `like`."""
    size, dtype, device = tuple(shape), like.dtype, like.device
    if noise == "gumbel":
        return sample_gumbel(size, generator=generator, dtype=dtype, device=device)
    if noise == "gaussian":
        return torch.randn(size, generator=generator, dtype=dtype, device=device)
    if isinstance(noise, str):
        return torch.zeros(size, dtype=dtype, device=device)
    return noise(size, generator=generator, dtype=dtype, device=device)
