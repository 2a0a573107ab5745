"""Small grey images in three splits: what a loader returns, or made of arrays of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from directmax.tool.data.own.axes import pictures
from directmax.tool.data.own.datasets import read_datasets
from directmax.tool.data.own.read import (
    Understood,
    check_differ,
    described,
    read_path,
    understood,
)
from directmax.tool.data.own.reading import Reading
from directmax.tool.files import printable, user_path


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one split, in a fixed order.

    Attributes:
        images: `(N, H*W)`, float32, row-major pixels, grey in [0, 1], ink = 1; of images in
            colours `(N, 3*H*W)`, one colour after the other.
        labels: `(N,)`, int64, class indices from 0.

    Example:
        >>> len(Split(torch.rand(5, 64), torch.zeros(5, dtype=torch.int64)))
        5
    """

    images: Float[Tensor, "images pixels"]
    labels: Int64[Tensor, " images"]

    def __len__(self) -> int:
        """Return the number of images, N."""
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of images that fit into memory, grey or in colours.

    Attributes:
        name: its name: one of `directmax.tool.data.DATASETS`, or of one's own.
        shape: (height, width) of an image in pixels; `images.view(-1, *shape)` are pictures.
        train: for fitting.
        validation: for choosing.
        test: for reporting.
        source: where it came from, for people: folders or files, or "scikit-learn".
        num_classes: number of classes; labels lie in 0 … num_classes − 1. 0 where there are none.
        label_names: a name per class; empty when the source does not name them.
        understood: one line on what a path or a dataset holds, for people.
        path: where it was read from, absolute; empty for arrays and data sets by name.
        reading: how the numbers of a path or a dataset became [0, 1], for other files.
        number_names: what the numbers of a row are called in a table; empty for pictures.

    Example:
        >>> from directmax.tool.data import load_images
        >>> digits = load_images("digits")
        >>> digits.shape, len(digits.train), digits.num_classes
        ((8, 8), 1197, 10)
        >>> digits.train.images.view(-1, *digits.shape).shape  # pictures
        torch.Size([1197, 8, 8])
    """

    name: str
    shape: tuple[int, int]
    train: Split
    validation: Split
    test: Split
    source: str
    num_classes: int
    label_names: tuple[str, ...] = ()
    understood: str = ""
    path: str = ""
    reading: Reading | None = None
    number_names: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """1, or 3 where images have colours."""
        return self.train.images.shape[1] // (self.shape[0] * self.shape[1])

    @classmethod
    def from_path(
        cls, path: str | Path, *, size: int | None = None, like: Reading | None = None
    ) -> ImageData:
        """Images of one's own in a file or folder of any usual form.

        A folder of images (flat, a folder a class, with folders train, valid and test), `.npy`,
        `.npz`, tables (`.csv`, `.txt`, `.amat`, …), `.mat`, IDX files, Parquet and Arrow files.
        Numbers may be 0/1, 0 … 1, −1 … 1 or 0 … 255, images of any shape; columns of tables of any
        kind, which then become 0/1; labels numbers or words. Parts are those of the file; what is
        missing is drawn as by `from_arrays`. `understood` says what was read.

        Args:
            path: of the file or folder.
            size: height and width to which the middle square of every image is resized.
            like: `reading` of other images, of whose kind these are: the same columns of a table.

        Raises:
            DataError: missing, damaged, too large for the memory or of no known form; one line
                that says what was seen and what would be read.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = f"{folder}/toys.npz"
            ...     np.savez(file, x_train=np.eye(20, dtype=bool), y_train=[0, 1] * 10)
            ...     data = ImageData.from_path(file)
            >>> data.understood  # doctest: +NORMALIZE_WHITESPACE
            '20 rows of 20 numbers, 0/1; 2 classes (0, 1); 16 training (x_train), 2 validation and 2
            test images (both drawn from the training ones)'
        """
        where = user_path(path)
        found = read_path(where, size, like)
        if like is None:
            check_differ(where, found.images)
        where = where.absolute()
        return cls._from_understood(found, where.name.split(".")[0] or where.name, str(where))

    @classmethod
    def from_dataset(
        cls,
        train: Any,
        validation: Any = None,
        test: Any = None,
        *,
        size: int | None = None,
        name: str = "dataset",
    ) -> ImageData:
        """Images of a torch `Dataset`, such as torchvision's, read into memory.

        An item is an image, a pair of an image and a label, or a dictionary with both; an image is
        one of Pillow, a tensor or an array, as `from_path` takes them.

        Args:
            train: for fitting.
            validation: for choosing; None: a tenth of `train`.
            test: for reporting; None: a tenth of `train`.
            size: height and width to which the middle square of every image is resized.
            name: shown beside results.

        Raises:
            TypeError: items that hold no image.
            DataError: images of different sizes, or of numbers of no usual range.

        Example:
            >>> pairs = [(torch.rand(1, 5, 4), number % 2) for number in range(20)]
            >>> data = ImageData.from_dataset(pairs)
            >>> data.shape, len(data.train), data.num_classes
            ((5, 4), 16, 2)
        """
        given = {"train": train, "validation": validation, "test": test}
        found = read_datasets(given, name, size)
        return cls._from_understood(understood(Path(name), found, size), name)

    @classmethod
    def _from_understood(cls, found: Understood, name: str, path: str = "") -> ImageData:
        splits = {}
        for part, images in found.images.items():
            labels = None if found.labels is None else torch.from_numpy(found.labels[part])
            none = torch.zeros(len(images), dtype=torch.int64)
            splits[part] = Split(torch.from_numpy(images), none if labels is None else labels)
        whole = _held_out(splits)
        return cls(
            printable(name),
            found.shape,
            whole["train"],
            whole["validation"],
            whole["test"],
            path or name,
            num_classes=len(found.class_names),
            label_names=found.class_names,
            understood=described(found, {part: len(split) for part, split in whole.items()}),
            path=path,
            reading=found.reading,
            number_names=found.number_names,
        )

    @classmethod
    def from_arrays(
        cls,
        train: Any,
        validation: Any = None,
        test: Any = None,
        *,
        labels: Any = None,
        validation_labels: Any = None,
        test_labels: Any = None,
        shape: tuple[int, int] | None = None,
        name: str = "images",
        label_names: Sequence[str] = (),
    ) -> ImageData:
        """Images of one's own, of any height and width.

        Without validation or test images a tenth of the training images each, at least one, is
        drawn for them, always the same.

        Args:
            train: `(N, H, W)`, `(N, 3, H, W)` or `(N, H, W, 3)` in colours, or `(N, H*W)` with
                `shape`: a tensor, an array or nested lists, numbers in [0, 1] or bool, where 1 is
                ink.
            validation: the same for choosing.
            test: the same for reporting.
            labels: `(N,)`, integers from 0, the classes of the training images; None where there
                are none.
            validation_labels: those of `validation`.
            test_labels: those of `test`.
            shape: (H, W), for images that are rows of pixels.
            name: shown beside results.
            label_names: a name per class.

        Raises:
            TypeError: images that are no numbers, bytes, or labels that are no integers.
            ValueError: other shapes, values that are not in [0, 1], no images, labels below 0, of
                another number than the images or of some parts only.

        Example:
            >>> data = ImageData.from_arrays(torch.rand(50, 12, 20), name="noise")
            >>> data.shape, len(data.train), len(data.validation), len(data.test)
            ((12, 20), 40, 5, 5)
        """
        given = {
            "train": (train, labels),
            "validation": (validation, validation_labels),
            "test": (test, test_labels),
        }
        splits, own = _splits(given, shape)
        known = labels is not None
        most = max(int(split.labels.max()) for split in splits.values()) + known
        if label_names and len(label_names) < most:
            raise ValueError(
                f"label_names must name all {most} classes of the labels, got {len(label_names)}"
            )
        names = tuple(label_names)
        count = max(most, len(names)) if known else 0
        train, validation, test = (splits[part] for part in ("train", "validation", "test"))
        return cls(name, own, train, validation, test, "arrays", count, names)

    def identity(self) -> dict[str, Any]:
        """What tells these images from others, for the record of a run: name, shape and SHA-256."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for tensor in (part.images, part.labels):
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.contiguous().numpy().data.cast("B"))
        shape = [self.channels, *self.shape] if self.channels > 1 else list(self.shape)
        return {"name": self.name, "shape": shape, "sha256": digest.hexdigest()}


def _splits(
    given: dict[str, tuple[Any, Any]], shape: tuple[int, int] | None
) -> tuple[dict[str, Split], tuple[int, int]]:
    """The checked splits, and the shape of an image."""
    splits = {}
    known = given["train"][1] is not None
    for part, (values, labels) in given.items():
        if values is None and labels is None and part != "train":
            continue
        if values is None or (labels is not None) != known:
            raise ValueError(
                f"{part}: images and labels must be given together, or no labels at all"
            )
        images, shape = _grey(part, values, shape)
        classes = _classes(part, labels, len(images)) if known else torch.zeros(len(images)).long()
        splits[part] = Split(images, classes)
        if images.shape[1] != splits["train"].images.shape[1]:
            raise ValueError(f"{part} must have as many channels as train")
    assert shape is not None
    return _held_out(splits), shape


def _grey(part: str, values: Any, shape: tuple[int, int] | None) -> tuple[Tensor, tuple[int, int]]:
    """Rows of pixels and the shape of an image."""
    images = _tensor(part, values)
    if images.dtype != torch.bool and not images.is_floating_point():
        raise TypeError(
            f"{part} must hold numbers in [0, 1] or bool, got {images.dtype}; divide bytes by 255"
        )
    images, channels = _channels_first(part, images)
    if images.ndim > 2:
        own = (images.shape[-2], images.shape[-1])
        if shape is not None and tuple(shape) != own:
            raise ValueError(f"{part} must have images of {shape[0]}×{shape[1]}, got {own}")
        shape = own
    if shape is None or len(shape) != 2 or channels * shape[0] * shape[1] != images[0].numel():
        raise ValueError(
            f"shape must be the (height, width) of the images, whose product is the "
            f"{images[0].numel()} pixels of {part}, got {shape}"
        )
    images = images.float().reshape(len(images), -1)
    low, high = (float(bound) for bound in images.aminmax())
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise ValueError(
            f"{part} must be finite and in [0, 1], got values from {low:g} to {high:g}"
        )
    return images, (int(shape[0]), int(shape[1]))


def _channels_first(part: str, images: Tensor) -> tuple[Tensor, int]:
    """Images, those of four axes as `(N, channels, H, W)`, and the number of channels."""
    if images.ndim not in (2, 3, 4) or 0 in images.shape:
        raise ValueError(
            f"{part} must have shape (N, H, W), (N, 3, H, W), (N, H, W, 3), or (N, H*W) with "
            f"shape, and at least one image, got {tuple(images.shape)}"
        )
    if images.ndim < 4:
        return images, 1
    images = torch.from_numpy(pictures(Path(part), images.numpy()))
    if images.shape[1] > 3:
        raise ValueError(f"{part} must have 1 or 3 channels, got {images.shape[1]}")
    return images, images.shape[1]


def _classes(part: str, values: Any, count: int) -> Tensor:
    name = "labels" if part == "train" else f"{part}_labels"
    labels = _tensor(name, values)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"{name} must be integers, got {labels.dtype}")
    if labels.shape != (count,):
        raise ValueError(
            f"{name} must be one for each of the {count} images, got shape {tuple(labels.shape)}"
        )
    labels = labels.long()
    if labels.min() < 0:
        raise ValueError(f"{name} must be 0 or more, got {int(labels.min())}")
    return labels


def _tensor(name: str, values: Any) -> Tensor:
    try:
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise TypeError(f"{name} must be a tensor or an array of numbers: {reason}") from error
    return tensor.detach().cpu()


def _held_out(splits: dict[str, Split]) -> dict[str, Split]:
    """All three splits: those that are missing are drawn from the training images."""
    train = splits["train"]
    missing = [part for part in ("validation", "test") if part not in splits]
    each = max(1, len(train) // 10)
    if len(train) <= each * len(missing):
        raise ValueError(
            f"train must have more than {each * len(missing)} images, as {' and '.join(missing)} "
            f"are drawn from them, got {len(train)}"
        )
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    for part in missing:
        rows, order = order[:each].sort().values, order[each:]
        splits[part] = Split(train.images[rows], train.labels[rows])
    rows = order.sort().values
    return {**splits, "train": Split(train.images[rows], train.labels[rows])}
