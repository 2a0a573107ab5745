"""Grey images to binary images."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from directmax.tool.data.names import BINARIZATIONS


def binarize(
    images: Float[Tensor, "*shape"],
    mode: str,
    *,
    generator: torch.Generator | None = None,
    threshold: float = 0.5,
) -> Float32[Tensor, "*shape"]:
    """Turn grey values into zeros and ones.

    | mode        | a pixel of grey value g becomes | call it               |
    | ----------- | ------------------------------- | --------------------- |
    | "threshold" | 1 if g > t, otherwise 0         | once                  |
    | "static"    | a draw of Bernoulli(g)          | once, before training |
    | "dynamic"   | a draw of Bernoulli(g)          | anew for every epoch  |
    | "none"      | g                               | once                  |

    "static" and "dynamic" are one draw, asked for once or often; a generator's state decides it.

    Args:
        images: `(*shape)`, any floating type, values in [0, 1].
        mode: one of `directmax.tool.data.BINARIZATIONS`.
        generator: source of randomness, on the images' device; the default generator if None.
        threshold: t.

    Returns:
        Float32, of the same shape and device, new; with "none" the input itself, if it is float32.

    Raises:
        TypeError: `images` is not a floating-point tensor.
        ValueError: an unknown mode, or a value outside [0, 1] or not finite.

    Example:
        >>> grey = torch.tensor([0.0, 0.2, 0.8, 1.0])
        >>> binarize(grey, "threshold")
        tensor([0., 0., 1., 1.])
        >>> binarize(grey, "static", generator=torch.Generator().manual_seed(0)).shape
        torch.Size([4])

    Reference: Salakhutdinov and Murray 2008 (Bernoulli); Burda, Grosse and Salakhutdinov,
    "Importance Weighted Autoencoders", ICLR 2016 (anew at every epoch).
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
    if mode in ("threshold", "none"):
        return (images > threshold if mode == "threshold" else images).to(torch.float32)
    return torch.bernoulli(images, generator=generator).to(torch.float32)


NEARLY = 0.9
"""Share of the best threshold's criterion with which 0.5 will do."""
LEVELS = 256
FEW = 2**22
"""Pixels that are counted."""


def best_threshold(images: Float[Tensor, "N d"]) -> float:
    r"""The grey value that parts ink from ground: 0.5 where it nearly does, else Otsu's.

    A threshold t explains the share w(t) (1 − w(t)) (μ₁(t) − μ₀(t))² / σ² of the variance σ² of all
    pixels, w being the share of those up to t, μ₀ and μ₁ their means and those of the others. The
    published protocols take 0.5, which has at least 0.97 of the most that there is on MNIST,
    Fashion-MNIST, Omniglot and scikit-learn's digits. With less than 0.9 of it, as of thin or
    faint strokes, the threshold with most is taken, in 256 steps.

    Args:
        images: in [0, 1]; of many, evenly chosen ones are looked at.

    Example:
        >>> best_threshold(torch.tensor([[0.0, 0.1, 0.9, 1.0]]))
        0.5
        >>> faint = torch.tensor([[0.0, 0.02, 0.2, 0.22]])
        >>> best_threshold(faint), binarize(faint, "threshold", threshold=best_threshold(faint))
        (0.11, tensor([[0., 0., 1., 1.]]))

    Reference: Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on
    Systems, Man, and Cybernetics 1979.
    """
    step = -(-images.numel() // FEW)
    levels = (images[::step].reshape(-1) * (LEVELS - 1)).round().to(torch.uint8).cpu().numpy()
    counts = np.bincount(levels, minlength=LEVELS)
    values = np.arange(LEVELS) / (LEVELS - 1)
    share, first = counts.cumsum() / counts.sum(), (counts * values).cumsum() / counts.sum()
    between, both = np.zeros(LEVELS), (share > 0) & (share < 1)
    between[both] = (first[-1] * share - first)[both] ** 2 / (share * (1 - share))[both]
    half = between[LEVELS // 2 - 1]  # 0.5 lies between two levels
    if half >= NEARLY * between.max():
        return 0.5
    # Between two groups without others all thresholds are alike: their middle.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return round(float(best[0] + best[-1] + 1) / 2 / (LEVELS - 1), 3)
