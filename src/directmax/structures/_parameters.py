"""Parameters that are one number, or one for each problem of a batch."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from directmax._validation import check_count, check_has_numbers, check_integers


def check_numbers(
    name: str, value: object, least: int, most: int
) -> tuple[Int[Tensor, " b_or_1"], int | None]:
    """An integer, or integers `(b,)`, in a range: as a tensor, and b, None for a single one.

    Raises:
        TypeError, ValueError: something else.

    Example:
        >>> check_numbers("k", 3, 0, 5), check_numbers("k", torch.tensor([1, 2]), 0, 5)
        ((tensor([3]), None), (tensor([1, 2]), 2))
    """
    if not isinstance(value, Tensor):
        number = check_count(name, value, least)
        if number > most:
            raise ValueError(f"{name} must be at most {most}, got {number}")
        return torch.tensor([number], device="cpu"), None
    if check_integers(name, value).ndim != 1:
        raise TypeError(
            f"{name} must be an integer or integers (batch,), got {value.dtype} of shape "
            f"{tuple(value.shape)}"
        )
    check_has_numbers(name, value)
    if value.numel() and (int(value.min()) < least or int(value.max()) > most):
        raise ValueError(
            f"{name} must be from {least} to {most}, got values from {int(value.min())} to "
            f"{int(value.max())}"
        )
    return value.long().clone(), len(value)


def common(names: str, first: int | None, second: int | None) -> int | None:
    """How many problems two parameters are for, where None is any number.

    Raises:
        ValueError: they are for different ones.
    """
    if first is not None and second is not None and first != second:
        raise ValueError(f"{names} must be for the same problems, got {first} and {second}")
    return second if first is None else first


def per_row(numbers: Int[Tensor, " b_or_1"], rows: Tensor) -> Int[Tensor, " r_or_1"]:
    """Parameters of the rows: row i belongs to problem i mod b."""
    numbers = numbers.to(rows.device)
    return numbers if len(numbers) in (0, 1) else numbers.repeat(len(rows) // len(numbers))
