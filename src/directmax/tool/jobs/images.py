"""The images of jobs, each data set loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from directmax.tool.config.train import TrainConfig
from directmax.tool.data import ImageData
from directmax.tool.run.make import Data, load_data


class Images:
    """Data sets by what they are of.

    Args:
        data_dir: where to look first.
    """

    def __init__(self, data_dir: str | Path | None = None) -> None:
        self._data_dir = data_dir
        self._loaded: dict[tuple[Any, ...], Data] = {}

    def of(self, config: TrainConfig) -> Data:
        """The images of a training."""
        key = (config.model == "attributes", config.data, config.attributes, config.image_size)
        if key not in self._loaded:
            self._loaded[key] = load_data(config, self._data_dir)
        return self._loaded[key]

    def binary(self, name: str) -> ImageData:
        """The images of a name, for models of binary images."""
        found = self.of(TrainConfig(data=name))
        assert isinstance(found, ImageData)
        return found
