"""What the models check of what they are made of, and of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from directmax._transforms import in_transforms
from directmax._validation import check_float_tensor, check_place
from directmax.distributions import Categorical, DiscreteDistribution
from directmax.estimators import Estimator


def check_estimator(value: object) -> None:
    """Refuse, as argument `estimator` of a model, what is none."""
    if not isinstance(value, Estimator):
        raise TypeError(
            f"estimator must be an Estimator, such as Direct(), got {type(value).__name__}"
        )


def check_parts(**parts: object) -> None:
    """Refuse, as a part of a model, what is no module."""
    for name, part in parts.items():
        if not isinstance(part, nn.Module):
            got = part.__name__ if isinstance(part, type) else type(part).__name__
            raise TypeError(f"{name} must be a torch.nn.Module, got {got}")


def check_class_labels(
    labels: object, count: int, num_values: int, *, unknown: bool = False
) -> None:
    """Refuse what are no labels `(count,)` from 0 to k − 1; values are looked at on a CPU only.

    Args:
        labels: what to look at.
        count: of the labelled images.
        num_values: k.
        unknown: whether −1 may stand for a label that is not known; `count` is then of all images.
    """
    if not isinstance(labels, Tensor) or labels.dtype == torch.bool or labels.is_complex():
        got = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"labels must be a tensor of integers, got {got}")
    if labels.is_floating_point():
        raise TypeError(f"labels must be a tensor of integers, got {labels.dtype}")
    if labels.shape != (count,):
        raise ValueError(
            f"labels must be one for each of the {count} {'' if unknown else 'labelled '}images, "
            f"got shape {tuple(labels.shape)}"
        )
    if labels.device.type != "cpu" or torch.compiler.is_compiling() or not labels.numel():
        return
    least, most = int(labels.min()), int(labels.max())
    if least < -int(unknown) or most >= num_values:
        none = ", or −1 where unknown" if unknown else ""
        raise ValueError(
            f"labels must be from 0 to {num_values - 1}{none}, got values from {least} to {most}"
        )


def check_sizes(encoder: nn.Module, decoder: nn.Module, names: tuple[str, ...]) -> None:
    """Refuse an encoder and a decoder of which a size that both have differs."""
    for name in names:
        ours, theirs = getattr(encoder, name, None), getattr(decoder, name, None)
        if ours is not None and theirs is not None and ours != theirs:
            raise ValueError(
                f"encoder and decoder must have the same {name}, got {ours} and {theirs}"
            )


def check_images(images: object, num_pixels: int | None, *, name: str = "images") -> None:
    """Refuse what are no images `(b, d)` in [0, 1]; values are looked at on a CPU only.

    Raises:
        TypeError: no floating-point tensor.
        ValueError: another number of axes or pixels, NaN, or values outside [0, 1].
    """
    check_float_tensor(name, images, ("batch", "pixels"), finite=False)
    assert isinstance(images, Tensor)
    if num_pixels is not None and images.shape[1] != num_pixels:
        raise ValueError(
            f"{name} must have the {num_pixels} pixels of the model, got shape "
            f"{tuple(images.shape)}"
        )
    if images.device.type != "cpu" or torch.compiler.is_compiling() or in_transforms():
        return
    if images.numel():
        least, most = (float(each) for each in images.detach().aminmax())
        if not (least >= 0 and most <= 1):
            raise ValueError(
                f"{name} must be from 0 to 1, got values from {least} to {most}; 8-bit images are "
                "divided by 255"
            )


def posterior_of(output: object, batch: int) -> DiscreteDistribution:
    """What an encoder returned for some images, as q(z|x); logits are not checked to be finite.

    Raises:
        TypeError: neither a tensor of logits nor a distribution.
        ValueError: logits of another shape, or for other images.
    """
    if isinstance(output, DiscreteDistribution):
        if output.batch_size != batch:
            raise ValueError(
                f"encoder must return q(z|x) of the {batch} images, got {output.batch_size}"
            )
        return output
    if not isinstance(output, Tensor) or not output.is_floating_point():
        got = output.dtype if isinstance(output, Tensor) else type(output).__name__
        raise TypeError(
            "encoder must return logits (batch, variables, values) or a DiscreteDistribution, got "
            f"{got}"
        )
    if output.ndim != 3 or output.shape[0] != batch or output.shape[2] < 2:
        raise ValueError(
            f"encoder must return logits (batch, variables, values) of the {batch} images, with "
            f"2 values or more, got shape {tuple(output.shape)}"
        )
    return Categorical(output, validate=False)


def num_pixels_of(encoder: nn.Module) -> int | None:
    """What an encoder says that it takes, or its first linear layer; None: not known."""
    said = getattr(encoder, "num_pixels", None)
    if isinstance(said, int):
        return said
    layers = getattr(encoder, "layers", getattr(encoder, "base", None))
    first = layers[0] if isinstance(layers, nn.Sequential) and len(layers) else None
    return first.in_features if isinstance(first, nn.Linear) else None


def check_bytes(
    name: str, images: object, shape: tuple[int, int, int], device: torch.device
) -> None:
    """Refuse what are no 8-bit images `(batch, *shape)` where the model is."""
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"{name} must be 8-bit, torch.uint8 from 0 to 255, got {got}")
    check_place(name, images, device, "the model")
    if tuple(images.shape[1:]) != tuple(shape):
        raise ValueError(
            f"{name} must have shape (batch, *{tuple(shape)}), got {tuple(images.shape)}"
        )
