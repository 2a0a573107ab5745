"""What cannot work inside torch.func, torch.compile or torch.export: refused, or left out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

Function = TypeVar("Function", bound=Callable[..., Any])
_EXPORT_IS_TOLD = torch.__version__ >= "2.13"
"""Before, `is_exporting()` is true in torch.compile, too: seen with 2.8 to 2.11."""


def in_transforms() -> bool:
    """Whether torch.func.grad, vmap or another function transform is looking on.

    Example:
        >>> in_transforms()
        False
    """
    return bool(torch._C._are_functorch_transforms_active())


def recorded() -> bool:
    """Whether torch.export or torch.jit.trace records operations, to repeat them on other numbers.

    Example:
        >>> recorded()
        False
    """
    if torch.jit.is_tracing():
        return True
    told = _EXPORT_IS_TOLD or not torch.compiler.is_dynamo_compiling()
    return told and torch.compiler.is_exporting()


def refuse_recorded(what: str, instead: str) -> None:
    """Refuse to go on where operations are recorded.

    Raises:
        TypeError: they are.
    """
    if recorded():
        raise TypeError(f"{what} cannot be recorded by torch.export or torch.jit.trace: {instead}")


def refuse_traced(what: str) -> None:
    """Refuse torch.jit.trace, for which sizes are no numbers.

    Raises:
        TypeError: it is at work.
    """
    if torch.jit.is_tracing():
        raise TypeError(f"{what} does not work under torch.jit.trace: use torch.export.export")


def readable(x: Tensor) -> bool:
    """Whether anybody can look at the numbers in a tensor.

    Not on the meta device, nor under vmap, nor where operations are recorded.

    Example:
        >>> readable(torch.ones(2)), readable(torch.ones(2, device="meta"))
        (True, False)
    """
    if x.is_meta or recorded():
        return False
    if torch.compiler.is_compiling() or not in_transforms():
        return True
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        if functorch.is_batchedtensor(x):
            return False
        x = functorch.get_unwrapped(x)
    return True


def refuse_in_transforms(what: str, instead: str) -> None:
    """Refuse to go on inside a function transform.

    Raises:
        TypeError: one is active.
    """
    if in_transforms():
        raise TypeError(f"{what} does not work inside torch.func transforms: {instead}")


def wrapped(*tensors: Tensor) -> bool:
    """Whether one of the tensors has no memory of its own, or its numbers must not be taken.

    A function transform looks at it, or operations are recorded.

    Example:
        >>> wrapped(torch.ones(2))
        False
    """
    if recorded():
        return True
    if torch.compiler.is_compiling() or not in_transforms():
        return False
    return any(torch._C._functorch.is_functorch_wrapped_tensor(each) for each in tensors)


def refuse_wrapped(what: str, *tensors: Tensor) -> None:
    """Refuse tensors that a function transform looks at, where the memory itself is needed.

    Raises:
        TypeError: one is such a tensor, or operations are recorded.
    """
    refuse_recorded(what, OUTSIDE)
    if wrapped(*tensors):
        raise TypeError(
            f"{what} does not work inside torch.func transforms: use backward(), or Exact"
        )


def recomputing() -> bool:
    """Whether this runs inside a backward pass, as under torch.utils.checkpoint.

    Example:
        >>> recomputing()
        False
    """
    if torch.compiler.is_compiling():
        return False
    return bool(torch._C._current_graph_task_id() != -1)


def once(x: Tensor) -> Tensor:
    """`x`; a second derivative through it is refused.

    For what has a first derivative that is given, or estimated, as a number: its own derivative
    would silently come out as zero.

    Example:
        >>> x = torch.ones(1, requires_grad=True)
        >>> (slope,) = torch.autograd.grad(once(x) ** 2, x, create_graph=True)
        >>> torch.autograd.grad(slope, x)
        Traceback (most recent call last):
        ...
        RuntimeError: the gradient with respect to the potentials of a distribution is an ...
    """
    if torch.compiler.is_compiling():
        return x
    if in_transforms():
        if _differentiations() > 1:
            raise RuntimeError(ONCE)
        return x
    if not (torch.is_grad_enabled() and x.requires_grad):
        return x
    same: Tensor = _Once.apply(x)
    return same


ONCE = (
    "the gradient with respect to the potentials of a distribution is an estimate, or a sum over "
    "states, that cannot be differentiated again; use Exact with a Categorical for second "
    "derivatives"
)


def _differentiations() -> int:
    """How many of the active function transforms differentiate."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    kinds = torch._C._functorch.TransformType
    return sum(each.key() in (kinds.Grad, kinds.Jvp) for each in stack)


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return last(grad, x)


def last(grad: Tensor, x: Tensor) -> Tensor:
    """In a backward pass, the gradient of `x`, whose own derivative is refused as by `once`."""
    if not torch.is_grad_enabled():
        return grad
    same: Tensor = _Last.apply(grad, x)
    return same


class _Last(torch.autograd.Function):
    """A gradient that depends on `x` in a way that is not known."""

    @staticmethod
    def forward(ctx: FunctionCtx, grad: Tensor, x: Tensor) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:
        raise RuntimeError(ONCE)


OUTSIDE = "record the layers that make its potentials, and make the distribution outside"

UNTRACED = (
    "torch.compile cannot trace this: an estimator that differentiates f, or a compiled kernel; "
    "leave fullgraph=True out"
)


def uncompiled(function: Function) -> Function:
    """`function`, which torch.compile leaves as it is: it differentiates inside, or calls numba.

    That is `torch.compiler.disable`, without its import of the compiler, which takes as long and as
    much memory as that of torch, where nothing is compiled.

    Example:
        >>> uncompiled(abs)(-1)
        1
    """

    @functools.wraps(function)
    def call(*args: Any, **settings: Any) -> Any:
        if torch.compiler.is_compiling():
            refuse_recorded("what differentiates f itself", "use an estimator that does not")
            torch._dynamo.graph_break(msg=UNTRACED)  # what is said where none is allowed
            return torch.compiler.disable(function)(*args, **settings)
        return function(*args, **settings)

    return call  # type: ignore[return-value]
