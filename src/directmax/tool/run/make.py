"""The data, the task and the model of a configuration, whatever its kind of model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from directmax._validation import check_count
from directmax.models import AttributeVAE, DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.build import build_attribute_model, build_model
from directmax.tool.config.resolved import Traits
from directmax.tool.data import (
    AttributeData,
    ImageData,
    best_threshold,
    load_attributes,
    load_images,
)
from directmax.tool.data.names import OWN
from directmax.tool.data.own.reading import Reading
from directmax.tool.files import RunError
from directmax.tool.run.attribute_task import AttributeTask
from directmax.tool.run.binary_task import BinaryTask
from directmax.tool.run.processes import Processes
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.task import Task

Data = ImageData | AttributeData
Model = DiscreteVAE | MixedVAE | AttributeVAE

MOST_WORKERS = 128
"""Processes that read images; each takes some hundred megabytes."""


Given = Data | str | Path
"""Images that are handed over, or the path of them."""


def load_data(
    config: ResolvedConfig,
    data_dir: str | Path | None = None,
    *,
    images: Given | None = None,
    like: Reading | None = None,
) -> Data:
    """The images of a run: what every command asks, so that any source of images comes in here.

    Args:
        config: names a data set.
        data_dir: where to look for it first.
        images: used in place of it, for the same kind of model, or the path of them.
        like: how the file of others was read, of whose kind that of a path is.

    Raises:
        DataError: they are missing or damaged.
        TypeError: `images` are not of the kind that the model is for.
        ValueError: the configuration has data of one's own, and none are given.
    """
    attributes = config.model == "attributes"
    if isinstance(images, str | Path):
        return _own(config, images, like)
    if images is None and config.data == OWN:
        raise ValueError("data of your own must be given: --data PATH, or images=… in Python")
    if images is not None:
        expected = AttributeData if attributes else ImageData
        if not isinstance(images, expected):
            raise TypeError(
                f"images must be {expected.__name__} with --model {config.model}, got "
                f"{type(images).__name__}"
            )
        return images
    if not attributes:
        return load_images(config.data, data_dir=data_dir)
    return load_attributes(
        config.data, config.attributes, data_dir=data_dir, size=config.image_size
    )


def _own(config: ResolvedConfig, path: str | Path, like: Reading | None) -> Data:
    """Of a path, as the model needs them."""
    if config.model == "attributes":
        return load_attributes(path, config.attributes, size=config.image_size)
    return ImageData.from_path(path, size=config.image_size, like=like)


def images_of_run(
    folder: RunFolder,
    config: ResolvedConfig,
    data_dir: str | Path | None = None,
    *,
    images: Given | None = None,
) -> Data:
    """The images that a run was trained on: as its configuration names them, else where they were.

    Args:
        folder: of the run.
        config: of the run.
        data_dir: where to look for a data set by name first; None: where the run did.
        images: those that were handed to `train`; or where they lie now.

    Raises:
        RunError: they have changed, are others, or are not given.
        DataError: they are missing or damaged.
    """
    trained = folder.images()
    if images is None and trained is not None and trained.get("path"):
        images = str(trained["path"])
        if not Path(images).exists():
            raise RunError(
                f"{folder.path} was trained on {images}, which is not there any more; say with "
                "--data where it is now"
            )
    if images is None or trained is None or not isinstance(images, str | Path):
        folder.check_images(None if images is None else _identity(images))
    data = load_data(config, folder.data_dir(data_dir), images=images)
    if isinstance(images, str | Path):
        folder.check_images(data.identity())
    return data


def _identity(images: Given) -> dict[str, Any]:
    return {} if isinstance(images, str | Path) else images.identity()


def traits_of(data: Data) -> Traits:
    """What defaults depend on."""
    num_images = len(data.train)
    if isinstance(data, AttributeData):
        return Traits(num_images, data.shape[0])
    threshold = best_threshold(data.train.images)
    return Traits(num_images, data.channels, data.shape[0] == 1, data.num_classes, threshold)


def record_of(data: Data) -> dict[str, Any]:
    """What a run folder keeps of images of one's own: what tells them from others, and where."""
    found = {"path": data.path, "understood": data.understood}
    return data.identity() | {name: value for name, value in found.items() if value}


def title_of(config: ResolvedConfig, data: Data) -> str:
    """One line for people: the configuration's, with the name of the images it is trained on."""
    return " · ".join([data.name, *config.title.split(" · ")[1:]])


def make_task(config: ResolvedConfig, data: Data, fabric: Processes, *, workers: int = 0) -> Task:
    """What is trained.

    Args:
        config: of any kind of model.
        data: from `load_data`.
        fabric: device, precision and processes.
        workers: processes that read the images of the attributes model; 0 reads in this one.

    Raises:
        ValueError: configuration and data do not fit.
    """
    if check_count("--workers", workers, minimum=0) > MOST_WORKERS:
        raise ValueError(f"--workers must be at most {MOST_WORKERS}, got {workers}")
    if isinstance(data, AttributeData):
        return AttributeTask(config, data, fabric, workers=workers)
    return BinaryTask(config, data, fabric)


def make_model(config: ResolvedConfig, shape: tuple[int, ...]) -> Model:
    """The model of a configuration with fresh weights.

    Args:
        config: of any kind of model.
        shape: (height, width) or (channels, height, width) of an image.
    """
    if config.model == "attributes":
        channels, height, width = shape
        return build_attribute_model(config, (channels, height, width))
    return build_model(config, shape)
