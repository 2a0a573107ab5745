"""Networks as lists of layers, which a page computes; `look/templates/explore_networks.js` does."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Layer = dict[str, Any]
Shape = tuple[int, ...]
"""Of what a layer takes: (features,) or (channels, height, width)."""


class UnknownLayerError(ValueError):
    """The page cannot compute a module; names it."""


class Weights:
    """The numbers of all layers, one after the other; a layer says where its own begin."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float32]] = []
        self.count = 0

    def add(self, tensor: Tensor) -> int:
        """Append a tensor, row by row; returns where it begins."""
        start = self.count
        part = tensor.detach().to("cpu", torch.float32).contiguous().numpy().ravel()
        self._parts.append(part)
        self.count += part.size
        return start

    def packed(self, dtype: str) -> bytes:
        """All numbers, little-endian.

        Args:
            dtype: "float32" or "float16".
        """
        whole = np.concatenate([np.zeros(0, np.float32), *self._parts])
        return whole.astype(np.dtype(dtype).newbyteorder("<")).tobytes()


def layers_of(*modules: nn.Module, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    """Modules, one behind the other, as layers.

    Args:
        modules: of torch: linear, convolutions, ReLU and containers of them.
        shape: of the input.
        weights: where their numbers are appended.

    Returns:
        The layers, and the shape of the output.

    Raises:
        UnknownLayerError: the page cannot compute one of them.

    Example:
        >>> layers, shape = layers_of(nn.Linear(3, 2), nn.ReLU(), shape=(3,), weights=Weights())
        >>> [layer["op"] for layer in layers], shape
        (['linear', 'relu'], (2,))
    """
    layers: list[Layer] = []
    for module in modules:
        if isinstance(module, nn.Sequential):
            part, shape = layers_of(*module, shape=shape, weights=weights)
        elif type(module) in TRANSLATIONS:
            part, shape = TRANSLATIONS[type(module)](module, shape, weights)
        else:
            raise UnknownLayerError(type(module).__name__)
        layers += part
    return layers, shape


def _linear(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    sizes = {"inputs": module.in_features, "outputs": module.out_features}
    if math.prod(shape) != module.in_features:
        raise UnknownLayerError(f"Linear of {module.in_features} features behind {shape}")
    return [{"op": "linear", **sizes, **_numbers(module, weights)}], (module.out_features,)


def _same(op: str) -> Callable[[Any, Shape, Weights], tuple[list[Layer], Shape]]:
    return lambda module, shape, weights: ([{"op": op}], shape)


def _convolution(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    """Of Conv2d and ConvTranspose2d."""
    back = isinstance(module, nn.ConvTranspose2d)
    kernel, stride, padding = (_square(module, name) for name in GEOMETRY)
    plain = module.groups == 1 and _square(module, "dilation") == 1
    if not plain or module.padding_mode != "zeros" or (back and any(module.output_padding)):
        raise UnknownLayerError(repr(module))
    if back:
        grid = [(size - 1) * stride - 2 * padding + kernel for size in shape[1:]]
    else:
        grid = [(size + 2 * padding - kernel) // stride + 1 for size in shape[1:]]
    out = (module.out_channels, *grid)
    layer = {
        "op": "transposed" if back else "convolution",
        "from": shape,
        "to": out,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        **_numbers(module, weights),
    }
    return [layer], out


GEOMETRY = ("kernel_size", "stride", "padding")


def _square(module: nn.Module, name: str) -> int:
    value = getattr(module, name)
    if isinstance(value, str) or len(set(value)) != 1:
        raise UnknownLayerError(repr(module))
    return int(value[0])


def _numbers(module: Any, weights: Weights) -> Layer:
    bias = None if module.bias is None else weights.add(module.bias)
    return {"weight": weights.add(module.weight), "bias": bias}


def cropped(shape: Shape, height: int, width: int) -> tuple[list[Layer], Shape]:
    """The middle of images."""
    to = (shape[0], height, width)
    if to == shape:
        return [], shape
    top, left = (shape[1] - height) // 2, (shape[2] - width) // 2
    return [{"op": "crop", "from": shape, "to": to, "top": top, "left": left}], to


TRANSLATIONS: dict[type, Callable[[Any, Shape, Weights], tuple[list[Layer], Shape]]] = {
    nn.Linear: _linear,
    nn.ReLU: _same("relu"),
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _convolution,
}
"""By the type of a module, what the page computes in its place."""
