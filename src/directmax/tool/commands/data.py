"""`directmax data`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from directmax.tool.commands.shared import DataDir, quiet
from directmax.tool.data.names import is_path


@dataclass(frozen=True)
class Data:
    """Say what a data set is: of its name, or of the path of your own, as train understands it."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|PATH")]
    """digits, mnist, …, or a folder of images, .npy, .npz, .csv, .txt, .mat, IDX or Parquet
    files."""
    image_size: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Height and width to which the middle square of every image is resized."""
    data_dir: DataDir = None
    """Where to look for a data set by name first."""

    def run(self) -> None:
        """Read the images, and print a line."""
        from directmax.tool.config.settings import SETTINGS
        from directmax.tool.data import ImageData, load_images

        quiet()
        size = None if self.image_size is None else SETTINGS["image_size"].check(self.image_size)
        if is_path(self.source):
            print(f"{self.source}: {ImageData.from_path(self.source, size=size).understood}")
            return
        if size is not None:
            raise ValueError("--image-size is for data of your own; leave it out")
        data = load_images(self.source, data_dir=self.data_dir)
        height, width = data.shape
        count = len(data.train) + len(data.validation) + len(data.test)
        print(
            f"{self.source}: {count:,} grey images of {height}×{width}; "
            f"{data.num_classes} classes; "
            f"{len(data.train):,} training, {len(data.validation):,} validation and "
            f"{len(data.test):,} test images; from {data.source}"
        )
