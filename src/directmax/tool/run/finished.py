"""What is done with a finished run: evaluate its best model, draw it, edit an image with it."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from directmax._choices import check_choice
from directmax._validation import check_count
from directmax.models import AttributeVAE, DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.settings import SETTINGS
from directmax.tool.data import AttributeData, ImageData
from directmax.tool.files import RunError, cannot_write, user_path, write_atomic
from directmax.tool.run import attribute_pictures, pictures
from directmax.tool.run.attribute_task import evaluate_attributes
from directmax.tool.run.checkpoint import load_checkpoint, restore_model
from directmax.tool.run.classes import classes_of, counts_of, with_accuracy
from directmax.tool.run.evaluation import MAX_STATES, Metrics, evaluate_images
from directmax.tool.run.images import split_images
from directmax.tool.run.make import Data, Given, Model, images_of_run, make_model
from directmax.tool.run.processes import make_fabric
from directmax.tool.run.randomness import Stream, derive_seed
from directmax.tool.run.run_folder import RunFolder

MOST_DRAWN, MOST_COLUMNS = 10_000, 1_000
"""Images in a picture, and in a row of it: it is drawn in memory."""

SPLITS = ("train", "validation", "test")


def load_run(
    run_dir: str | Path,
    *,
    images: Given | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> tuple[ResolvedConfig, Data, Model]:
    """The configuration, the images and the best model of a run.

    Args:
        run_dir: folder of the run.
        images: those that were handed to `train`, if any were, or where they lie now.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        RunError: the folder holds no finished epoch, its checkpoint is damaged, or it was trained
            on other images.
    """
    where = make_fabric(device, 1, "32-true").device  # before images are read, which takes seconds
    folder = RunFolder(run_dir)
    config = folder.config()
    if not (folder.best / "state.json").exists():
        raise RunError(
            f"{folder.path} has no checkpoint yet: its first epoch is not done; continue with "
            f"directmax train --resume --run-dir {shlex.quote(str(folder.path))}"
        )
    checkpoint = load_checkpoint(folder.best)
    data = images_of_run(folder, config, data_dir, images=images)
    model = make_model(config, data)
    if config.precision == "64-true":
        model.double()
    restore_model(model, checkpoint.part("model"), folder.best)
    model.to(where)
    return config, data, model.eval()


def load_binary_run(
    run_dir: str | Path, *, data_dir: str | Path | None = None, device: str = "auto"
) -> tuple[ResolvedConfig, ImageData, DiscreteVAE | MixedVAE]:
    """As `load_run`, for what needs binary images.

    Raises:
        RunError: as `load_run`; or the run has the model of attributes.
    """
    config, data, model = load_run(run_dir, data_dir=data_dir, device=device)
    if isinstance(data, AttributeData) or isinstance(model, AttributeVAE):
        raise RunError(f"{run_dir} is a run of --model attributes; choose one of another model")
    return config, data, model


def evaluate_run(
    run_dir: str | Path,
    *,
    images: Given | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    num_samples: int | None = None,
    seed: int | None = None,
    splits: Sequence[str] = SPLITS,
    progress: Callable[[str, float], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Bound, its terms and, where enumerable, −log p(x) of a run's best model on every split.

    Args:
        run_dir: folder of the run.
        images: those that were handed to `train`, if any were.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.
        num_samples: samples an image, where the states are too many to enumerate; by default as
            many as in the run's summary.
        seed: of those samples; by default the samples are those of the run's summary.
        splits: which of train, validation and test.
        progress: told of the split and the share of it that is done.

    Returns:
        For each split what `Metrics.to_dict` returns, in nats per image.

    Raises:
        RunError, ValueError: the run, the data or the device cannot be used.
    """
    _check_evaluation(num_samples, seed, splits)
    config, data, model = load_run(run_dir, images=images, data_dir=data_dir, device=device)
    num_samples = config.eval_samples if num_samples is None else num_samples
    seed = derive_seed(config.seed, Stream.SAMPLES, 0) if seed is None else seed
    results = {}
    for split in splits:
        report_progress = functools.partial(progress, split) if progress else None
        if isinstance(model, AttributeVAE):
            assert isinstance(data, AttributeData)
            metrics = evaluate_attributes(
                config,
                model,
                data,
                split,
                num_samples=num_samples,
                seed=seed,
                progress=report_progress,
            )
        else:
            assert isinstance(data, ImageData)
            metrics = _evaluate_binary(
                config, data, model, split, num_samples, seed, report_progress
            )
        results[split] = metrics.to_dict()
    return results


def _check_evaluation(num_samples: int | None, seed: int | None, splits: Sequence[str]) -> None:
    if num_samples is not None:
        dataclasses.replace(SETTINGS["eval_samples"], name="samples").check(num_samples)
    if seed is not None:
        SETTINGS["seed"].check(seed)
    if not splits:
        raise ValueError("--splits needs at least one of train, validation and test")
    for split in splits:
        check_choice("split", split, SPLITS)


def _evaluate_binary(
    config: ResolvedConfig,
    data: ImageData,
    model: DiscreteVAE | MixedVAE,
    split: str,
    num_samples: int,
    seed: int,
    progress: Callable[[float], None] | None,
) -> Metrics:
    metrics = evaluate_images(
        model,
        _on_device(config, data, model, split),
        num_samples=num_samples,
        max_states=MAX_STATES,
        seed=seed,
        progress=progress,
    )
    if not isinstance(model, MixedVAE) or not data.num_classes:
        return metrics
    return with_accuracy(
        metrics, _counts(config, data, model, split), _classes(config, data, model)
    )


def _on_device(config: ResolvedConfig, data: ImageData, model: nn.Module, split: str) -> Tensor:
    parameter = next(model.parameters())
    return split_images(config, data, split).to(parameter.device, parameter.dtype)


def _counts(config: ResolvedConfig, data: ImageData, model: MixedVAE, split: str) -> Tensor:
    images = _on_device(config, data, model, split)
    return counts_of(model, images, getattr(data, split).labels, data.num_classes)


def _classes(config: ResolvedConfig, data: ImageData, model: MixedVAE) -> Tensor:
    """The class of every value, from the validation images; without classes its number."""
    if not data.num_classes:
        return torch.arange(config.values)
    return classes_of(config, _counts(config, data, model, "validation"))


def sample_run(
    run_dir: str | Path,
    output: str | Path,
    *,
    images: Data | None = None,
    num_images: int = 100,
    num_reconstructions: int = 20,
    columns: int = 10,
    attributes: Sequence[str] = (),
    data_dir: str | Path | None = None,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Write a PNG of what the model draws.

    - Of a discrete model: decoded codes and, below, test images and their reconstructions.
    - Of a mixed model the codes are a row a class, in the order of the classes; images of a column
      share the Gaussian code, and `num_images` does not count.
    - Of a model with attributes: a row an image, the first `columns` test images: itself, its
      reconstruction, and its Gaussian code decoded with every combination of the attributes.

    Args:
        run_dir: folder of the run.
        output: file to write.
        images: those that were handed to `train`, if any were.
        num_images: codes to decode.
        num_reconstructions: test images to reconstruct.
        columns: images in a row; test images of a model with attributes.
        attributes: those to switch, of a model with attributes; none: all, at most 4.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.
        seed: of random codes.

    Raises:
        RunError, ValueError: the run, the data or the device cannot be used, or `output` cannot
            be written.
    """
    _check_most("--images", check_count("--images", num_images))
    _check_most("--reconstructions", check_count("--reconstructions", num_reconstructions, 0))
    _check_most("--columns", check_count("--columns", columns), MOST_COLUMNS)
    SETTINGS["seed"].check(seed)
    path = _picture_path(output)
    config, data, model = load_run(run_dir, images=images, data_dir=data_dir, device=device)
    if isinstance(model, AttributeVAE):
        assert isinstance(data, AttributeData)
        grid = attribute_pictures.switched(model, data, columns, attributes=attributes)
        write_atomic(path, attribute_pictures.figure(grid))
        return
    if attributes:
        raise RunError(f"--attributes is for runs of --model attributes, {run_dir} has none")
    assert isinstance(data, ImageData)
    picture = _decoded(config, data, model, num_images, columns, seed)
    if num_reconstructions:
        test_images = split_images(config, data, "test")[:num_reconstructions]
        pairs = pictures.pairs(
            test_images, pictures.reconstructed(model, test_images), data.shape, columns
        )
        picture = pictures.above(picture, pairs)
    write_atomic(path, pictures.png(picture))


def _check_most(flag: str, count: int, most: int = MOST_DRAWN) -> None:
    if count > most:
        raise ValueError(f"{flag} must be at most {most}, got {count}: all is drawn in memory")


def _decoded(
    config: ResolvedConfig,
    data: ImageData,
    model: DiscreteVAE | MixedVAE,
    count: int,
    columns: int,
    seed: int,
) -> Any:
    generator = torch.Generator().manual_seed(seed)
    if isinstance(model, MixedVAE):
        order = _classes(config, data, model).argsort()
        codes = pictures.analogies(model, columns, order=order, generator=generator)
    else:
        codes = pictures.decoded_codes(model, count, generator=generator)
    return pictures.tile(codes, data.shape, columns)


def edit_image(
    run_dir: str | Path,
    image: str | Path,
    output: str | Path,
    *,
    changes: dict[str, bool],
    keep_detail: bool = False,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> dict[str, tuple[float, bool]]:
    """Write an image with attributes switched, everything else kept: the Gaussian code is its own.

    Args:
        run_dir: folder of a run of the model with attributes.
        image: a file that Pillow reads; its middle square is taken.
        output: PNG file to write, of the model's size.
        changes: attributes to set; the others stay as the model finds them.
        keep_detail: add to the image what the switch changes in the decoded image, in place of
            writing the decoded image.
        data_dir: where to look for the data set of the run.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        By attribute the probability that the image has it, and whether the written one is to.

    Raises:
        RunError, ValueError: the run, an attribute or a file cannot be used.
    """
    path = _picture_path(output)
    make_fabric(device, 1, "32-true")
    config = RunFolder(run_dir).config()
    if config.model != "attributes":
        raise RunError(
            f"{run_dir} is a run of --model {config.model}, which has no attributes; choose one of "
            "--model attributes"
        )
    for name in changes:
        check_choice("attribute", name, config.attributes)
    square = attribute_pictures.read_image(user_path(image), config.image_size)
    _, data, model = load_run(run_dir, data_dir=data_dir, device=device)
    assert isinstance(data, AttributeData)
    assert isinstance(model, AttributeVAE)
    pixels = attribute_pictures.in_colours(square, data.shape[0])
    edit = attribute_pictures.edited(model, data, pixels, changes, keep_detail=keep_detail)
    write_atomic(path, attribute_pictures.png(edit.image))
    return edit.attributes


def _picture_path(output: str | Path) -> Path:
    """Where a PNG can be written.

    Raises:
        ValueError: it cannot.
    """
    path = user_path(output)
    if path.suffix.lower() != ".png":
        raise ValueError(f"--output must end in .png, got {output}")
    try:
        if not path.absolute().parent.is_dir():
            raise ValueError(f"cannot write {output}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise ValueError(f"cannot write {output}: it is a folder")
    except OSError as error:  # such as a name that is too long
        raise cannot_write(path, error) from error
    return path
