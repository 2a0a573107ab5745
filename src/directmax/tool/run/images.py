"""The images of a run, binarised as its configuration says."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from directmax.tool.config import ResolvedConfig
from directmax.tool.data import ImageData, binarize
from directmax.tool.run.randomness import Stream, derive_seed


def split_images(
    config: ResolvedConfig, data: ImageData, split: str, *, epoch: int = 0
) -> Float[Tensor, "N d"]:
    """The images of a split on the CPU; the same at every call with the same arguments.

    Validation and test images are drawn once, also for dynamic binarisation, so that epochs and
    runs can be compared.

    Args:
        config: decides binarisation and seed.
        data: the grey images.
        split: train, validation or test.
        epoch: for dynamic binarisation, which draw of the training images.

    Example:
        >>> from directmax.tool.config import TrainConfig
        >>> from directmax.tool.data import load_images
        >>> split_images(TrainConfig().resolve(), load_images("digits"), "test").unique()
        tensor([0., 1.])
    """
    stream = Stream[f"{split.upper()}_IMAGES"]
    generator = torch.Generator().manual_seed(derive_seed(config.seed, stream, epoch))
    images = getattr(data, split).images
    return binarize(images, config.binarize, generator=generator, threshold=config.threshold)
