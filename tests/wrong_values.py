"""Calls with one argument that is wrong, how it is drawn, and how it must end."""

from __future__ import annotations

import random
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import directmax as dm
from directmax import distributions

PACKAGE = str(Path(dm.__file__).parent)
EXPECTED = r"must|expected|needs|unknown|takes|not finite"
Make = Callable[[], Any]
NOT_NUMBERS = ("x", None, [1], 1 + 1j, object(), torch.ones(2), np.array([1.0, 2.0]), b"1", {})
OUT_OF_RANGE = (
    -1,
    0,
    float("nan"),
    float("inf"),
    -float("inf"),
    1.5,
    np.float32("nan"),
    -(10**40),
    10**40,
    2**62,
)
KINDS = (str, list, complex, object, Tensor, np.ndarray, bytes, dict)
NOT_MODULES = (None, 3, "direct", nn.Linear(2, 2), dm.Direct, torch.zeros(2), [dm.Direct()])


@dataclass(frozen=True)
class Call:
    """A function, and how its good arguments are made: numbers, tensors, functions, modules."""

    name: str
    function: Callable[..., Any]
    good: dict[str, Make]


@dataclass(frozen=True)
class WrongCall:
    """A call of which one argument is another."""

    call: Call
    argument: str
    value: Any

    @property
    def hopeless(self) -> bool:
        """Whether nothing may take the value for a good one: of another kind altogether."""
        good, value = self.call.good[self.argument](), self.value
        if value is None:
            return False
        if isinstance(good, Tensor):
            return isinstance(value, str | float) or type(value) is object
        if isinstance(good, bool):
            return not isinstance(value, bool | np.bool_)
        if isinstance(good, str):
            return not callable(value)
        return isinstance(good, int | float) and type(value) in KINDS

    def __call__(self) -> Any:
        arguments = {name: make() for name, make in self.call.good.items()}
        return self.call.function(**(arguments | {self.argument: self.value}))

    def __repr__(self) -> str:
        value = self.value
        shown = getattr(value, "__name__", repr(value))
        if isinstance(value, Tensor):
            inside = "nothing" if value.is_meta else value.flatten()[:3].tolist()
            shown = f"{value.dtype}{tuple(value.shape)} of {inside}"
        return f"{self.call.name}({self.argument}={shown})"


def wrong_values(good: object, draw: random.Random) -> object:
    """One that is wrong in place of a good one, or at least unusual."""
    if isinstance(good, Tensor):
        return wrong_tensor(good, draw)
    if isinstance(good, nn.Module | distributions.DiscreteDistribution):
        return draw.choice(NOT_MODULES)
    if callable(good):
        return draw.choice((None, 3, "f", torch.zeros(2), *map(returns, range(7))))
    if isinstance(good, tuple | dict):
        return draw.choice((*NOT_NUMBERS, -1, (), (1,), (-1, 2, 2), (2.5, 2, 2), ("x",) * 3))
    return draw.choice((*NOT_NUMBERS, *OUT_OF_RANGE))


def wrong_tensor(good: Tensor, draw: random.Random) -> object:
    """Another type, shape or value."""
    if not good.ndim:
        return draw.choice(("x", None, [1], torch.ones(2), torch.tensor(1), torch.tensor(1j)))
    axis = draw.randrange(good.ndim)
    size = good.shape[axis]
    longer = torch.cat([good, good.narrow(axis, 0, 1)], axis)
    floats = good.is_floating_point()
    spoilt = good.clone()
    spoilt.view(-1)[0] = draw.choice((torch.nan, torch.inf, -7.5)) if floats else 77
    kinds: tuple[object, ...] = (
        *("x", None, 3, 2.5, good.tolist(), good.numpy(), object()),
        *(longer, longer, good.narrow(axis, 0, size - 1), good.narrow(axis, 0, 0)),
        *(good.unsqueeze(0), good.unsqueeze(-1), good.select(axis, 0), good.flatten()),
        *(spoilt, spoilt, torch.full_like(spoilt, spoilt.view(-1)[0].item())),
        *(good.to(torch.complex64), good.to(torch.int64) if floats else good.float() + 0.5),
        *(good > 0, torch.zeros(()), torch.zeros(0)),
        *(good.to("meta"), good.to(torch.float8_e4m3fn), good.to(torch.float16)),
    )
    return draw.choice(kinds)


def returns(kind: int) -> Callable[..., object]:
    """A function of which the result does not fit."""

    def wrong(*inputs: Any) -> object:
        z = inputs[0] if inputs else torch.zeros(1, 2, 3)
        z = torch.as_tensor(z)
        results = (
            *(None, 1.0, "x", torch.zeros(()), torch.zeros(*z.shape, 2)),
            *(
                torch.full(z.shape[:-2], torch.nan),
                z.new_zeros(z.shape[:-2], dtype=torch.complex64),
            ),
        )
        return results[kind]

    wrong.__name__ = f"returns_{kind}"
    return wrong


def always(value: object) -> Make:
    return lambda: value


def method(make: Make, name: str, **good: Make) -> Call:
    """A method of an object that is made anew."""
    return Call(f"{name} of {make.__name__}", lambda **given: getattr(make(), name)(**given), good)


def fault(call: WrongCall) -> str | None:
    """What is wrong with how a wrong call ends; None where it is right, or the call succeeds."""
    try:
        call()
    except (TypeError, ValueError) as error:
        message = str(error)
        if not traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE):
            return f"{call}: raised by torch or Python, {message}"
        if "\n" in message:
            return f"{call}: several lines, {message}"
        if not re.search(rf"\b{call.argument}\b|{EXPECTED}", message):
            return f"{call}: neither the argument nor what was expected, {message}"
        return None
    except Exception as error:  # the point is that there is no other
        return f"{call}: {type(error).__name__}, {error}"
    return f"{call} is accepted" if call.hopeless else None
