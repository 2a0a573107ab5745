"""What cannot work inside torch.func transforms or torch.compile: refused, or left out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


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


def uncompiled(function: Function) -> Function:
    """`function`, which torch.compile leaves as it is: one that differentiates inside, say.

    That is `torch.compiler.disable`, without its import of the compiler, which takes as long and as
    much memory as that of torch, where nothing is compiled.

    Example:
        >>> uncompiled(abs)(-1)
        1
    """

    @functools.wraps(function)
    def call(*args: Any, **settings: Any) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **settings)
        return function(*args, **settings)

    return call  # type: ignore[return-value]
