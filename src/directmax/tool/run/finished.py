"""What is done with a finished run: evaluate its best model, draw it, edit an image with it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from directmax._choices import check_choice
from directmax._validation import check_count
from directmax.models import AttributeVAE, DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig
from directmax.tool.config.settings import SETTINGS
from directmax.tool.data import AttributeData, DataError, ImageData
from directmax.tool.files import RunError, output_file, user_path, write_atomic
from directmax.tool.run import attribute_pictures, pictures
from directmax.tool.run.attribute_task import evaluate_attributes
from directmax.tool.run.best_model import BestModel, data_for, load_best
from directmax.tool.run.classes import classes_of, counts_of, with_accuracy
from directmax.tool.run.evaluation import Metrics, evaluate_images, most_states
from directmax.tool.run.images import split_images
from directmax.tool.run.make import Data, Given, Model
from directmax.tool.run.randomness import Stream, derive_seed

MOST_DRAWN, MOST_COLUMNS = 10_000, 1_000
"""Images in a picture, and in a row of it: it is drawn in memory."""

RECONSTRUCTIONS = 20
"""Test images in a picture, where nothing else is asked for."""

SPLITS = ("train", "validation", "test")


def load_run(
    run_dir: str | Path,
    *,
    data: str | None = None,
    images: Given | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> tuple[ResolvedConfig, Data, Model]:
    """The configuration, the images and the best model of a run.

    Args:
        run_dir: folder of the run.
        data: other images of the same kind, in place of those that it was trained on.
        images: those that were handed to `train`, if any were, or where they lie now.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        RunError: the folder holds no finished epoch, its checkpoint is damaged, or it was trained
            on other images.
    """
    best = load_best(run_dir, device)  # before images are read, which takes seconds
    return best.config, data_for(best, data, images=images, data_dir=data_dir), best.model


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
    data: str | None = None,
    images: Given | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    num_samples: int | None = None,
    seed: int | None = None,
    splits: Sequence[str] = SPLITS,
    progress: Callable[[str, float], None] | None = None,
    read: Callable[[Data], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Bound, its terms and, where enumerable, −log p(x) of a run's best model on every split.

    Args:
        run_dir: folder of the run.
        data: other images of the same kind, in place of those that it was trained on.
        images: those that were handed to `train`, if any were.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.
        num_samples: samples an image, where the states are too many to enumerate; by default as
            many as in the run's summary.
        seed: of those samples; by default the samples are those of the run's summary.
        splits: which of train, validation and test.
        progress: told of the split and the share of it that is done.
        read: told of the images once they are read.

    Returns:
        For each split what `Metrics.to_dict` returns, in nats per image.

    Raises:
        RunError, ValueError: the run, the data or the device cannot be used.
    """
    _check_evaluation(num_samples, seed, splits)
    config, found, model = load_run(
        run_dir, data=data, images=images, data_dir=data_dir, device=device
    )
    if read is not None:
        read(found)
    num_samples = config.eval_samples if num_samples is None else num_samples
    seed = derive_seed(config.seed, Stream.SAMPLES, 0) if seed is None else seed
    results = {}
    for split in splits:
        told = functools.partial(progress, split) if progress else None
        if isinstance(model, AttributeVAE):
            assert isinstance(found, AttributeData)
            metrics = evaluate_attributes(
                config, model, found, split, num_samples=num_samples, seed=seed, progress=told
            )
        else:
            assert isinstance(found, ImageData)
            metrics = _evaluate_binary(config, found, model, split, num_samples, seed, told)
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
        max_states=most_states(config),
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
    data: str | None = None,
    images: Data | None = None,
    num_images: int = 100,
    num_reconstructions: int | None = None,
    columns: int = 10,
    attributes: Sequence[str] = (),
    data_dir: str | Path | None = None,
    device: str = "auto",
    seed: int = 0,
) -> str | None:
    """Write a PNG of what the model draws.

    - Of a discrete model: decoded codes and, below, test images and their reconstructions.
    - Of a mixed model the codes are a row a class, in the order of the classes; images of a column
      share the Gaussian code, and `num_images` does not count.
    - Of a model with attributes: a row an image, the first `columns` test images: itself, its
      reconstruction, and its Gaussian code decoded with every combination of the attributes.
      Without images a row is a Gaussian code of the prior.

    Args:
        run_dir: folder of the run.
        output: file to write.
        data: other images of the same kind, in place of those that it was trained on.
        images: those that were handed to `train`, if any were.
        num_images: codes to decode.
        num_reconstructions: of test images; with 0 a discrete or a mixed model needs no images.
            None: 20, or none where the images are not to be had.
        columns: images in a row; test images of a model with attributes.
        attributes: those to switch, of a model with attributes; none: all, at most 4.
        data_dir: where to look for images first.
        device: auto, cpu, cuda, cuda:N or mps.
        seed: of random codes.

    Returns:
        Why there are no images in the picture, where they were not to be had; else None.

    Raises:
        RunError, ValueError: the run, the data or the device cannot be used, or the file written.
    """
    wanted = RECONSTRUCTIONS if num_reconstructions is None else num_reconstructions
    _check_drawing(num_images, wanted, columns, seed)
    path = output_file(output, ".png")
    best = load_best(run_dir, device)
    if attributes and not isinstance(best.model, AttributeVAE):
        raise RunError(f"--attributes is for runs of --model attributes, {run_dir} has none")
    found, lacking = _images_to_show(best, num_reconstructions, data, images, data_dir)
    if isinstance(best.model, AttributeVAE):
        grid = _attribute_grid(best, found, columns, attributes, seed)
        write_atomic(path, attribute_pictures.figure(grid))
        return lacking
    assert not isinstance(found, AttributeData)
    picture = _decoded(best, found, num_images, columns, seed)
    if wanted and found is not None:
        picture = pictures.above(picture, _pairs(best, found, wanted, columns))
    write_atomic(path, pictures.png(picture))
    return lacking


def _pairs(
    best: BestModel, data: ImageData, count: int, columns: int
) -> UInt8[np.ndarray, "height width"]:
    """Test images and their reconstructions."""
    assert not isinstance(best.model, AttributeVAE)
    test_images = split_images(best.config, data, "test")[:count]
    reconstructed = pictures.reconstructed(best.model, test_images)
    return pictures.pairs(test_images, reconstructed, _height_width(best), columns)


def _images_to_show(
    best: BestModel,
    num_reconstructions: int | None,
    data: str | None,
    images: Data | None,
    data_dir: str | Path | None,
) -> tuple[Data | None, str | None]:
    """Images, if the picture needs any; else, where they were not asked for, why there are none."""
    ordered = not isinstance(best.model, MixedVAE) or best.classes() is not None
    if num_reconstructions == 0 and ordered and not isinstance(best.model, AttributeVAE):
        return None, None
    try:
        return data_for(best, data, images=images, data_dir=data_dir), None
    except (DataError, RunError) as error:
        if not (data is None and images is None and num_reconstructions is None):
            raise
        return None, str(error)


def _height_width(best: BestModel) -> tuple[int, int]:
    return best.images.shape[-2], best.images.shape[-1]


def _attribute_grid(
    best: BestModel, data: Data | None, count: int, attributes: Sequence[str], seed: int
) -> attribute_pictures.Switched:
    assert isinstance(best.model, AttributeVAE)
    if data is None:
        generator = torch.Generator().manual_seed(seed)
        return attribute_pictures.drawn(
            best.model, best.images, count, attributes=attributes, generator=generator
        )
    assert isinstance(data, AttributeData)
    return attribute_pictures.switched(best.model, data, count, attributes=attributes)


def _check_drawing(num_images: int, num_reconstructions: int, columns: int, seed: int) -> None:
    _check_most("--images", check_count("--images", num_images))
    _check_most("--reconstructions", check_count("--reconstructions", num_reconstructions, 0))
    _check_most("--columns", check_count("--columns", columns), MOST_COLUMNS)
    SETTINGS["seed"].check(seed)


def _check_most(flag: str, count: int, most: int = MOST_DRAWN) -> None:
    if count > most:
        raise ValueError(f"{flag} must be at most {most}, got {count}: all is drawn in memory")


def _decoded(
    best: BestModel, data: ImageData | None, count: int, columns: int, seed: int
) -> UInt8[np.ndarray, "height width"]:
    """Codes of the prior, decoded."""
    assert not isinstance(best.model, AttributeVAE)
    generator = torch.Generator().manual_seed(seed)
    if isinstance(best.model, MixedVAE):
        order = _order(best, best.model, data)
        codes = pictures.analogies(best.model, columns, order=order, generator=generator)
    else:
        codes = pictures.decoded_codes(best.model, count, generator=generator)
    return pictures.tile(codes, _height_width(best), columns)


def _order(best: BestModel, model: MixedVAE, data: ImageData | None) -> Tensor:
    """The values in the order of the classes they stand for, as far as that is known."""
    known = best.classes()
    if known is not None:
        return torch.tensor(known).argsort()
    if data is None:
        return torch.arange(best.config.values)
    return _classes(best.config, data, model).argsort()


def edit_image(
    run_dir: str | Path,
    image: str | Path,
    output: str | Path,
    *,
    changes: dict[str, bool],
    keep_detail: bool = False,
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
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        By attribute the probability that the image has it, and whether the written one is to.

    Raises:
        RunError, ValueError: the run, an attribute or a file cannot be used.
    """
    path = output_file(output, ".png")
    best = load_best(run_dir, device)
    if not isinstance(best.model, AttributeVAE):
        raise RunError(
            f"{run_dir} is a run of --model {best.config.model}, which has no attributes; choose "
            "one of --model attributes"
        )
    for name in changes:
        check_choice("attribute", name, best.images.attribute_names)
    channels, height, _ = best.images.shape
    square = attribute_pictures.read_image(user_path(image), height)
    pixels = attribute_pictures.in_colours(square, channels)
    edit = attribute_pictures.edited(
        best.model, best.images, pixels, changes, keep_detail=keep_detail
    )
    write_atomic(path, attribute_pictures.png(edit.image))
    return edit.attributes
