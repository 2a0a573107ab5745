"""The 8×8 digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from directmax.tool.data.locate import Places
from directmax.tool.data.types import ImageData, Split

SIZES = (1197, 300, 300)
ORDER = Path(__file__).with_name("digits_order.npy")
"""Numbers of the images in the file, those for training first: what scikit-learn's
`train_test_split`, stratified by class, made of `random_state=0`, twice."""


def load(places: Places | None = None) -> ImageData:
    """Load the digits: 1,797 images of 8×8 pixels, 10 classes.

    1,197 images are for training, 300 for validation, 300 for testing: a split with a fixed seed,
    stratified by class. Grey values are the file's 0 … 16 divided by 16.

    Args:
        places: not used; scikit-learn brings the data along.

    Example:
        >>> data = load()
        >>> data.train.images.shape, data.validation.images.shape, data.test.images.shape
        (torch.Size([1197, 64]), torch.Size([300, 64]), torch.Size([300, 64]))

    Reference:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test
        set). CC BY 4.0.
    """
    rows = _rows()
    grey = torch.from_numpy((rows[:, :-1] / 16).astype(np.float32))  # (N, 64)
    labels = torch.from_numpy(rows[:, -1].astype(np.int64))
    order = torch.from_numpy(np.load(ORDER, allow_pickle=False).astype(np.int64))
    train, validation, test = (Split(grey[part], labels[part]) for part in order.split(SIZES))
    return ImageData(
        name="digits",
        shape=(8, 8),
        train=train,
        validation=validation,
        test=test,
        source="scikit-learn",
        num_classes=10,
        label_names=tuple("0123456789"),
    )


def _rows() -> NDArray[np.float64]:
    """64 grey values and the class of every image, from scikit-learn's file: to import
    scikit-learn, which imports most of scipy, takes as long as to import torch."""
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # another version, or one in an archive

    images, labels = load_digits(return_X_y=True)
    return np.column_stack([images, labels])
