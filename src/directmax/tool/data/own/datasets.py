"""torch's map-style datasets: items that are images, or images with labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from directmax.tool.data.errors import DataError
from directmax.tool.data.image_files import read_square, to_rgb
from directmax.tool.data.own.files import check_fits
from directmax.tool.data.own.found import PARTS, Found, Part
from directmax.tool.data.own.words import role_of


def read_datasets(given: Mapping[str, Any], name: str, size: int | None = None) -> Found:
    """The items of datasets.

    Args:
        given: by part; None for one that is missing.
        name: for messages.
        size: height and width to which images of Pillow are resized.

    Raises:
        TypeError: items that hold no image.
        DataError: images of different shapes.
    """
    parts: dict[str, Part] = {}
    names: tuple[str, ...] = ()
    for part in PARTS:
        if given[part] is not None:
            parts[part] = _part(given[part], part, name, size)
            names = names or tuple(map(str, getattr(given[part], "classes", ())))
    return Found(parts, class_names=names)


def _part(dataset: Any, part: str, name: str, size: int | None) -> Part:
    try:
        count = len(dataset)
        first, label = _item(dataset[0], part, size)
    except (TypeError, IndexError, KeyError) as error:
        raise TypeError(
            f"{part} must be a dataset with a length and items that are images, (image, label) or "
            f"dictionaries of both: {' '.join(str(error).split())}"
        ) from error
    check_fits(Path(name), count * first.size, first.itemsize)
    images = np.empty((count, *first.shape), first.dtype)
    labels = []
    for number in range(count):
        images_, label = _item(dataset[number], part, size)
        if images_.shape != first.shape:
            raise DataError(
                f"{part} has images of shapes {first.shape} and {images_.shape}; expected one "
                "shape: give size=…, or resize them in the dataset"
            )
        images[number] = images_
        labels.append(label)
    known = all(label is not None for label in labels)
    return Part(images, np.array(labels) if known else None)


def _item(item: Any, part: str, size: int | None) -> tuple[NDArray[Any], Any]:
    """An image and its label; None where it has none."""
    label = None
    if isinstance(item, Mapping):
        roles = {role_of(str(key)): value for key, value in list(item.items())[::-1]}
        item, label = roles.get("images"), roles.get("labels")
    elif isinstance(item, tuple | list):
        item, label = item[0], (item[1] if len(item) > 1 else None)
    if isinstance(item, Image.Image):
        image = read_square(item.copy(), size) if size else np.array(to_rgb(item))
    elif isinstance(item, torch.Tensor):
        image = item.detach().cpu().numpy()
    elif isinstance(item, np.ndarray):
        image = item
    else:
        raise TypeError(f"an item of {part} is a {type(item).__name__}")
    if isinstance(label, torch.Tensor):
        label = label.item() if label.numel() == 1 else None
    return image, label if isinstance(label, int | float | str | np.generic) else None
