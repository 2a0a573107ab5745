"""Omniglot: handwritten characters of 50 alphabets, 28×28."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from directmax.tool.data.cache import read_cache, write_cache
from directmax.tool.data.chardata import read_chardata
from directmax.tool.data.download import Remote
from directmax.tool.data.locate import Places, user_cache
from directmax.tool.data.omniglot_png import LEVELS, Archive, identify, read_archive
from directmax.tool.data.types import ImageData, Split

FOLDER = "omniglot-py"

MIRRORS = (
    "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",
    "https://github.com/brendenlake/omniglot/raw/master/python/",
)

ARCHIVES = (
    Archive(
        name="images_background",
        num_images=19_280,
        zip_md5="68d2efa1b9178cc56df9314c21c6e718",
        sha256="8a571c2c823f2b55804b11f07ea1f9bbca8be7ea7c8be2f05f3c2df28b78c2cc",
    ),
    Archive(
        name="images_evaluation",
        num_images=13_180,
        zip_md5="6b91aef0f799c5bb55b94e3f2daec811",
        sha256="f93b7263693d921b1eab7ccb83c20f041e84019576d0371daae2224325061221",
    ),
)


@dataclass(frozen=True)
class Sizes:
    """Number of images in each split; those left over are not used."""

    train: int
    validation: int
    test: int

    @property
    def pool(self) -> int:
        """Training and validation together."""
        return self.train + self.validation


SIZES = Sizes(train=23_000, validation=1_345, test=8_070)
"""The sizes that Burda et al. introduced (24,345 + 8,070)."""

CHARDATA_SEED = 123
"""Seed of the permutation of chardata.mat before its last images become the validation set."""

SPLIT_SEED = 0
"""Seed of the split of the original images."""

CACHE_VERSION = 1
"""Raise it when the prepared arrays change."""


def load(places: Places) -> ImageData:
    """Load Omniglot: 23,000 images for training, 1,345 for validation, 8,070 for testing.

    Labels are alphabets, 0 … 49. From the first of these that is found:

    1. `chardata.mat` (in `omniglot-py/` or directly in a data folder), the 28×28 images of Burda
       et al. with their division into 24,345 and 8,070. As in code that builds on theirs, the
       24,345 are permuted with NumPy's `RandomState(123)` and the last 1,345 are for validation.
    2. `images_background.zip` and `images_evaluation.zip` (in `omniglot-py/`; the unpacked folders
       of the same names serve too): all 32,460 original drawings of 105×105 pixels, reduced to
       28×28 by the mean over each new pixel's area, and divided by a seeded split, stratified by
       alphabet, into 24,345 (of which the last 1,345 are for validation) and 8,070; 45 drawings
       are left over and not used. Labels follow the alphabets' names in order of their bytes.
       The reduced images are kept in the user's cache folder.

    A data folder is asked for both before the next one; only the second is downloaded.

    Deviation: `chardata.mat` was made from the same drawings, by another reduction and another
    division. The second source has splits of the same sizes over the same alphabets, but other
    grey values and other images in each split, so only likelihoods from `chardata.mat` compare
    directly with published ones.

    Args:
        places: where to look for, or download to, the files.

    Raises:
        DataError: a file is missing, damaged or not the official one.

    Reference:
        Lake, Salakhutdinov and Tenenbaum, "Human-level Concept Learning Through Probabilistic
        Program Induction", Science, 2015. MIT. Burda, Grosse and Salakhutdinov, "Importance
        Weighted Autoencoders", ICLR 2016, section 5.
    """
    names = [archive.name for archive in ARCHIVES]
    files = [f"{FOLDER}/chardata.mat", "chardata.mat", f"{FOLDER}/{names[0]}.zip"]
    first = places.find(*files, folders=(f"{FOLDER}/{names[0]}",))
    if first is not None and first.name == "chardata.mat":
        return _from_chardata(first)
    return _from_drawings(*(_obtain(places, archive) for archive in ARCHIVES))


def split_indices(
    labels: NDArray[np.integer], sizes: Sizes
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training, validation and test images.

    Args:
        labels: `(N,)`, alphabet of every image.
        sizes: how many of each.
    """
    pool, test = train_test_split(
        np.arange(len(labels)),
        train_size=sizes.pool,
        test_size=sizes.test,
        stratify=labels,
        random_state=SPLIT_SEED,
    )
    return pool[: sizes.train], pool[sizes.train :], test


def _obtain(places: Places, archive: Archive) -> Path:
    path = f"{FOLDER}/{archive.name}"
    remote = Remote(f"{path}.zip", MIRRORS, known_hash=f"md5:{archive.zip_md5}")
    return places.obtain(remote, folders=(path,))


def _from_chardata(path: Path) -> ImageData:
    data = read_chardata(path, SIZES.pool, SIZES.test)
    order = np.random.RandomState(CHARDATA_SEED).permutation(SIZES.pool)
    train, validation = order[: SIZES.train], order[SIZES.train :]
    return ImageData(
        name="omniglot",
        shape=(28, 28),
        train=_split(data.pool[train], data.pool_labels[train]),
        validation=_split(data.pool[validation], data.pool_labels[validation]),
        test=_split(data.test, data.test_labels),
        source=str(path),
        num_classes=data.num_alphabets,
    )


def _from_drawings(*paths: Path) -> ImageData:
    arrays = _prepared(*paths)
    ink, labels = arrays["ink"], arrays["labels"]
    train, validation, test = (
        _split(ink[index].astype(np.float32) / np.float32(LEVELS), labels[index])
        for index in split_indices(labels, SIZES)
    )
    names = tuple(str(name) for name in arrays["alphabets"])
    return ImageData(
        name="omniglot",
        shape=(28, 28),
        train=train,
        validation=validation,
        test=test,
        source=", ".join(str(path) for path in paths),
        num_classes=len(names),
        label_names=names,
    )


def _prepared(*paths: Path) -> dict[str, NDArray]:
    """Return ink `(N, 784)`, labels `(N,)` and alphabets, from the cache if it is there."""
    identity = "\n".join([str(CACHE_VERSION), *(identify(path) for path in paths)])
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    cache = user_cache() / f"omniglot-28x28-{key}.npz"
    if (arrays := read_cache(cache)) is not None:
        return arrays
    drawings = [read_archive(*pair) for pair in zip(paths, ARCHIVES, strict=True)]
    names = [name for part in drawings for name in part.alphabets]
    alphabets, labels = np.unique(names, return_inverse=True)
    arrays = {
        "ink": np.concatenate([part.ink for part in drawings]),
        "labels": labels.astype(np.int64),
        "alphabets": alphabets,
    }
    write_cache(cache, arrays)
    return arrays


def _split(images: NDArray[np.float32], labels: NDArray[np.int64]) -> Split:
    return Split(torch.from_numpy(images), torch.from_numpy(labels))
