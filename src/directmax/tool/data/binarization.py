"""Grey images to binary images."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from directmax.tool.data.names import BINARIZATIONS


def binarize(
    images: Float[Tensor, "*shape"], mode: str, *, generator: torch.Generator | None = None
) -> Float32[Tensor, "*shape"]:
    """Turn grey values into zeros and ones.

    | mode        | a pixel of grey value g becomes | call it               |
    | ----------- | ------------------------------- | --------------------- |
    | "threshold" | 1 if g > 0.5, otherwise 0       | once                  |
    | "static"    | a draw of Bernoulli(g)          | once, before training |
    | "dynamic"   | a draw of Bernoulli(g)          | anew for every epoch  |
    | "none"      | g                               | once                  |

    "static" and "dynamic" are the same draw; they differ in how often the training loop asks for
    it. One generator state gives one draw, so a seeded "static" set can be had again.

    Args:
        images: `(*shape)`, any floating type, values in [0, 1].
        mode: one of `directmax.tool.data.BINARIZATIONS`.
        generator: source of randomness, on the images' device; the default generator if None.

    Returns:
        A float32 tensor of the same shape and device, new, except that "none" returns the input
        itself where it is float32 already.

    Raises:
        TypeError: `images` is not a floating-point tensor.
        ValueError: an unknown mode, or a value outside [0, 1] or not finite.

    Example:
        >>> grey = torch.tensor([0.0, 0.2, 0.8, 1.0])
        >>> binarize(grey, "threshold")
        tensor([0., 0., 1., 1.])
        >>> binarize(grey, "static", generator=torch.Generator().manual_seed(0)).shape
        torch.Size([4])

    Reference:
        Salakhutdinov and Murray, "On the Quantitative Analysis of Deep Belief Networks", ICML
        2008 (Bernoulli); Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders",
        ICLR 2016 (anew at every epoch).
    """
    if mode not in BINARIZATIONS:
        raise ValueError(f"mode must be one of {', '.join(BINARIZATIONS)}; got {mode!r}")
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a torch.Tensor, got {type(images).__name__}")
    if not images.is_floating_point():
        raise TypeError(
            f"images must be floating point with values in [0, 1], got {images.dtype}; "
            "convert bytes with images.float() / 255"
        )
    if images.numel():
        smallest, largest = (float(bound) for bound in images.aminmax())
        if not (smallest >= 0 and largest <= 1):  # NaN fails both
            raise ValueError(
                f"images must be finite and in [0, 1], got values from {smallest:g} to {largest:g}"
            )
    if mode == "threshold":
        return (images > 0.5).to(torch.float32)
    if mode == "none":
        return images.to(torch.float32)
    return torch.bernoulli(images, generator=generator).to(torch.float32)
