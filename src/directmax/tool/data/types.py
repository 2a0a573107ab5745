"""Small grey images in three splits: what a loader returns, or made of arrays of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one split, in a fixed order.

    Attributes:
        images: `(N, H*W)`, float32, row-major pixels, grey in [0, 1], ink = 1.
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
    """A data set of small grey images.

    Attributes:
        name: its name: one of `directmax.tool.data.DATASETS`, or of one's own.
        shape: (height, width) of an image in pixels; `images.view(-1, *shape)` are pictures.
        train: for fitting.
        validation: for choosing.
        test: for reporting.
        source: where it came from, for people: folders or files, or "scikit-learn".
        num_classes: number of classes; labels lie in 0 … num_classes − 1. 0 where there are none.
        label_names: a name per class; empty when the source does not name them.

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
            train: `(N, H, W)`, or `(N, H*W)` with `shape`: a tensor, an array or nested lists,
                numbers in [0, 1] or bool, where 1 is ink.
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
        return cls(name, own, **splits, source="arrays", num_classes=count, label_names=names)

    def identity(self) -> dict[str, Any]:
        """What tells these images from others, for the record of a run: name, shape and SHA-256."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for tensor in (part.images, part.labels):
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.contiguous().numpy().data.cast("B"))
        return {"name": self.name, "shape": list(self.shape), "sha256": digest.hexdigest()}


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
    assert shape is not None
    return _held_out(splits), shape


def _grey(part: str, values: Any, shape: tuple[int, int] | None) -> tuple[Tensor, tuple[int, int]]:
    """Rows of pixels and the shape of an image."""
    images = _tensor(part, values)
    if images.dtype != torch.bool and not images.is_floating_point():
        raise TypeError(
            f"{part} must hold numbers in [0, 1] or bool, got {images.dtype}; divide bytes by 255"
        )
    if images.ndim not in (2, 3) or 0 in images.shape:
        raise ValueError(
            f"{part} must have shape (N, H, W), or (N, H*W) with shape, and at least one image, "
            f"got {tuple(images.shape)}"
        )
    if images.ndim == 3:
        own = (images.shape[1], images.shape[2])
        if shape is not None and tuple(shape) != own:
            raise ValueError(f"{part} must have images of {shape[0]}×{shape[1]}, got {own}")
        shape = own
    if shape is None or len(shape) != 2 or shape[0] * shape[1] != images[0].numel():
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
