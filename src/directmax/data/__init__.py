"""Real image data by name: loaded from disk or downloaded, checked, split and binarised.

Names resolve on first use, so that `directmax.data.names` can be read without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from directmax.data.binarization import binarize
    from directmax.data.errors import DataError
    from directmax.data.labelled import balanced_indices
    from directmax.data.load import load_images
    from directmax.data.names import BINARIZATIONS, DATASETS
    from directmax.data.types import ImageData, Split

__all__ = [
    "BINARIZATIONS",
    "DATASETS",
    "DataError",
    "ImageData",
    "Split",
    "balanced_indices",
    "binarize",
    "load_images",
]

_HOMES = {
    "BINARIZATIONS": "names",
    "DATASETS": "names",
    "DataError": "errors",
    "ImageData": "types",
    "Split": "types",
    "balanced_indices": "labelled",
    "binarize": "binarization",
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
