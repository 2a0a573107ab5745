"""Layers that in training mode differ from call to call, or mix what they are called with.

An estimator that compares f at several z takes such a difference for one between the z. The sample
and its changes are other rows of a batch, so BatchNorm makes each depend on all.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.module import register_module_forward_pre_hook

from directmax._transforms import in_transforms, recorded
from directmax.objectives._batched import Batched

_looked_at: set[object] = set()
_modules: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def looked_at(objective: object) -> AbstractContextManager[None]:
    """A context that warns, once for a function, of such layers that it calls in here.

    Example:
        >>> layer = nn.Sequential(nn.Flatten(), nn.Dropout()).eval()
        >>> with looked_at(layer):
        ...     layer(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    if torch.compiler.is_compiling() or in_transforms() or recorded():
        return nullcontext()
    key = _key(objective)
    if isinstance(key, nn.Module):
        look_at(key, "f")
        return nullcontext()
    return nullcontext() if key in _looked_at else _looking(key)


@contextmanager
def _looking(key: object) -> Iterator[None]:
    called: list[nn.Module] = []
    handle = register_module_forward_pre_hook(lambda module, inputs: called.append(module))
    try:
        yield
    finally:
        handle.remove()
    if not called or any(module.training for module in called):  # else it may train later
        _looked_at.add(key)
    _warn("f", called)


def look_at(module: object, what: str = "the decoder") -> None:
    """Warn, once for a module that is in training mode, of such layers in it."""
    if torch.compiler.is_compiling() or not isinstance(module, nn.Module):
        return
    if module.training and module not in _modules:
        _modules.add(module)
        _warn(what, module.modules())


def _key(objective: Any) -> object:
    """Of what is the same at every step of a training, though a function may be made anew."""
    while isinstance(objective, (Batched, functools.partial)):
        objective = objective.function if isinstance(objective, Batched) else objective.func
    if isinstance(objective, nn.Module):
        return objective
    function = getattr(objective, "__func__", objective)
    return getattr(function, "__code__", type(objective))


def _warn(what: str, modules: Iterable[nn.Module]) -> None:
    for module in modules:
        if not module.training:
            continue
        name = type(module).__name__
        if isinstance(module, _BatchNorm):
            reason = (
                "mixes the z that are compared, and problems: call .eval() on it, or take "
                "LayerNorm or GroupNorm"
            )
        elif isinstance(module, (_DropoutNd, nn.MultiheadAttention, nn.RNNBase)) and _drops(module):
            reason = (
                "drops others at every z that is compared, so that their difference is noise: "
                "call .eval() on it, or draw what is dropped before"
            )
        else:
            continue
        warnings.warn(f"{what} has a {name} in training mode, which {reason}", stacklevel=2)
        return


def _drops(module: nn.Module) -> bool:
    share = getattr(module, "p", getattr(module, "dropout", 0.0))
    return isinstance(share, (float, int)) and share > 0
