"""What a model must know of the images it was trained on, so that it can be used without them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from directmax.tool.config import ResolvedConfig
from directmax.tool.data import AttributeData, ImageData, Split
from directmax.tool.data.own.reading import Reading
from directmax.tool.files import RunError, reading
from directmax.tool.run.run_folder import RunFolder

_BEFORE = {"digits": (8, 8), "mnist": (28, 28), "fashion-mnist": (28, 28), "omniglot": (28, 28)}
"""Of data sets by name, for runs that did not say it yet."""


@dataclass(frozen=True)
class Described:
    """The kind of images that a model is for.

    Attributes:
        name: of the data set.
        shape: (height, width), or (channels, height, width) where there are colours.
        num_classes: of the labels; 0 where there are none.
        label_names: a name per class; may be empty.
        attribute_names: of the attributes model; else empty.
        reading: how the numbers of a path or a dataset became [0, 1], for other files.

    Example:
        >>> from directmax.tool.data import load_images
        >>> Described.of(load_images("digits")).shape
        (8, 8)
    """

    name: str
    shape: tuple[int, ...]
    num_classes: int = 0
    label_names: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    reading: Reading | None = None

    @classmethod
    def of(cls, data: ImageData | AttributeData) -> Described:
        """Of a data set."""
        if isinstance(data, AttributeData):
            return cls(data.name, data.shape, attribute_names=tuple(data.attribute_names))
        names = tuple(data.label_names)
        return cls(data.name, image_shape(data), data.num_classes, names, reading=data.reading)

    @property
    def num_pixels(self) -> int:
        """Numbers of an image."""
        return math.prod(self.shape)

    @property
    def shown(self) -> str:
        """The shape in words.

        Example:
            >>> Described("faces", (3, 64, 64)).shown
            '3×64×64'
        """
        return "×".join(map(str, self.shape))

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        found = {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self).items()}
        if self.reading is None:
            del found["reading"]
        else:
            found["reading"] = self.reading.to_dict()
        return found

    def check_fits(self, data: ImageData | AttributeData) -> None:
        """Refuse a data set whose images the model cannot take.

        Raises:
            ValueError: images of another size, or other attributes.
        """
        other = Described.of(data)
        if other.shape != self.shape:
            raise ValueError(
                f"the model is for images of {self.shown}, got {other.name} of {other.shown}"
            )
        if other.attribute_names != self.attribute_names:
            raise ValueError(
                f"the model is for the attributes {' '.join(self.attribute_names) or 'none'}, got "
                f"{other.name} with {' '.join(other.attribute_names) or 'none'}"
            )

    def class_numbers(self, names: Sequence[str]) -> list[int]:
        """The model's numbers of classes by name; −1 for those that it has not.

        Example:
            >>> Described("trees", (8, 8), 3, ("ash", "elm", "oak")).class_numbers(["oak", "fir"])
            [2, -1]
        """
        own = _class_names(self)
        return [own.index(name) if name in own else -1 for name in names]

    def with_classes(self, data: ImageData) -> ImageData:
        """Other images with labels, their classes numbered as the model's, by name.

        Raises:
            ValueError: they have a class that the model has not.
        """
        own, others = _class_names(self), _class_names(data)
        if not own or not others or own == others:
            return data
        numbers = self.class_numbers(others)
        if strange := [name for name, n in zip(others, numbers, strict=True) if n < 0]:
            raise ValueError(
                f"the model is for the classes {', '.join(own)}, got {data.name} with "
                f"{', '.join(strange[:10])}"
            )
        splits = ((part, getattr(data, part)) for part in ("train", "validation", "test"))
        parts: dict[str, Any] = {
            part: Split(split.images, torch.tensor(numbers)[split.labels]) for part, split in splits
        }
        return replace(data, **parts, num_classes=len(own), label_names=self.label_names)


def _class_names(images: Described | ImageData) -> list[str]:
    """Numbers where they have no names."""
    return list(images.label_names) or [str(number) for number in range(images.num_classes)]


def image_shape(data: ImageData) -> tuple[int, ...]:
    """(height, width) of grey images, (channels, height, width) of others."""
    channels = data.train.images.shape[1] // math.prod(data.shape)
    return data.shape if channels == 1 else (channels, *data.shape)


def described_run(
    folder: RunFolder, config: ResolvedConfig, tensors: Mapping[str, Tensor]
) -> Described:
    """What the folder of a run says of its images, or what follows from it in earlier versions.

    Args:
        folder: of the run.
        config: of the run.
        tensors: weights of its model.

    Raises:
        RunError: it is damaged, or of an earlier version and says too little.
    """
    record = folder.record()
    found = record.get("data")
    with reading(folder.config_file):
        if found is not None:
            return Described(
                name=str(found["name"]),
                shape=_sizes(found["shape"]),
                num_classes=int(found.get("num_classes", 0)),
                label_names=tuple(map(str, found.get("label_names", ()))),
                attribute_names=tuple(map(str, found.get("attribute_names", ()))),
                reading=Reading.from_dict(found["reading"]) if "reading" in found else None,
            )
        images = record.get("images")
        given = () if images is None else _sizes(images["shape"])
    name = config.data if images is None else str(images["name"])
    if config.model == "attributes":
        side = config.image_size
        first = tensors.get("encoder.discrete.layers.0.weight")
        channels = 3 if first is None else first.shape[1]
        shape = given or (channels, side, side)
        return Described(name, shape, attribute_names=tuple(config.attributes))
    shape = given or _BEFORE.get(config.data, ())
    if not shape:
        raise RunError(
            f"{folder.config_file} was written by an earlier version and does not say the size of "
            f'the images; add the entry "data": {{"name": "{name}", "shape": [HEIGHT, WIDTH]}}'
        )
    return Described(name, shape)


def _sizes(value: Any) -> tuple[int, ...]:
    sizes = tuple(value)
    if len(sizes) not in (2, 3) or not all(isinstance(each, int) and each > 0 for each in sizes):
        raise ValueError("shape must be a list of two or three sizes")
    return sizes
