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
Translation = Callable[[Any, Shape, "Weights"], tuple[list[Layer], Shape]]


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
        else:
            part, shape = _translation(module)(module, shape, weights)
        layers += part
    return layers, shape


def _translation(module: nn.Module) -> Translation:
    kind = type(module)
    if kind.__module__.startswith("directmax.models.") and kind.__name__ in OWN:
        return OWN[kind.__name__]
    if kind not in TRANSLATIONS:
        raise UnknownLayerError(kind.__name__)
    return TRANSLATIONS[kind]


def _linear(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    sizes = {"inputs": module.in_features, "outputs": module.out_features}
    if math.prod(shape) != module.in_features:
        raise UnknownLayerError(f"Linear of {module.in_features} features behind {shape}")
    return [{"op": "linear", **sizes, **_numbers(module, weights)}], (module.out_features,)


def _softplus(module: nn.Softplus, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    if module.beta != 1:
        raise UnknownLayerError(repr(module))
    return [{"op": "softplus"}], shape


def _leaky(module: nn.LeakyReLU, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    return [{"op": "leaky", "slope": module.negative_slope}], shape


def _same(op: str) -> Translation:
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


def _norm(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    if module.weight is None:
        raise UnknownLayerError(repr(module))
    sizes = {"groups": module.num_groups, "epsilon": module.eps, "from": shape}
    return [{"op": "norm", **sizes, **_numbers(module, weights)}], shape


def _upsample(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    scale = module.scale_factor
    if module.mode != "nearest" or scale is None or scale != int(scale):
        raise UnknownLayerError(repr(module))
    to = (shape[0], *(size * int(scale) for size in shape[1:]))
    return [{"op": "upsample", "from": shape, "to": to, "scale": int(scale)}], to


def _residual(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    layers, to = layers_of(module.layers, shape=shape, weights=weights)
    shortcut, _ = layers_of(module.shortcut, shape=shape, weights=weights)
    return [{"op": "sum", "layers": layers, "shortcut": shortcut}], to


def _trunk(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    return layers_of(module.network, shape=shape, weights=weights)


def _image_trunk(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    parts = (module.layers, module.last, nn.ReLU())
    return layers_of(*parts, shape=tuple(module.shape), weights=weights)


def _image_decoder(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    first, _ = layers_of(module.first, shape=shape, weights=weights)
    rest, full = layers_of(module.layers, shape=tuple(module.grid), weights=weights)
    middle, to = cropped(full, *module.shape[1:])
    return first + rest + middle, to


def _place_norm(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    places: Layer = {
        "op": "placeNorm",
        "epsilon": module.norm.eps,
        "weight": weights.add(module.norm.weight),
        "bias": weights.add(module.norm.bias),
        "from": list(shape),
    }
    return [places, {"op": "relu"}], shape


def _decoder(module: Any, shape: Shape, weights: Weights) -> tuple[list[Layer], Shape]:
    return layers_of(module.first, nn.ReLU(), module.last, shape=shape, weights=weights)


TRANSLATIONS: dict[type, Translation] = {
    nn.Linear: _linear,
    nn.ReLU: _same("relu"),
    nn.LeakyReLU: _leaky,
    nn.Softplus: _softplus,
    nn.Identity: lambda module, shape, weights: ([], shape),
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _convolution,
    nn.GroupNorm: _norm,
    nn.Upsample: _upsample,
}
"""By the type of a module, what the page computes in its place."""

OWN: dict[str, Translation] = {
    "Convolution": _convolution,
    "Decoder": _decoder,
    "Doubling": _convolution,
    "ImageDecoder": _image_decoder,
    "ImageTrunk": _image_trunk,
    "NormalizedRectifier": _place_norm,
    "ResidualBlock": _residual,
    "Trunk": _trunk,
}
"""The same by the name of a class of `directmax.models`, some of which are private there."""
