"""Data sets by name. Whatever asks for images asks here, so that other sources need one place."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from directmax._choices import check_choice
from directmax._validation import check_count
from directmax.tool.data.attributes import AttributeData
from directmax.tool.data.errors import DataError
from directmax.tool.data.locate import Places
from directmax.tool.data.names import (
    ALL,
    ATTRIBUTE_DATASETS,
    DATASETS,
    OWN_PHOTOGRAPHS,
    DataSet,
    is_path,
    known,
)
from directmax.tool.data.types import ImageData
from directmax.tool.files import user_path

MINIMUM_SIZE = 8


def load_images(
    name: str, *, data_dir: str | Path | None = None, download: bool = True
) -> ImageData:
    """Load a data set of small grey images, from disk or from the net.

    Files are looked for in `data_dir`, then in the folder that the environment variable
    `DIRECTMAX_DATA` names, then in the user's cache folder, in the layout that torchvision
    leaves (`MNIST/raw`, `FashionMNIST/raw`, `omniglot-py`); each is used from the first folder
    that has it. What is nowhere is downloaded into the first of these folders. Every file is
    checked for its content. Images and their order are the same at every call.

    Args:
        name: one of `directmax.tool.data.DATASETS`. Images of your own: `ImageData.from_arrays`.
        data_dir: an existing folder to search first and to download into.
        download: whether missing files may be downloaded.

    Returns:
        Grey values in [0, 1] with ink = 1; see `directmax.tool.data.binarize` for binary images.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an unknown name.
        DataError: the data is missing, damaged or foreign, or could not be downloaded (one line:
            what was wrong, what was expected, what to do).

    Example:
        >>> data = load_images("digits")
        >>> data.shape, data.train.images.shape, data.train.images.dtype
        ((8, 8), torch.Size([1197, 64]), torch.float32)
        >>> load_images("digit")
        Traceback (most recent call last):
            ...
        ValueError: unknown data set 'digit': choose from digits, mnist, fashion-mnist, omniglot; \
did you mean 'digits'?
    """
    check_choice("data set", _text(name), DATASETS)
    data: ImageData = _loader(ALL[name].images)(Places(data_dir, download))
    return data


def load_attributes(
    name: str | Path,
    attributes: Sequence[str] | None = None,
    *,
    data_dir: str | Path | None = None,
    size: int | None = None,
    download: bool = True,
) -> AttributeData:
    """Load images with binary attributes.

    Files are looked for in the same folders as by `load_images`. CelebA is never downloaded, as
    its terms have to be agreed to; the error says where it is to be had.

    Args:
        name: one of `directmax.tool.data.ATTRIBUTE_DATASETS`, or the path of a folder of one's own
            with images and lists as those of CelebA.
        attributes: names of the attributes, in the order of the columns; None for those of
            `directmax.tool.data.DEFAULT_ATTRIBUTES`.
        data_dir: an existing folder to search first and to download into.
        size: height and width of the images, at least 8; None for the data set's own.
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
    own = isinstance(name, Path) or (isinstance(name, str) and is_path(name))
    if not own:
        check_choice("data set with attributes", _text(name), ATTRIBUTE_DATASETS)
    entry = known(str(name))
    chosen = _chosen(attributes, entry)
    size = entry.size if size is None else check_count("size", size, MINIMUM_SIZE)
    data: AttributeData
    if own:
        data = _loader(OWN_PHOTOGRAPHS)(user_path(name), chosen, size)
    else:
        data = _loader(entry.photographs)(Places(data_dir, download), chosen, size)
    _check_both(data)
    return data


def _check_both(data: AttributeData) -> None:
    """Refuse an attribute of which no two training images differ."""
    for attribute, values in zip(data.attribute_names, data.train.attributes.T, strict=True):
        known_values = values[values >= 0]
        if len(known_values.unique()) < 2:
            what = f"{int(known_values[0])} for" if len(known_values) else "not known of"
            raise DataError(
                f"attribute {attribute} is {what} all {len(known_values) or len(values)} training "
                f"images of {data.source}, expected images with and without; choose another "
                "attribute"
            )


def _chosen(attributes: Sequence[str] | None, entry: DataSet) -> tuple[str, ...]:
    """Names of attributes, none of them twice."""
    if isinstance(attributes, str):
        raise TypeError(f"attributes must be a sequence of names, got the string {attributes!r}")
    chosen = entry.attributes if attributes is None else tuple(attributes)
    if not chosen:
        example = f", such as {entry.attributes[0]}" if entry.attributes else ""
        raise ValueError(f"attributes must name at least one{example}")
    for number, attribute in enumerate(chosen):
        if attribute in chosen[:number]:
            raise ValueError(f"attributes must differ, got {attribute!r} twice")
    return chosen


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {type(name).__name__}")
    return name


def _loader(where: str | None) -> Any:
    assert where is not None  # of the names that were checked
    module, _, function = where.partition(":")
    return getattr(import_module(module), function)
