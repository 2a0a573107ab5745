"""What cannot work inside torch.func transforms, said clearly."""

from __future__ import annotations

import torch


def in_transforms() -> bool:
    """Whether torch.func.grad, vmap or another function transform is looking on.

    Example:
        >>> in_transforms()
        False
    """
    return bool(torch._C._are_functorch_transforms_active())


def refuse_in_transforms(what: str, instead: str) -> None:
    """Refuse to go on inside a function transform.

    Raises:
        TypeError: one is active.
    """
    if in_transforms():
        raise TypeError(f"{what} does not work inside torch.func transforms: {instead}")
