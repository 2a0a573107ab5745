# ruff: noqa: F401 (for type checkers)
"""Real image data: loaded by name from disk or the net, checked, split and binarised.

Names resolve on first use, so that `directmax.tool.data.names` can be read without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the names of _HOMES
    from directmax.tool.data.attributes import AttributeData, AttributeSplit, ImagesInMemory
    from directmax.tool.data.binarization import binarize
    from directmax.tool.data.errors import DataError
    from directmax.tool.data.labelled import balanced_indices
    from directmax.tool.data.load import load_attributes, load_images
    from directmax.tool.data.names import (
        ATTRIBUTE_DATASETS,
        BINARIZATIONS,
        DATASETS,
        DEFAULT_ATTRIBUTES,
    )
    from directmax.tool.data.streams import Augmentation, ImageStream
    from directmax.tool.data.types import ImageData, Split

_HOMES = {
    "attributes": "AttributeData AttributeSplit ImagesInMemory",
    "binarization": "binarize",
    "errors": "DataError",
    "labelled": "balanced_indices",
    "load": "load_attributes load_images",
    "names": "ATTRIBUTE_DATASETS BINARIZATIONS DATASETS DEFAULT_ATTRIBUTES",
    "streams": "Augmentation ImageStream",
    "types": "ImageData Split",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
