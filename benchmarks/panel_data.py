"""Data of the panel: those that the tool names, a file, and made ones of other kinds.

Made: `bars` (an image of 8×8 is the union of some rows and columns), `topics` (bags of words,
sparse), `blobs` (clusters of numbers, each a thermometer of eight bits), `parity` (pixels are
parities of hidden bits), `cancer` and `wine` (columns of scikit-learn's tables as thermometers),
`patches` (8×8 of scikit-learn's photographs, above their mean).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from directmax.tool.data import ImageData, load_images

Array = NDArray[np.float32]
LEVELS = 8
"""Bits of a thermometer."""
MOST_VALIDATION, MOST_TEST = 1000, 50
"""Images that runs of the panel look at: enough to compare runs by, on the same images."""


def thermometer(columns: NDArray[np.float64]) -> Array:
    """Whether each column is above its quantiles, `(N, columns × LEVELS)`."""
    edges = np.quantile(columns, (np.arange(LEVELS) + 0.5) / LEVELS, axis=0)  # (levels, c)
    return (columns[:, :, None] > edges.T).reshape(len(columns), -1).astype(np.float32)


def bars(rng: np.random.Generator) -> Array:
    """Each of eight rows and eight columns is there with probability 1/8; 2 % of pixels flip."""
    rows, columns = (rng.random((2000, 8)) < 1 / 8 for _ in range(2))
    images = rows[:, :, None] | columns[:, None, :]
    return (images.reshape(2000, -1) ^ (rng.random((2000, 64)) < 0.02)).astype(np.float32)


def parity(rng: np.random.Generator) -> Array:
    """Ten hidden bits; every pixel is the parity of two of them or one, 5 % flipped."""
    z = rng.integers(0, 2, (3000, 10))
    first, second = rng.integers(0, 10, (2, 100))
    pixels = np.where(np.arange(100) < 50, z[:, first], z[:, first] ^ z[:, second])
    return (pixels ^ (rng.random(pixels.shape) < 0.05)).astype(np.float32)


def topics(rng: np.random.Generator) -> Array:
    """Which of 200 words a document of 40 has, of mixed topics."""
    words, _ = datasets.make_multilabel_classification(
        3000, 200, n_classes=12, n_labels=3, length=40, random_state=0
    )
    return (words > 0).astype(np.float32)


def blobs(rng: np.random.Generator) -> Array:
    """Thirty clusters in twelve dimensions."""
    columns, _ = datasets.make_blobs(2500, 12, centers=30, cluster_std=2.0, random_state=0)
    return thermometer(columns)


def patches(rng: np.random.Generator) -> Array:
    """Of two photographs."""
    found = []
    for image in datasets.load_sample_images().images:
        grey = image.mean(-1)
        top = rng.integers(0, grey.shape[0] - 8, 2000)
        left = rng.integers(0, grey.shape[1] - 8, 2000)
        found += [grey[y : y + 8, x : x + 8].ravel() for y, x in zip(top, left, strict=True)]
    rows = np.stack(found)
    return (rows > rows.mean(1, keepdims=True)).astype(np.float32)


def cancer(rng: np.random.Generator) -> Array:
    """569 rows of 30 measurements."""
    return thermometer(datasets.load_breast_cancer().data)


def wine(rng: np.random.Generator) -> Array:
    """178 rows of 13 measurements."""
    return thermometer(datasets.load_wine().data)


MADE: dict[str, Callable[[np.random.Generator], Array]] = {
    made.__name__: made for made in (bars, parity, topics, blobs, patches, cancer, wine)
}


def images_of(name: str) -> ImageData:
    """A data set, with fewer training images after a colon.

    Args:
        name: one of `MADE`, a file `NAME.npz` of `DIRECTMAX_DATA/own` with `train_data`,
            `valid_data` and `test_data`, what the tool knows by name, or a path with a `/`.
    """
    base, _, count = name.partition(":")
    if base in MADE:
        rows = MADE[base](np.random.default_rng(0))
        rows = rows[np.random.default_rng(1).permutation(len(rows))]
        cut = [round(len(rows) * part) for part in (0.6, 0.95)]
        parts, shape = np.split(rows, cut), (1, rows.shape[1])
    elif base.endswith(".npz") and "/" not in base:
        with np.load(Path(os.environ.get("DIRECTMAX_DATA", ".")) / "own" / base) as file:
            parts = [file[part] for part in ("train_data", "valid_data", "test_data")]
        shape = (1, parts[0].shape[1])
    else:
        data = ImageData.from_path(base) if "/" in base else load_images(base)
        parts = [part.images.numpy() for part in (data.train, data.validation, data.test)]
        shape = data.shape
    train, validation, test = (part.astype(np.float32) for part in parts)
    if count:
        train = train[: int(count)]
    return ImageData.from_arrays(
        train, validation[:MOST_VALIDATION], test[:MOST_TEST], shape=shape, name=Path(name).name
    )
