"""Data sets by name."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from directmax.tool.data.locate import Places
from directmax.tool.data.names import DATASETS, LOADERS
from directmax.tool.data.types import ImageData


def load_images(
    name: str, *, data_dir: str | Path | None = None, download: bool = True
) -> ImageData:
    """Load a data set of small grey images, from disk or from the net.

    | name            | images | pixels | training | validation | test   |
    | --------------- | ------ | ------ | -------- | ---------- | ------ |
    | "digits"        | 1,797  | 8×8    | 1,197    | 300        | 300    |
    | "mnist"         | 70,000 | 28×28  | 50,000   | 10,000     | 10,000 |
    | "fashion-mnist" | 70,000 | 28×28  | 50,000   | 10,000     | 10,000 |
    | "omniglot"      | 32,460 | 28×28  | 23,000   | 1,345      | 8,070  |

    Files are looked for in `data_dir`, then in the folder that the environment variable
    `DIRECTMAX_DATA` names, then in the user's cache folder, in the layout that torchvision
    leaves (`MNIST/raw`, `FashionMNIST/raw`, `omniglot-py`); each is used from the first folder
    that has it. What is nowhere is downloaded into the first of these folders. Every file is
    checked for its content. Images and their order are the same at every call.

    Args:
        name: one of `directmax.tool.data.DATASETS`.
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
        ValueError: unknown data set 'digit'; choose digits, mnist, fashion-mnist or omniglot \
(did you mean 'digits'?)
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {type(name).__name__}")
    if name not in LOADERS:
        close = get_close_matches(name.lower(), DATASETS, n=1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        choices = f"{', '.join(DATASETS[:-1])} or {DATASETS[-1]}"
        raise ValueError(f"unknown data set {name!r}; choose {choices}{hint}")
    places = Places(data_dir, download)
    module, function = LOADERS[name].split(":")
    loader = getattr(import_module(module), function)
    data: ImageData = loader(places)
    return data
