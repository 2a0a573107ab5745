"""The data sets, each declared once; imports nothing slow, so that flags can be made from it.

To add a data set, write one file with a function `load(places) -> ImageData` and add one entry
here: names, choices and help texts follow.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set before it is loaded.

    Attributes:
        name: on the command line.
        contents: what it holds, for people.
        images: "module:function" below `directmax.tool.data` of its loader, called with `Places`;
            none where it has no small grey images.
        with_attributes: the same of its images with attributes, called with `Places`, attributes
            and size; none where it has none.
        attributes: those that are loaded where none are named.
        size: height and width of images with attributes where none is given.
    """

    name: str
    contents: str
    images: str = ""
    with_attributes: str = ""
    attributes: tuple[str, ...] = ()
    size: int = 0


DATA_SETS: dict[str, DataSet] = {
    entry.name: entry
    for entry in (
        DataSet("digits", "1,797 handwritten digits, 8×8", "digits:load"),
        DataSet("mnist", "70,000 handwritten digits, 28×28", "mnist:load_mnist"),
        DataSet(
            "fashion-mnist",
            "70,000 articles of clothing, 28×28",
            "mnist:load_fashion_mnist",
            "fashion_attributes:load",
            attributes=("Footwear", "Upper_Body", "Warm"),
            size=32,
        ),
        DataSet("omniglot", "32,460 characters of 50 alphabets, 28×28", "omniglot:load"),
        DataSet(
            "celeba",
            "202,599 photographs of faces, in colour",
            with_attributes="celeba:load",
            attributes=("Eyeglasses", "Smiling", "Male"),
            size=64,
        ),
    )
}
"""Name → what is declared of it."""

DATASETS: tuple[str, ...] = tuple(name for name, entry in DATA_SETS.items() if entry.images)
"""Names that `load_images` accepts."""

ATTRIBUTE_DATASETS: tuple[str, ...] = tuple(
    sorted(name for name, entry in DATA_SETS.items() if entry.with_attributes)
)
"""Names that `load_attributes` accepts."""

DEFAULT_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    name: DATA_SETS[name].attributes for name in ATTRIBUTE_DATASETS
}
"""Attributes that `load_attributes` loads where none are named."""

BINARIZATIONS: tuple[str, ...] = ("threshold", "static", "dynamic", "none")
"""Modes that `binarize` accepts."""
