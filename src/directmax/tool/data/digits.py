"""The 8×8 digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from directmax.tool.data.locate import Places
from directmax.tool.data.types import ImageData, Split

SEED = 0
NUM_VALIDATION = 300
NUM_TEST = 300


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
    bunch = load_digits()
    grey = torch.from_numpy((bunch.images.reshape(-1, 64) / 16).astype(np.float32))  # (N, 64)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    train, validation, test = (
        Split(grey[index], labels[index])
        for index in map(torch.from_numpy, split_indices(bunch.target))
    )
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


def split_indices(
    labels: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training, validation and test images.

    Args:
        labels: `(N,)`, class of every image.
    """
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=NUM_TEST, stratify=labels, random_state=SEED
    )
    train, validation = train_test_split(
        rest, test_size=NUM_VALIDATION, stratify=labels[rest], random_state=SEED
    )
    return train, validation, test
