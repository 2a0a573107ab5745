"""The best model of a run: from its folder alone, without the images."""

from __future__ import annotations

import dataclasses
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch

from directmax.models import AttributeVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.rules import check_data
from directmax.tool.data import ImageData
from directmax.tool.data.names import is_path
from directmax.tool.files import RunError, read_json
from directmax.tool.run.checkpoint import load_checkpoint, restore_model
from directmax.tool.run.described import Described, described_run
from directmax.tool.run.make import Data, Given, Model, images_of_run, load_data, make_model
from directmax.tool.run.processes import make_fabric
from directmax.tool.run.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class BestModel:
    """What the folder of a run holds.

    Attributes:
        folder: the run's.
        config: its configuration.
        images: the kind of images it is for.
        model: with the weights of the best epoch, on the device, in evaluation mode.
    """

    folder: RunFolder
    config: ResolvedConfig
    images: Described
    model: Model

    def classes(self) -> list[int] | None:
        """The class of every value of a mixed model, −1 for none; None where it is not known."""
        if self.config.labels:
            return list(range(self.config.values))
        if not os.path.lexists(self.folder.summary_file):
            return None
        found = read_json(self.folder.summary_file).get("classes")
        right = isinstance(found, list) and len(found) == self.config.values
        if found is not None and not (right and all(isinstance(each, int) for each in found)):
            raise RunError(f"{self.folder.summary_file} is damaged: classes are no list of numbers")
        return found


def load_best(run_dir: str | Path, device: str | torch.device = "auto") -> BestModel:
    """The best model of a run.

    Args:
        run_dir: folder of the run.
        device: auto, cpu, cuda, cuda:N or mps, or a `torch.device`.

    Raises:
        RunError: the folder holds no finished epoch, or its checkpoint is damaged.
        ValueError: the device is not there.
    """
    where = make_fabric(device, 1, "32-true").device
    folder = RunFolder(run_dir)
    config = folder.config()
    if not (folder.best / "state.json").exists():
        raise RunError(
            f"{folder.path} has no checkpoint yet: its first epoch is not done; continue with "
            f"directmax train --resume --run-dir {shlex.quote(str(folder.path))}"
        )
    tensors = load_checkpoint(folder.best).part("model")
    images = described_run(folder, config, tensors)
    model = make_model(config, images.shape)
    if config.precision == "64-true":
        model.double()
    restore_model(model, tensors, folder.best)
    model.to(where)
    if isinstance(model, AttributeVAE):
        model.settle()
    return BestModel(folder, config, images, model.eval())


def data_for(
    best: BestModel,
    data: str | None = None,
    *,
    images: Given | None = None,
    data_dir: str | Path | None = None,
) -> Data:
    """Images for a model.

    Args:
        best: the model.
        data: which, by name or path, in place of those that it was trained on.
        images: those that were handed to `train`, if any were, or where they lie now.
        data_dir: where to look for images first; None: where the run did.

    Raises:
        RunError: it was trained on other images than `images`.
        DataError: they are missing or damaged.
        ValueError: `data` do not fit the model.
    """
    if data is not None:
        if is_path(data):
            reading = best.images.reading
            found = load_data(best.config, data_dir, images=data, like=reading)
        else:
            place = best.folder.data_dir(data_dir)
            found = load_data(_other_data(best.config, data), place)
        best.images.check_fits(found)
        if best.config.model == "mixed" and best.config.labels and isinstance(found, ImageData):
            return best.images.with_classes(found)
        return found
    return images_of_run(best.folder, best.config, data_dir, images=images)


def _other_data(config: ResolvedConfig, data: str) -> ResolvedConfig:
    """The configuration with another data set.

    Raises:
        ValueError: an unknown one, or one of another kind.
    """
    check_data(SimpleNamespace(model=config.model, data=data, attributes=config.attributes))
    return dataclasses.replace(config, data=data)
