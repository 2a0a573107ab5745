"""Codes of a file or a data set, written to a file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from directmax._validation import check_count
from directmax.tool.config.rules import MOST_NUMBERS
from directmax.tool.config.settings import SETTINGS
from directmax.tool.data import AttributeData, ImageData, ImageStream
from directmax.tool.data.image_files import opened, read_deep, read_whole, upright
from directmax.tool.data.names import ATTRIBUTE_DATASETS, DATASETS
from directmax.tool.data.own.numbers import DEEP
from directmax.tool.data.own.read import read_path
from directmax.tool.files import output_file, user_path, write_atomic
from directmax.tool.run import attribute_pictures
from directmax.tool.run.best_model import BestModel, data_for, load_best
from directmax.tool.run.encoded_table import encoded_table
from directmax.tool.run.images import split_images
from directmax.tool.run.trained import Encoding, TrainedModel

READ = 250
"""Images that are read at once, where they lie on disk."""
SPLITS = ("train", "validation", "test")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tiff")


@dataclass(frozen=True)
class _Part:
    """Images in their order, some at a time.

    Attributes:
        name: of the split; empty where there are none.
        count: how many there are.
        chunks: yields them.
        labels: of all of them, if there are any.
        rows: their numbers in the file, where that has the parts mixed.
        files: of a folder of image files that of each.
    """

    name: str
    count: int
    chunks: Callable[[], Iterator[Any]]
    labels: NDArray[Any] | None
    rows: NDArray[np.int64] | None = None
    files: tuple[str, ...] = ()


def encode_images(
    run_dir: str | Path,
    source: str,
    output: str | Path,
    *,
    num_samples: int = 0,
    data_dir: str | Path | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> int:
    """Write the codes of images, in their order, to a file of arrays or a table (`encoded_table`).

    The .npz file holds `codes` `(N, n)`, the most probable value of every variable, `probabilities`
    `(N, n, k)`, and where there are such `samples` `(s, N, n)`, `gaussian` `(N, c)`, the mean of
    the Gaussian code, `labels`, `split`, a word an image, and `files`, their names in a folder.

    Args:
        run_dir: folder of the run.
        source: the name of a data set, or the path of images that fit the model.
        output: .npz or .csv file to write.
        num_samples: of q(z|x), an image.
        data_dir: where to look for a data set first.
        device: auto, cpu, cuda, cuda:N or mps.
        seed: of samples.
        progress: told of what is done and the share of it.

    Returns:
        The number of images.

    Raises:
        RunError, ValueError: the run, the images or the device cannot be used, or the file written.
    """
    check_count("--samples", num_samples, 0)
    SETTINGS["seed"].check(seed)
    path = output_file(output, ".npz", ".csv")
    if path.suffix.lower() == ".csv" and num_samples:
        raise ValueError("--samples are for an --output in .npz: a table has one code an image")
    best = load_best(run_dir, device)
    parts = _parts(best, source, data_dir)
    total = sum(part.count for part in parts)
    numbers = total * best.config.variables * (best.config.values + num_samples)
    if numbers > MOST_NUMBERS:
        raise ValueError(
            f"the codes of {total:,} images are {numbers:,} numbers, and at most {MOST_NUMBERS:,} "
            "are written; choose fewer images or --samples"
        )
    arrays = _in_order(_encoded(TrainedModel(best), parts, num_samples, seed, progress), parts)
    if path.suffix.lower() == ".csv":
        content = encoded_table(arrays, best.config, best.images)
    else:
        content = _archive(arrays)
    write_atomic(path, content)
    return total


def _in_order(arrays: dict[str, Any], parts: list[_Part]) -> dict[str, Any]:
    """With names of files, labels and parts; as in the file, where a column names the parts."""
    if all(part.labels is not None for part in parts):
        arrays["labels"] = np.concatenate(
            [part.labels for part in parts if part.labels is not None]
        )
    if any(part.name for part in parts):
        arrays["split"] = np.repeat([part.name for part in parts], [part.count for part in parts])
    if all(part.files for part in parts):
        arrays["files"] = np.array([file for part in parts for file in part.files])
    rows = [part.rows for part in parts if part.rows is not None]
    if len(rows) < len(parts):
        return arrays
    order = np.argsort(np.concatenate(rows))
    return {n: each[:, order] if n == "samples" else each[order] for n, each in arrays.items()}


def _archive(arrays: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def _encoded(
    model: TrainedModel,
    parts: list[_Part],
    num_samples: int,
    seed: int,
    progress: Callable[[str, float], None] | None,
) -> dict[str, Any]:
    generator = torch.Generator(model.device).manual_seed(seed)
    total = sum(part.count for part in parts)
    done, found = 0, []
    for part in parts:
        for images in part.chunks():

            def show(share: float, before: int = done, count: int = len(images)) -> None:
                if progress is not None:
                    progress("encoding", (before + share * count) / total)

            found.append(
                model.encode(images, num_samples=num_samples, generator=generator, progress=show)
            )
            done += len(images)
    return _joined(found, num_samples)


def _joined(found: list[Encoding], num_samples: int) -> dict[str, Any]:
    arrays = {
        "codes": torch.cat([each.code for each in found]).numpy(),
        "probabilities": torch.cat([each.probabilities for each in found]).numpy(),
    }
    if num_samples:
        arrays["samples"] = torch.cat([each.samples for each in found], 1).numpy()
    gaussians = [each.gaussian for each in found if each.gaussian is not None]
    if gaussians:
        arrays["gaussian"] = torch.cat(gaussians).numpy()
    return arrays


def _parts(best: BestModel, source: str, data_dir: str | Path | None) -> list[_Part]:
    """What is to be encoded."""
    if source not in (*DATASETS, *ATTRIBUTE_DATASETS):
        return _own(best, user_path(source))
    data = data_for(best, source, data_dir=data_dir)
    return [_split(best, data, name) for name in SPLITS]


def _split(best: BestModel, data: ImageData | AttributeData, name: str) -> _Part:
    part = getattr(data, name)
    if isinstance(data, AttributeData):
        return _Part(name, len(part), lambda: _streamed(part), part.attributes.numpy())
    labels = part.labels.numpy() if data.num_classes else None
    return _Part(name, len(part), lambda: iter([split_images(best.config, data, name)]), labels)


def _streamed(part: Any) -> Iterator[Any]:
    with ImageStream(part.images, batch_size=READ) as stream:
        yield from stream.batches(torch.arange(len(part)))


def _deep_greys(best: BestModel, path: Path, height: int, width: int) -> NDArray[np.float32] | None:
    """An image of 16 bits of a run on such images, as `(1, pixels)`; None of others."""
    reading = best.images.reading
    if reading is None or reading.high not in DEEP:
        return None
    with opened(path) as stored:
        greys = read_deep(upright(stored), height if height == width else None)
    if greys is None or greys.shape != (height, width):  # what is wrong is said of all alike
        return None
    scaled = (greys.astype(np.float32) / np.float32(reading.high)).clip(0, 1)
    return scaled.reshape(1, -1)


def _own(best: BestModel, path: Path) -> list[_Part]:
    """Images of one's own, in the order of their file.

    Raises:
        DataError: they are missing, damaged or of no known form.
        ValueError: the model is for images of another size.
    """
    if path.suffix.lower() in PICTURES and path.is_file():
        channels, height, width = (1, *best.images.shape)[-3:]
        if (greys := _deep_greys(best, path, height, width)) is not None:
            return [_Part("", 1, lambda: iter([greys]), None)]
        if height == width:
            pixels = attribute_pictures.read_image(path, height)
        else:
            pixels = read_whole(path)
            if pixels.shape[:2] != (height, width):
                raise ValueError(
                    f"the model is for images of {best.images.shown}, got {path} of "
                    f"{pixels.shape[0]}×{pixels.shape[1]}"
                )
        picture = attribute_pictures.in_colours(pixels, channels).unsqueeze(0)
        return [_Part("", 1, lambda: iter([picture]), None)]
    # As the run's own were: images that were resized for it are, from wherever they come.
    size = best.images.shape[-1] if best.config.image_size else None
    found = read_path(path, size, best.images.reading)
    names = [name for name in SPLITS if name in found.images]
    count = found.images[names[0]].shape[1]
    # Files of colours of which all are grey are read as grey.
    copies = 3 if len(best.images.shape) == 3 and 3 * count == best.images.num_pixels else 1
    if found.shape != best.images.shape[-2:] or copies * count != best.images.num_pixels:
        raise ValueError(
            f"the model is for images of {best.images.shown}, got {path}: {found.text}"
        )

    numbers = None  # of the classes, where the codes are those of the model
    if best.config.model == "mixed" and best.config.labels and best.images.num_classes:
        numbers = np.array(best.images.class_numbers(found.class_names), dtype=np.int64)

    def part(name: str) -> _Part:
        images = np.tile(found.images[name], (1, copies))
        labels = None if found.labels is None else found.labels[name]
        if labels is not None and numbers is not None:
            labels = numbers[labels]
        said, rows = name if len(names) > 1 else "", found.rows.get(name)
        files = found.files.get(name, ())
        return _Part(said, len(images), lambda: iter([images]), labels, rows, files)

    return [part(name) for name in names]
