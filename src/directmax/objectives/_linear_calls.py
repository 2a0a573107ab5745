"""Any torch function again at neighbours of an input, its linear layers by differences in bfloat16.

A linear operation of a + δ is that of a plus that of δ. Where a is known, only δ is multiplied, in
bfloat16, so that the error is relative to the *change* of what comes out. Nothing need be known of
the function: its linear layers and convolutions are seen as it calls them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from directmax._kernels import over_rows
from directmax._precision import NARROW

_LINEAR = frozenset(
    {
        F.linear,
        *(F.conv1d, F.conv2d, F.conv3d),
        *(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d),
    }
)
"""Functions of (input, weight, bias, …), linear in the input but for the bias."""


@dataclass(frozen=True)
class _Call:
    """A linear operation: what it got, its weight, and what it gave."""

    function: Callable[..., Tensor]
    source: Tensor
    weight: Tensor
    result: Tensor

    @functools.cached_property
    def reduced(self) -> Tensor:
        """The weight in bfloat16."""
        return self.weight.detach().bfloat16()

    @property
    def is_narrow(self) -> bool:
        """Whether it is a convolution that torch may do wrong in bfloat16."""
        columns = self.result.shape[-1]
        return self.function is not F.linear and columns <= NARROW and self.result.is_cpu


class LinearCalls(TorchFunctionMode):
    """A context that remembers the linear operations inside: of m rows, the first axis.

    Example:
        >>> layer = torch.nn.Linear(3, 2)
        >>> with LinearCalls() as seen:
        ...     result = layer(torch.ones(4, 3))
        >>> len(seen.calls), seen.ends_with(result)
        (1, True)
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self.whole = False
        self._result: tuple[Tensor, int] | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The operation, remembered where it is linear."""
        result = func(*args, **(kwargs or {}))
        if func in _LINEAR and len(args) > 1 and _plain(*args[:2]):
            # Copies, as a later layer may work in place.
            source, given = args[0].detach().clone(), result.detach().clone()
            self.calls.append(_Call(func, source, args[1], given))
            # Nobody counts what is written to a tensor of inference mode.
            self._result = None if result.is_inference() else (result, result._version)
        return result

    def ends_with(self, result: Tensor) -> bool:
        """Whether this is what the last of the operations gave; to be asked once, at the end."""
        last, self._result = self._result, None
        self.whole = last is None or last[0] is not result or last[1] != result._version
        return not self.whole


class MovedCalls(TorchFunctionMode):
    """A context for the same function at c changes of each of some rows, `(rows · c, …)`.

    An operation that does not fit the remembered one, of other sizes or another weight, is done as
    always, as is a convolution that makes a narrow map; any other is exact but for the rounding of
    its change, whatever the rows mean.

    Where the function ended with the last of the operations, that one gives zeros, which take no
    memory; if they are what the function then returns, its result has moved by `change`.

    Args:
        seen: what the function did with all m rows.
        rows: of which rows there are changes.
    """

    def __init__(self, seen: LinearCalls, rows: slice) -> None:
        super().__init__()
        self._left, self._rows, self._whole = list(reversed(seen.calls)), rows, seen.whole
        self._change: Tensor | None = None
        self._zeros: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The operation, by the change of its input where it is linear."""
        kwargs = kwargs or {}
        if func in _LINEAR and len(args) > 1 and _plain(*args[:2]) and self._left:
            call = self._left.pop()
            source = call.source[self._rows]
            same = call.function is func and call.weight is args[1] and not call.is_narrow
            if same and _neighbours(args[0], source):
                change = _changed(call, source, args, kwargs)
                if not (self._left or self._whole):
                    self._change, self._zeros = change, args[0].new_zeros(()).expand(change.shape)
                    return self._zeros
                return _added(call.result[self._rows], change)
        return func(*args, **kwargs)

    def change(self, result: object) -> Tensor | None:
        """By how much the result of the function moved, `(rows · c, …)`; None where it says so.

        Raises:
            LookupError: the zeros are not what the function returned.
        """
        if result is not self._zeros and self._zeros is not None:
            raise LookupError("the function did not end as before")
        return self._change


def _plain(source: object, weight: object) -> bool:
    return (
        isinstance(source, Tensor)
        and isinstance(weight, Tensor)
        and source.dtype == weight.dtype == torch.float32
        and source.ndim > 1
    )


def _neighbours(moved: Tensor, source: Tensor) -> bool:
    """Whether there is the same number of changes of each row, of the same sizes."""
    rows = len(source)
    return rows > 0 and len(moved) % rows == 0 and moved.shape[1:] == source.shape[1:]


def _changed(call: _Call, source: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """operation(args[0] − source), without bias, in bfloat16."""
    change = _differences(args[0], source)
    rest = {name: value for name, value in kwargs.items() if name != "bias"}
    return call.function(change, call.reduced, *(None for _ in args[2:3]), *args[3:], **rest)


def _differences(moved: Tensor, source: Tensor) -> Tensor:
    """moved − source of its row, in bfloat16."""
    rows = len(source)
    if moved.device.type != "cpu":
        change = moved.unflatten(0, (rows, -1)) - source.unsqueeze(1)
        return change.bfloat16().flatten(0, 1)
    from directmax.objectives._linear_kernel import differences

    out = torch.empty(moved.shape, dtype=torch.bfloat16, device="cpu")
    arrays = _array(moved.detach(), rows), _array(source, rows)[:, 0], _array(out, rows)
    over_rows(lambda start, stop: differences(*arrays, start, stop), rows, minimum=8)
    return out


def _added(before: Tensor, change: Tensor) -> Tensor:
    """`before` of its row + change, in float32."""
    rows = len(before)
    if change.device.type != "cpu":
        return (change.unflatten(0, (rows, -1)) + before.unsqueeze(1)).flatten(0, 1)
    from directmax.objectives._linear_kernel import sums

    out = torch.empty(change.shape, dtype=torch.float32, device="cpu")
    arrays = _array(before, rows)[:, 0], _array(change, rows), _array(out, rows)
    over_rows(lambda start, stop: sums(*arrays, start, stop), rows, minimum=8)
    return out


def _array(x: Tensor, rows: int) -> NDArray[Any]:
    """`(rows, c, …)` as three axes, of a bfloat16 the bits."""
    bits = x.view(torch.int16) if x.dtype == torch.bfloat16 else x
    array: NDArray[Any] = bits.contiguous().view(rows, len(x) // rows, -1).numpy()
    return array
