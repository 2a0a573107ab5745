"""The data sets' names and where their loaders live; imports nothing, so that it is fast.

To add a data set, write one file with a function `load(places) -> ImageData` and add one line here.
"""

from __future__ import annotations

LOADERS: dict[str, str] = {
    "digits": "directmax.tool.data.digits:load",
    "mnist": "directmax.tool.data.mnist:load_mnist",
    "fashion-mnist": "directmax.tool.data.mnist:load_fashion_mnist",
    "omniglot": "directmax.tool.data.omniglot:load",
}
"""Name of a data set → "module:function" of its loader."""

DATASETS: tuple[str, ...] = tuple(LOADERS)
"""Names that `load_images` accepts."""

BINARIZATIONS: tuple[str, ...] = ("threshold", "static", "dynamic", "none")
"""Modes that `binarize` accepts."""

ATTRIBUTE_LOADERS: dict[str, str] = {
    "celeba": "directmax.tool.data.celeba:load",
    "fashion-mnist": "directmax.tool.data.fashion_attributes:load",
}
"""Name of a data set with attributes → "module:function" of its loader."""

ATTRIBUTE_DATASETS: tuple[str, ...] = tuple(ATTRIBUTE_LOADERS)
"""Names that `load_attributes` accepts."""

DEFAULT_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "celeba": ("Eyeglasses", "Smiling", "Male"),
    "fashion-mnist": ("Footwear", "Upper_Body", "Warm"),
}
"""Attributes that `load_attributes` loads where none are named."""
