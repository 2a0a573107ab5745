"""Images with binary attributes, by name: `load_attributes` and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from directmax._choices import check_choice
from directmax._validation import check_count
from directmax.tool.data.errors import DataError
from directmax.tool.data.locate import Places
from directmax.tool.data.names import ATTRIBUTE_DATASETS, ATTRIBUTE_LOADERS, DEFAULT_ATTRIBUTES

MINIMUM_SIZE = 8


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
        attributes: `(N, n)`, int64, 1 where the image has the attribute, otherwise 0.

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


def load_attributes(
    name: str,
    attributes: Sequence[str] | None = None,
    *,
    data_dir: str | Path | None = None,
    size: int | None = None,
    download: bool = True,
) -> AttributeData:
    """Load images with binary attributes.

    | name            | images  | default size | default attributes         |
    | --------------- | ------- | ------------ | -------------------------- |
    | "celeba"        | 202,599 | 3×64×64      | Eyeglasses, Smiling, Male  |
    | "fashion-mnist" | 70,000  | 1×32×32      | Footwear, Upper_Body, Warm |

    Files are looked for in the same folders as by `load_images`. CelebA is never downloaded, as
    its terms have to be agreed to; the error says where it is to be had.

    Args:
        name: one of `directmax.tool.data.ATTRIBUTE_DATASETS`.
        attributes: names of the attributes, in the order of the columns; None for the default.
        data_dir: an existing folder to search first (and to download Fashion-MNIST into).
        size: height and width of the images, at least 8; None for the default.
        download: whether missing files may be downloaded, where the data set's terms allow it.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an unknown name or attribute, an attribute named twice, a size below 8.
        DataError: the data is missing, damaged or inconsistent, or an attribute is the same for
            all training images (one line: what was wrong, what was expected, what to do).

    Example:
        >>> load_attributes("celebs")
        Traceback (most recent call last):
            ...
        ValueError: unknown data set with attributes 'celebs': choose from celeba, fashion-mnist; \
did you mean 'celeba'?
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {type(name).__name__}")
    check_choice("data set with attributes", name, ATTRIBUTE_DATASETS)
    if isinstance(attributes, str):
        raise TypeError(f"attributes must be a sequence of names, got the string {attributes!r}")
    chosen = DEFAULT_ATTRIBUTES[name] if attributes is None else tuple(attributes)
    if not chosen:
        raise ValueError(
            f"attributes must name at least one, such as {DEFAULT_ATTRIBUTES[name][0]}"
        )
    for number, attribute in enumerate(chosen):
        if attribute in chosen[:number]:
            raise ValueError(f"attributes must differ, got {attribute!r} twice")
    if size is not None:
        check_count("size", size, MINIMUM_SIZE)
    places = Places(data_dir, download)
    module, function = ATTRIBUTE_LOADERS[name].split(":")
    data: AttributeData = getattr(import_module(module), function)(places, chosen, size)
    _check_varies(data)
    return data


def _check_varies(data: AttributeData) -> None:
    """An attribute that no training image has, or all have, cannot be learned."""
    positive = data.train.attributes.float().mean(0).tolist()
    for attribute, share in zip(data.attribute_names, positive, strict=True):
        if share in (0.0, 1.0):
            raise DataError(
                f"attribute {attribute} is {share:.0f} for all {len(data.train)} training images "
                f"of {data.source}, expected images with and without; choose another attribute"
            )
