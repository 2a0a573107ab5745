"""Random numbers from a generator, or from torch's own one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def draw(
    kind: Callable[..., Tensor],
    shape: Sequence[int],
    generator: torch.Generator | None,
    **settings: Any,
) -> Tensor:
    """torch.rand or torch.randn of a shape.

    The generator is left out where it is None: with it torch.compile takes no changing sizes.

    Example:
        >>> draw(torch.rand, (2, 3), None, dtype=torch.float64).shape
        torch.Size([2, 3])
    """
    if generator is None:
        return kind(tuple(shape), **settings)
    check_generator(generator)
    return kind(tuple(shape), generator=generator, **settings)


def check_generator(generator: object) -> None:
    """Refuse, as argument `generator`, what is none."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator or None, got {type(generator).__name__}"
        )
