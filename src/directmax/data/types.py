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
        name: its name, one of `directmax.data.DATASETS`.
        shape: (height, width) of an image in pixels; `images.view(-1, *shape)` are pictures.
        train: for fitting.
        validation: for choosing.
        test: for reporting.
        source: where it came from, for people: folders or files, or "scikit-learn".
        num_classes: number of classes; labels lie in 0 … num_classes − 1.
        label_names: a name per class; empty when the source does not name them.
    """

    name: str
    shape: tuple[int, int]
    train: Split
    validation: Split
    test: Split
    source: str
    num_classes: int
    label_names: tuple[str, ...] = ()
