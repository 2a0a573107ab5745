"""The images of jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from directmax.tool.config import ResolvedConfig, TrainConfig, stored_config
from directmax.tool.data import AttributeData, DataError, ImageData
from directmax.tool.data.celeba import count_training
from directmax.tool.data.locate import Places
from directmax.tool.paper.jobs import Job
from directmax.tool.run.make import Data, load_data


class Images:
    """Data sets by what they are of, each loaded once.

    Args:
        data_dir: where to look first.
    """

    def __init__(self, data_dir: str | Path | None = None) -> None:
        self._data_dir = data_dir
        self._loaded: dict[tuple[Any, ...], Data] = {}

    def of(self, config: ResolvedConfig) -> Data:
        """The images of a training."""
        key = (config.model == "attributes", config.data, config.attributes, config.image_size)
        if key not in self._loaded:
            self._loaded[key] = load_data(config, self._data_dir)
        return self._loaded[key]

    def binary(self, name: str) -> ImageData:
        """The images of a name, for models of binary images."""
        found = self.of(TrainConfig(data=name).resolve())
        assert isinstance(found, ImageData)
        return found


def load_all(jobs: Iterable[Job], data_dir: str | Path | None) -> Images:
    """The images of all jobs.

    Raises:
        ValueError: some are missing or damaged.
    """
    images = Images(data_dir)
    for job in jobs:
        if job.kind == "train":
            images.of(stored_config(dict(job.settings)))
        else:
            images.binary(str(job.cell["data"]))
    return images


def sizes(data: Data) -> tuple[int, int, int]:
    """Training images, validation images, numbers in an image."""
    if isinstance(data, AttributeData):
        return len(data.train), len(data.validation), math.prod(data.shape)
    return len(data.train), len(data.validation), data.train.images.shape[1]


def present_data(data_dir: str | Path | None) -> dict[str, int]:
    """Training images of the data sets that cannot be downloaded and are there."""
    try:
        return {"celeba": count_training(Places(data_dir, download=False))}
    except DataError:  # a damaged one is reported when it is loaded
        return {}
