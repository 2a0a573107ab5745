"""Real image data by name: loaded from disk or downloaded, checked, split and binarised.

Names resolve on first use, so that `directmax.tool.data.names` can be read without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from directmax.tool.data.attributes import (
        AttributeData,
        AttributeSplit,
        ImagesInMemory,
        load_attributes,
    )
    from directmax.tool.data.binarization import binarize
    from directmax.tool.data.errors import DataError
    from directmax.tool.data.labelled import balanced_indices
    from directmax.tool.data.load import load_images
    from directmax.tool.data.names import (
        ATTRIBUTE_DATASETS,
        BINARIZATIONS,
        DATASETS,
        DEFAULT_ATTRIBUTES,
    )
    from directmax.tool.data.streams import Augmentation, ImageStream
    from directmax.tool.data.types import ImageData, Split

__all__ = [
    "ATTRIBUTE_DATASETS",
    "BINARIZATIONS",
    "DATASETS",
    "DEFAULT_ATTRIBUTES",
    "AttributeData",
    "AttributeSplit",
    "Augmentation",
    "DataError",
    "ImageData",
    "ImageStream",
    "ImagesInMemory",
    "Split",
    "balanced_indices",
    "binarize",
    "load_attributes",
    "load_images",
]

_HOMES = {
    "ATTRIBUTE_DATASETS": "names",
    "AttributeData": "attributes",
    "AttributeSplit": "attributes",
    "Augmentation": "streams",
    "BINARIZATIONS": "names",
    "DATASETS": "names",
    "DEFAULT_ATTRIBUTES": "names",
    "DataError": "errors",
    "ImageData": "types",
    "ImageStream": "streams",
    "ImagesInMemory": "attributes",
    "Split": "types",
    "balanced_indices": "labelled",
    "binarize": "binarization",
    "load_attributes": "attributes",
    "load_images": "load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
