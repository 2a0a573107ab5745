"""Checks of arguments at the public boundary: one line, what was wrong, what was expected."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from directmax._transforms import in_transforms, readable

LARGEST_SIZE = 2**31 - 1
"""What is counted in a tensor or drawn: a product of two still is a size of tensors."""
LARGEST = 2**63 - 1
"""Limits, steps and seeds."""
LONGEST = 60
"""Characters of a value in a message."""


def shown(value: object) -> str:
    """What came, for a message: `repr` on a line, or of what kind many numbers are.

    Example:
        >>> shown("auto"), shown(torch.zeros(2, 3)), shown(torch.tensor(2))
        ("'auto'", 'a Tensor of shape (2, 3)', 'tensor(2)')
    """
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim:
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _kind(value: object) -> str:
    """The type of what is no tensor, for a message."""
    kind = type(value)
    if kind.__module__ == "torch.fx.proxy":
        return f"a {kind.__name__} of torch.fx, which cannot be checked; use torch.export.export"
    return kind.__name__


def check_dense(name: str, value: Tensor) -> None:
    """Refuse a sparse tensor, and floats of 8 bits, which most operations do not take."""
    if value.layout is not torch.strided:
        raise TypeError(f"{name} must be dense, got {value.layout}; convert with .to_dense()")
    if value.is_floating_point() and value.dtype.itemsize < 2:
        raise TypeError(
            f"{name} must be of a type to compute with, got {value.dtype}; convert with .float()"
        )


def check_has_numbers(name: str, value: Tensor) -> None:
    """Refuse a tensor on the meta device, where its numbers are needed."""
    if value.is_meta:
        raise TypeError(f"{name} must have numbers, got a tensor on the meta device")


def check_place(name: str, value: Tensor, device: torch.device, like: str) -> Tensor:
    """Return a tensor if it is where another is.

    Args:
        name: the argument's name, for the message.
        value: the tensor.
        device: where it should be.
        like: what is there.
    """
    if value.device != device:
        raise TypeError(
            f"{name} must be on {device}, as {like}, got {value.device}; convert with .to()"
        )
    return value


def check_float_tensor(
    name: str, value: object, axes: Sequence[str], *, finite: bool = True
) -> Tensor:
    """Return `value` if it is a floating-point tensor with the named axes.

    Args:
        name: the argument's name, for the message.
        value: what the caller passed.
        axes: the expected axes, for example `("batch", "variables", "values")`.
        finite: also refuse NaN and infinities (reads the tensor: on a GPU, one synchronisation).

    Raises:
        TypeError: not a tensor, or not of a floating-point type.
        ValueError: another number of axes, or a non-finite entry.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {_kind(value)}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {value.dtype}; convert with .float()")
    check_dense(name, value)
    if value.ndim != len(axes):
        raise ValueError(
            f"{name} must have shape ({', '.join(axes)}), got {tuple(value.shape)} "
            f"with {value.ndim} axes"
        )
    if finite and readable(value) and not _all_finite(value):
        position = tuple(int(i) for i in (~torch.isfinite(value)).nonzero()[0])
        raise ValueError(
            f"{name} must be finite, got {value[position].item()} at index {position}; "
            "did the training diverge?"
        )
    return value


def _all_finite(value: Tensor) -> bool:
    """Whether no number is NaN or infinite."""
    if value.device.type != "cpu" or not value.numel() or in_transforms():
        return bool(torch.isfinite(value).all())
    least, most = value.detach().aminmax()  # NaN where one is
    return math.isfinite(least) and math.isfinite(most)


def check_tensor(name: str, value: object, ending: tuple[int, ...], axes: str) -> Tensor:
    """Return `value` if it is a tensor of real numbers whose shape ends so.

    Args:
        name: the argument's name, for the message.
        value: what the caller passed.
        ending: the last sizes; others may be in front.
        axes: what they are, such as "batch, variables, values".

    Raises:
        TypeError: not a tensor, or complex.
        ValueError: another shape.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {_kind(value)}")
    if value.is_complex():
        raise TypeError(f"{name} must be of real numbers, got {value.dtype}")
    check_dense(name, value)
    if value.shape[max(0, value.ndim - len(ending)) :] != ending:
        raise ValueError(f"{name} must end in ({axes}) = {ending}, got shape {tuple(value.shape)}")
    return value


def check_broadcast(names: str, first: Tensor, second: Tensor) -> None:
    """Refuse two tensors whose sizes, from the last on, neither agree nor are 1."""
    axes = min(first.ndim, second.ndim)
    pairs = zip(first.shape[first.ndim - axes :], second.shape[second.ndim - axes :], strict=True)
    if any(a != b and 1 not in (a, b) for a, b in pairs):
        raise ValueError(
            f"{names} must be of the same problems and samples, got shapes {tuple(first.shape)} "
            f"and {tuple(second.shape)}"
        )


def check_real(name: str, value: object) -> Tensor:
    """Return `value` if it is a floating-point tensor, of any shape."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, Tensor) else _kind(value)
        raise TypeError(f"{name} must be a floating-point tensor, got {got}")
    check_dense(name, value)
    return value


def check_real_of_shape(name: str, value: object, shape: tuple[int, ...], axes: str) -> Tensor:
    """Return `value` if it is a floating-point tensor of just this shape."""
    tensor = check_real(name, value)
    if tensor.shape != shape:
        raise ValueError(f"{name} must have shape ({axes}) = {shape}, got {tuple(tensor.shape)}")
    return tensor


def check_one_hot(name: str, z: Tensor, hint: str = "") -> None:
    """Refuse what is not one-hot along the last axis; reads the tensor."""
    right = ((z == 0) | (z == 1)).all(-1) & (z.sum(-1) == 1)
    if not bool(right.all()):
        where = tuple(int(i) for i in (~right).nonzero()[0])
        raise ValueError(f"{name} must be one-hot, got {z[where].tolist()} at index {where}{hint}")


def check_shape(name: str, value: object, axes: Sequence[str], minimum: int = 1) -> tuple[int, ...]:
    """Return `value` as a tuple if it is a sequence of integers, one for each axis."""
    if (
        not isinstance(value, Sequence)
        or isinstance(value, (str, bytes))
        or len(value) != len(axes)
    ):
        raise TypeError(f"{name} must be ({', '.join(axes)}), got {shown(value)}")
    return tuple(
        check_count(f"{name}, {axis},", size, minimum)
        for axis, size in zip(axes, value, strict=True)
    )


def _is_finite(value: numbers.Real) -> bool:
    """Whether a number is finite as a float: by a comparison, which torch.compile understands."""
    if isinstance(value, numbers.Rational):  # an integer may have any number of digits
        return bool(abs(value) <= sys.float_info.max)  # type: ignore[operator]
    return abs(float(value)) < math.inf  # not of the value: numpy would narrow the limit


def check_positive(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number above 0, got {shown(value)}")
    if not _is_finite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number above 0, got {value}")
    return float(value)


def check_number(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not _is_finite(value):
        raise TypeError(f"{name} must be a finite number, got {shown(value)}")
    return float(value)


def check_count(name: str, value: object, minimum: int = 1, *, maximum: int = LARGEST_SIZE) -> int:
    """Return `value` as an int if it is an integer from `minimum` to `maximum`."""
    if type(value) is int and minimum <= value <= maximum:
        return value  # at once: an abstract class takes its time to know its instances
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer of at least {minimum}, got {shown(value)}")
    if value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value}")
    if int(value) > maximum:
        raise ValueError(f"{name} must be at most {maximum:,}, got {value}")
    return int(value)


def check_integers(name: str, value: object) -> Tensor:
    """Return `value` if it is a tensor of integers, of any shape; bool is none."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor of integers, got {type(value).__name__}")
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} must be a tensor of integers, got {value.dtype}")
    check_dense(name, value)
    return value


def check_callable(name: str, value: object, *, optional: bool = False) -> None:
    """Refuse what cannot be called; with `optional`, None may be there in its place."""
    if not (callable(value) or (optional and value is None)):
        words = "callable, or None" if optional else "callable"
        raise TypeError(f"{name} must be {words}, got {type(value).__name__}")


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)
