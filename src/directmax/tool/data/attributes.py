"""Images with binary attributes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset


class ImageDataset(Protocol):
    """Images that are asked for by number: a map-style `torch.utils.data.Dataset`."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, index: int, /) -> UInt8[Tensor, "channels height width"]:
        """Return image `index`."""


@dataclass(frozen=True, eq=False)
class AttributeSplit:
    """Images of one split and what is known of them, in a fixed order.

    Attributes:
        images: a map-style `torch.utils.data.Dataset`: `images[i]` is image i, a
            `(channels, size, size)` uint8 tensor, read from disk when asked for where the data set
            is large. `directmax.tool.data.ImageStream` reads many.
        attributes: `(N, n)`, int64, 1 where the image has the attribute, 0 where it has not, −1
            where that is not known.

    Example:
        >>> images = ImagesInMemory(torch.zeros(5, 3, 8, 8, dtype=torch.uint8))
        >>> split = AttributeSplit(images, torch.zeros(5, 2, dtype=torch.int64))
        >>> len(split), split.images[4].shape
        (5, torch.Size([3, 8, 8]))
    """

    images: ImageDataset
    attributes: Int64[Tensor, "images attributes"]

    def __len__(self) -> int:
        """Return the number of images, N."""
        return len(self.attributes)


@dataclass(frozen=True, eq=False)
class AttributeData:
    """A data set of images with n binary attributes.

    Attributes:
        name: its name, one of `directmax.tool.data.ATTRIBUTE_DATASETS`.
        attribute_names: the n chosen attributes, in the order of the columns.
        shape: (channels, height, width) of an image.
        train: for fitting.
        validation: for choosing.
        test: for reporting.
        source: where it came from, for people.
        understood: one line on what a path holds, for people.
        path: where it was read from, absolute; empty for data sets by name.

    Example:
        >>> images = ImagesInMemory(torch.zeros(5, 3, 8, 8, dtype=torch.uint8))
        >>> split = AttributeSplit(images, torch.zeros(5, 2, dtype=torch.int64))
        >>> data = AttributeData("mine", ("Hat", "Scarf"), (3, 8, 8), split, split, split, "none")
        >>> data.train.attributes[:, data.attribute_names.index("Hat")].sum()
        tensor(0)
    """

    name: str
    attribute_names: tuple[str, ...]
    shape: tuple[int, int, int]
    train: AttributeSplit
    validation: AttributeSplit
    test: AttributeSplit
    source: str
    understood: str = ""
    path: str = ""

    def identity(self) -> dict[str, Any]:
        """What tells these images from others; of the pixels only their number and shape."""
        digest = hashlib.sha256(repr((self.shape, self.attribute_names)).encode())
        for part in (self.train, self.validation, self.test):
            digest.update(f"{tuple(part.attributes.shape)}\n".encode())
            digest.update(part.attributes.contiguous().numpy().data.cast("B"))
        return {"name": self.name, "shape": list(self.shape), "sha256": digest.hexdigest()}


class ImagesInMemory(Dataset[Tensor]):
    """Images that are one tensor, as a dataset.

    Args:
        images: `(N, channels, height, width)`, uint8.

    Example:
        >>> ImagesInMemory(torch.zeros(5, 3, 8, 8, dtype=torch.uint8))[0].shape
        torch.Size([3, 8, 8])
    """

    def __init__(self, images: UInt8[Tensor, "images channels height width"]) -> None:
        self.images = images

    def __len__(self) -> int:
        """Return N."""
        return len(self.images)

    def __getitem__(self, index: int) -> UInt8[Tensor, "channels height width"]:
        """Return image `index`."""
        return self.images[index]

    def __getitems__(self, indices: Sequence[int]) -> UInt8[Tensor, "batch channels height width"]:
        """Return several images at once, as torch's DataLoader asks for them."""
        return self.images[torch.as_tensor(indices)]
