"""The data sets: a declaration each. Imports no loader, so that it is fast.

To add a data set, write one file with a function `load(places) -> ImageData`, or with attributes
`load(places, attributes, size) -> AttributeData`, and add one entry here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from directmax.tool.files import user_path


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set without loading it.

    Attributes:
        images: "module:function" of the loader of small grey images; None where there is none.
        photographs: the same of images with binary attributes.
        attributes: those that are loaded where none are named.
        size: height and width of images with attributes, unless another is asked for.
        train_images: number of small grey images to train on.
    """

    images: str | None = None
    photographs: str | None = None
    attributes: tuple[str, ...] = ()
    size: int = 32
    train_images: int | None = None


ALL: dict[str, DataSet] = {
    "digits": DataSet("directmax.tool.data.digits:load", train_images=1_197),
    "mnist": DataSet("directmax.tool.data.mnist:load_mnist", train_images=50_000),
    "fashion-mnist": DataSet(
        "directmax.tool.data.mnist:load_fashion_mnist",
        "directmax.tool.data.fashion_attributes:load",
        ("Footwear", "Upper_Body", "Warm"),
        train_images=50_000,
    ),
    "omniglot": DataSet("directmax.tool.data.omniglot:load", train_images=23_000),
    "celeba": DataSet(
        photographs="directmax.tool.data.celeba:load",
        attributes=("Eyeglasses", "Smiling", "Male"),
        size=64,
    ),
}
"""Every data set by its name."""

OWN = "own"
"""What a configuration has for data of one's own, which are given beside it."""

OWN_PHOTOGRAPHS = "directmax.tool.data.celeba:load_path"
"""Loader of images with attributes of one's own."""


def known(name: str) -> DataSet:
    """What is known of a data set; nothing of one's own."""
    return ALL.get(name, DataSet(size=64))


LOADERS: dict[str, str] = {name: each.images for name, each in ALL.items() if each.images}
ATTRIBUTE_LOADERS: dict[str, str] = {
    name: each.photographs for name, each in sorted(ALL.items()) if each.photographs
}
DEFAULT_ATTRIBUTES: dict[str, tuple[str, ...]] = {n: ALL[n].attributes for n in ATTRIBUTE_LOADERS}
"""Attributes that `load_attributes` loads where none are named."""

DATASETS: tuple[str, ...] = tuple(LOADERS)
"""Names that `load_images` accepts."""
ATTRIBUTE_DATASETS: tuple[str, ...] = tuple(ATTRIBUTE_LOADERS)
"""Names that `load_attributes` accepts."""

BINARIZATIONS: tuple[str, ...] = ("threshold", "static", "dynamic", "none")
"""Modes that `binarize` accepts."""


def is_path(word: str) -> bool:
    """Whether a word is the path of data of one's own: no name, and written like a path or there.

    Example:
        >>> [is_path(word) for word in ("./mnist", "faces/", "x.npz", "~/x", "mnist", "minst")]
        [True, True, True, True, False, False]
    """
    if not word or word in ALL:
        return False
    written = "/" in word or os.sep in word or word.startswith(("~", ".")) or "." in word[1:]
    return written or os.path.lexists(user_path(word))


def also_a_path(word: str) -> str | None:
    """A line for people where a name is that of a file or folder here, too."""
    if word in ALL and os.path.lexists(word):
        return f"--data {word} is the data set of that name; what lies here is --data ./{word}"
    return None
