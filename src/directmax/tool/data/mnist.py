"""MNIST and Fashion-MNIST, in torchvision's folder layout."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from directmax.tool.data.download import Remote
from directmax.tool.data.errors import DataError
from directmax.tool.data.idx import IdxFile, as_idx, read_idx
from directmax.tool.data.locate import Places
from directmax.tool.data.own.numpy_files import read_npz
from directmax.tool.data.types import ImageData, Split


@dataclass(frozen=True)
class Family:
    """A data set in the form of MNIST: four IDX files in one folder.

    Attributes:
        name: name in `directmax.tool.data.DATASETS`.
        folder: the files' folder below a data folder.
        mirrors: base URLs.
        files: training images, training labels, test images, test labels.
        num_validation: so many of the last training images are for validation.
        label_names: a name per class.
    """

    name: str
    folder: str
    mirrors: tuple[str, ...]
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    num_validation: int
    label_names: tuple[str, ...]

    @property
    def archives(self) -> tuple[str, ...]:
        """Names of Keras's file, also below folders."""
        parent = self.folder.split("/")[0]
        names = (f"{self.name}.npz", f"{self.name.replace('-', '_')}.npz")
        return tuple(f"{folder}{name}" for folder in (f"{parent}/", "") for name in names)


def _files(title: str, *md5: str) -> tuple[IdxFile, IdxFile, IdxFile, IdxFile]:
    return (
        IdxFile(f"{title} training images", "train-images-idx3-ubyte", (60_000, 28, 28), md5[0]),
        IdxFile(f"{title} training labels", "train-labels-idx1-ubyte", (60_000,), md5[1]),
        IdxFile(f"{title} test images", "t10k-images-idx3-ubyte", (10_000, 28, 28), md5[2]),
        IdxFile(f"{title} test labels", "t10k-labels-idx1-ubyte", (10_000,), md5[3]),
    )


MNIST = Family(
    name="mnist",
    folder="MNIST/raw",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files=_files(
        "MNIST",
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    num_validation=10_000,
    label_names=tuple("0123456789"),
)

FASHION_MNIST = Family(
    name="fashion-mnist",
    folder="FashionMNIST/raw",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    files=_files(
        "Fashion-MNIST",
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    num_validation=10_000,
    label_names=(
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
)


def load_mnist(places: Places) -> ImageData:
    """Load MNIST: 70,000 handwritten digits of 28×28 pixels, 10 classes.

    The first 50,000 of the official training images are for training, the last 10,000 for
    validation; the 10,000 test images are the official ones.

    Args:
        places: where to look for, or download to, `MNIST/raw/train-images-idx3-ubyte` and the
            three other files, with or without `.gz`.

    Raises:
        DataError: a file is missing, damaged or not the official one.

    Reference:
        LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
        Recognition", Proceedings of the IEEE, 1998. CC BY-SA 3.0.
    """
    return load_family(places, MNIST)


def load_fashion_mnist(places: Places) -> ImageData:
    """Load Fashion-MNIST: 70,000 articles of clothing, files and splits as in MNIST.

    Args:
        places: where to look for, or download to, `FashionMNIST/raw/train-images-idx3-ubyte` and
            the three other files, with or without `.gz`.

    Raises:
        DataError: a file is missing, damaged or not the official one.

    Reference:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
        Learning Algorithms", 2017. MIT.
    """
    return load_family(places, FASHION_MNIST)


def load_family(places: Places, family: Family) -> ImageData:
    """Load a data set in the form of MNIST.

    Args:
        places: where to look and whether to download.
        family: which files, with which content.

    Raises:
        DataError: a file is missing, damaged or not the official one.
    """
    found = [_find(places, family, file) for file in family.files]
    archive = places.find(*family.archives)
    if None in found and archive is not None:
        paths = [archive]
        train, train_labels, test, test_labels = _of_archive(archive, family)
    else:
        paths = [
            path or places.obtain(_remote(family, file), _path(family, file))
            for path, file in zip(found, family.files, strict=True)
        ]
        train, train_labels, test, test_labels = (
            read_idx(path, file, _OFFICIAL) for path, file in zip(paths, family.files, strict=True)
        )
    last = len(train) - family.num_validation
    return ImageData(
        name=family.name,
        shape=(train.shape[1], train.shape[2]),
        train=_split(train[:last], train_labels[:last]),
        validation=_split(train[last:], train_labels[last:]),
        test=_split(test, test_labels),
        source=", ".join(dict.fromkeys(str(path.parent) for path in paths)),
        num_classes=len(family.label_names),
        label_names=family.label_names,
    )


_OFFICIAL = MNIST.files + FASHION_MNIST.files


def _path(family: Family, file: IdxFile) -> str:
    return f"{family.folder}/{file.name}"


def _find(places: Places, family: Family, file: IdxFile) -> Path | None:
    """The file where torchvision, Keras or Kaggle leave it, or in a folder of any of these."""
    name, kaggle = file.name, file.name.replace("-idx", ".idx")
    names = [f"{each}{gz}" for each in (name, kaggle, f"{name}/{name}") for gz in ("", ".gz")]
    parent, raw = family.folder.split("/")
    folders = (family.folder, parent, family.name, family.name.replace("-", "_"))
    path = places.find(*(f"{folder}/{each}" for folder in folders for each in names))
    if path is not None:
        return path
    for path in places.candidates(
        *(f"{folder}{each}" for folder in (f"{raw}/", "") for each in names)
    ):
        with contextlib.suppress(DataError):  # there may lie another data set of this form
            read_idx(path, file)
            return path
    return None


def _of_archive(path: Path, family: Family) -> list[NDArray[np.uint8]]:
    """The four arrays of Keras's `.npz` file, checked as the official files are."""
    arrays = read_npz(path)
    found = []
    for key, file in zip(("x_train", "y_train", "x_test", "y_test"), family.files, strict=True):
        array = arrays.get(key)
        if (
            array is None
            or array.dtype != np.uint8
            or (hashlib.md5(as_idx(array), usedforsecurity=False).hexdigest() != file.md5)
        ):
            raise DataError(
                f"{path} does not hold the official {file.title} as {key}; delete it, or train on "
                f"it as data of your own: --data {path}"
            )
        found.append(array)
    return found


def _remote(family: Family, file: IdxFile) -> Remote:
    def check(path: Path) -> None:
        read_idx(path, file, _OFFICIAL)

    return Remote(f"{_path(family, file)}.gz", family.mirrors, check=check)


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    grey = images.reshape(len(images), -1).astype(np.float32)  # (N, H*W)
    grey /= 255
    return Split(torch.from_numpy(grey), torch.from_numpy(labels.astype(np.int64)))
