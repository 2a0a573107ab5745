"""Sums that are differentiated to be computed, also where nothing is recorded."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

S = TypeVar("S")
P = ParamSpec("P")
Method = Callable[Concatenate[S, Tensor, P], Tensor]


def outside_inference(method: Method[S, P]) -> Method[S, P]:
    """The method, left to its own in `torch.inference_mode`, which no `enable_grad` ends."""

    @functools.wraps(method)
    def outside(self: S, weights: Tensor, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        if not torch.is_inference_mode_enabled():
            return method(self, weights, *args, **kwargs)
        with torch.inference_mode(False), torch.no_grad():
            return method(_ordinary(self), _copied(weights), *args, **kwargs)

    return outside


def _ordinary(structure: S) -> S:
    """Itself, or a copy whose potentials may be used where gradients are recorded."""
    held = {n: v for n, v in vars(structure).items() if isinstance(v, Tensor) and v.is_inference()}
    if not held:
        return structure
    other = copy.copy(structure)
    vars(other).update({name: value.clone() for name, value in held.items()})
    return other


def _copied(weights: Tensor) -> Tensor:
    """An ordinary tensor; what is none is refused by the method itself."""
    if not isinstance(weights, Tensor):
        return weights
    return weights.clone() if weights.is_inference() else weights.detach()
