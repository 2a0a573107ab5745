"""What a loader returns: images with labels, in three splits."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one split, in a fixed order.

    Attributes:
        images: `(N, H*W)`, float32, row-major pixels, grey in [0, 1], ink = 1.
        labels: `(N,)`, int64, class indices from 0.

    Example:
        >>> import torch
        >>> len(Split(torch.rand(5, 64), torch.zeros(5, dtype=torch.int64)))
        5
    """

    images: Float[Tensor, "images pixels"]
    labels: Int64[Tensor, " images"]

    def __len__(self) -> int:
        """Return the number of images, N."""
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of small grey images.

    Attributes:
        name: its name, one of `directmax.tool.data.DATASETS`.
        shape: (height, width) of an image in pixels; `images.view(-1, *shape)` are pictures.
        train: for fitting.
        validation: for choosing.
        test: for reporting.
        source: where it came from, for people: folders or files, or "scikit-learn".
        num_classes: number of classes; labels lie in 0 … num_classes − 1.
        label_names: a name per class; empty when the source does not name them.

    Example:
        >>> from directmax.tool.data import load_images
        >>> digits = load_images("digits")
        >>> digits.shape, len(digits.train), digits.num_classes
        ((8, 8), 1197, 10)
        >>> digits.train.images.view(-1, *digits.shape).shape  # pictures
        torch.Size([1197, 8, 8])
    """

    name: str
    shape: tuple[int, int]
    train: Split
    validation: Split
    test: Split
    source: str
    num_classes: int
    label_names: tuple[str, ...] = ()
