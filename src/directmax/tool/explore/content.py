"""What a page is told: the model's networks and numbers, variables by name, and some images."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from directmax.estimators import candidate_noise
from directmax.models import DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.data import AttributeData, ImageData
from directmax.tool.explore.model import (
    LARGEST_WEIGHTS,
    MOST_ROUNDING,
    codes_of,
    coupling_of,
    decoded,
    networks_of,
    rounded,
)
from directmax.tool.explore.networks import UnknownLayerError, Weights
from directmax.tool.files import RunError
from directmax.tool.run.images import split_images
from directmax.tool.run.make import Data, Model, title_of

MOST_IMAGES = 240
IMAGE_BYTES = 2**19
"""Validation images in a page: so many, of so many bytes."""
FEWEST_IMAGES = 12
SWITCH = ["off", "on"]
MOST_DIMENSIONS = 8
"""Sliders of a Gaussian code."""


@dataclass(frozen=True)
class Content:
    """What the template is filled with.

    Attributes:
        data: for the scripts, as JSON.
        lead: what is explored, in a line.
        note: how much of it is in the page.
    """

    data: dict[str, Any]
    lead: str
    note: str


def content_of(config: ResolvedConfig, data: Data, model: Model) -> Content:
    """What the page of a model is told.

    Args:
        config: of the run.
        data: its images, of which some of the validation images are in the page.
        model: the run's best one, on the CPU.

    Raises:
        RunError: it is too large for a page, or has layers that a page does not know.
    """
    shape, images = _shape(data), _images(config, data)
    dtype = _dtype(model)
    if dtype == "float16":
        model = _checked(model, images)
    weights = Weights()
    try:
        networks, lacking = networks_of(model, shape, weights)
    except UnknownLayerError as error:
        raise RunError(
            f"directmax explore cannot compute the layer {error} of the decoder in a page yet; "
            "draw the model with directmax sample"
        ) from error
    binary = not isinstance(data, AttributeData)
    codes = codes_of(model, images)
    packed = weights.packed(dtype)
    told: dict[str, Any] = {
        "kind": config.model,
        "shape": shape,
        "ink": binary and shape[0] == 1,
        "threshold": config.threshold if binary and config.binarize != "none" else None,
        "variables": _variables(config, data, model),
        "gaussian": _gaussian(codes.gaussian, codes.log_variance),
        "coupling": _coupling(model),
        "refined": _refined(config, model),
        "lacking": lacking,
        "networks": networks,
        "weights": {"dtype": dtype, "bytes": _text(packed)},
        "images": _text((images * 255).round().to(torch.uint8).numpy().tobytes()),
        "codes": codes.values.tolist(),
        "labels": _labels(data, len(images)),
    }
    rounding = "" if dtype == "float32" else ", rounded to 16 bits"
    note = (
        f"Run: {title_of(config, data)}. {len(images)} of its validation images and "
        f"{weights.count:,} weights ({size_of(len(packed))}{rounding}) are in this page."
    )
    return Content(told, _lead(told["variables"], told["gaussian"], data.name), note)


def size_of(count: int) -> str:
    """A number of bytes for people.

    Example:
        >>> size_of(36_296), size_of(1_500_000)
        ('37 kB', '1.5 MB')
    """
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{math.ceil(count / 1e3)} kB"


def _lead(variables: list[dict[str, Any]], gaussian: dict[str, Any] | None, name: str) -> str:
    """What the code of an image consists of."""
    n, k = len(variables), len(variables[0]["values"])
    kind = "binary variable" if k == 2 else "discrete variable"
    count = f"one {kind}" if n == 1 else f"{n} {kind}s"
    parts = [count if k == 2 else f"{count} with {k} values"]
    if gaussian is not None:
        parts.append(f"a Gaussian code of {gaussian['size']} dimensions")
    return f"An image of {name} as {' and '.join(parts)}."


def _refined(config: ResolvedConfig, model: Model) -> dict[str, Any] | None:
    """What a search for the code of an image with the decoder needs; None where there is none."""
    if not isinstance(model, DiscreteVAE) or not model.refined:
        return None
    log_scale = getattr(model.pixels, "log_scale", None)
    scale = 1.0 if log_scale is None else float(log_scale.detach().exp())
    n, k = config.variables, config.values
    noise = candidate_noise(n * (k - 1) + 1 if n > 1 else 0, n, k)
    return {"likelihood": model.likelihood, "scale": scale, "noise": noise.tolist()}


def _shape(data: Data) -> tuple[int, int, int]:
    """(channels, height, width)."""
    if isinstance(data, AttributeData):
        return data.shape
    return data.channels, *data.shape


def _images(config: ResolvedConfig, data: Data) -> Tensor:
    """The first validation images as rows in [0, 1], in 256 steps: as the page has them."""
    count = IMAGE_BYTES // math.prod(_shape(data))
    count = min(len(data.validation), MOST_IMAGES, max(FEWEST_IMAGES, count))
    if isinstance(data, AttributeData):
        bytes_ = torch.stack([data.validation.images[row] for row in range(count)])
        return bytes_.flatten(1).float() / 255
    return (split_images(config, data, "validation")[:count] * 255).round() / 255


def _dtype(model: Model) -> str:
    """That in which the weights are small enough.

    Raises:
        RunError: in none.
    """
    parts = (model.encoder, model.decoder)
    count = sum(parameter.numel() for part in parts for parameter in part.parameters())
    if 4 * count <= LARGEST_WEIGHTS:
        return "float32"
    if 2 * count <= LARGEST_WEIGHTS:
        return "float16"
    raise RunError(
        f"the model has {count:,} weights, {size_of(2 * count)} also in 16 bits, and a page "
        f"holds at most {size_of(LARGEST_WEIGHTS)}; train with a smaller --hidden, or draw "
        "it with directmax sample"
    )


@torch.no_grad()
def _checked(model: Model, images: Tensor) -> Model:
    """The model in 16 bits, which must decode as it does.

    Raises:
        RunError: it does not.
    """
    small, codes = rounded(model), codes_of(model, images)
    exact, inexact = (decoded(each, codes.values, codes.gaussian) for each in (model, small))
    difference = float((exact - inexact).abs().max())
    if difference <= MOST_ROUNDING:  # NaN is not
        return small
    raise RunError(
        "the weights are too large for a page unless they are rounded to 16 bits, and that "
        f"changes pixels by up to {difference:.2g}; train with a smaller --hidden, or draw the "
        "model with directmax sample"
    )


def _variables(config: ResolvedConfig, data: Data, model: Model) -> list[dict[str, Any]]:
    """Every variable's name and values."""
    n, k = model.encoder.num_variables, model.encoder.num_values
    if isinstance(data, AttributeData):
        return [{"name": name, "values": SWITCH} for name in data.attribute_names]
    values = SWITCH if k == 2 else [str(value) for value in range(k)]
    if isinstance(model, MixedVAE) and config.labels:  # a value is a class
        names = dict(enumerate(data.label_names))
        return [{"name": "class", "values": [names.get(each, str(each)) for each in range(k)]}]
    return [{"name": f"z{row + 1}" if n > 1 else "z", "values": values} for row in range(n)]


def _gaussian(mean: Tensor, log_variance: Tensor) -> dict[str, Any] | None:
    """The dimensions that images use most, by their mean KL, and how far their sliders go."""
    size = mean.shape[1]
    if size == 0:
        return None
    kl = (mean.square() + log_variance.exp() - log_variance - 1).mean(0)
    shown = sorted(kl.argsort(descending=True)[:MOST_DIMENSIONS].tolist())
    reach = max(3, math.ceil(float(mean.abs().max())))
    return {"size": size, "shown": shown, "reach": reach}


def _coupling(model: Model) -> dict[str, Any] | None:
    coupling: Any = coupling_of(model)
    if coupling is None:
        return None
    return {"supermodular": coupling.supermodular, "initial": coupling.initial_coupling}


def _labels(data: Data, count: int) -> list[str] | None:
    """What is known of the images, in words; None for nothing."""
    if isinstance(data, AttributeData):
        rows = data.validation.attributes[:count].tolist()
        return [_named(data.attribute_names, row) for row in rows]
    assert isinstance(data, ImageData)
    if not data.num_classes:
        return None
    names = dict(enumerate(data.label_names))
    return [names.get(each, str(each)) for each in data.validation.labels[:count].tolist()]


def _named(names: Iterable[str], bits: Iterable[int]) -> str:
    return ", ".join(name for name, bit in zip(names, bits, strict=True) if bit) or "none"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
