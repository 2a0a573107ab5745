"""`report.html`: one self-contained page about a run, for light and dark screens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from directmax.distributions import number_of_states
from directmax.models import AttributeVAE, DiscreteVAE, MixedVAE
from directmax.tool.config import ResolvedConfig, TrainConfig
from directmax.tool.data import AttributeData, ImageData
from directmax.tool.files import write_atomic
from directmax.tool.look.content import Picture, Table
from directmax.tool.look.pages import render as render_page
from directmax.tool.run import attribute_pictures, pictures
from directmax.tool.run.attribute_scores import reliability_figure
from directmax.tool.run.attribute_yardsticks import SHOWN
from directmax.tool.run.images import split_images
from directmax.tool.run.make import Data, Model, title_of
from directmax.tool.run.meanings import meanings_table
from directmax.tool.run.run_folder import RunFolder
from directmax.tool.run.tables import (
    attribute_table,
    confusion_table,
    results_table,
    score_table,
    training_note,
)

MAX_CODES = 200
NUM_RECONSTRUCTIONS = 20
ROWS = 8
"""Validation images in the picture of attributes."""
PAIRS = "Each row of images is followed by what the decoder makes of their most probable codes."
SWITCHED = (
    "Each row: the image, its reconstruction, and its Gaussian code decoded with the attributes "
    "above the column."
)


def write_report(
    folder: RunFolder, model: Model, data: Data, summary: dict[str, Any]
) -> list[Picture]:
    """Write the report of a finished run.

    Args:
        folder: where the metrics are read and the report is written.
        model: the model with its best weights.
        data: the images it was trained on.
        summary: the content of `summary.json`.

    Returns:
        The pictures in it.
    """
    drawn = _drawn(folder.config(), model, data, summary)
    write_atomic(folder.report_file, render(folder, model, data, summary, drawn))
    return drawn


def _drawn(
    config: ResolvedConfig, model: Model, data: Data, summary: dict[str, Any]
) -> list[Picture]:
    if isinstance(model, AttributeVAE):
        assert isinstance(data, AttributeData)
        return [_switched(model, data), *_reliability(summary)]
    assert isinstance(data, ImageData)
    return _images(config, model, data)


def render(
    folder: RunFolder,
    model: Model,
    data: Data,
    summary: dict[str, Any],
    drawn: Sequence[Picture],
) -> str:
    """The page as text."""
    config, lines, usage = folder.config(), folder.metrics(), ""
    meanings: list[Table] = []
    if not isinstance(model, AttributeVAE):
        assert isinstance(data, ImageData)
        if (table := meanings_table(config, model, data)) is not None:
            meanings = [table]
        used = pictures.code_usage(model, split_images(config, data, "validation"))
        prior = model.prior if isinstance(model, DiscreteVAE) else None
        usage = pictures.usage_svg(used, None if prior is None else prior.detach().cpu())
    return render_page(
        "run.html",
        title=f"directmax: {title_of(config, data)}",
        lead=_lead(config, summary),
        results=[*_results(summary, data), *meanings],
        notes=[training_note(summary, lines), *summary.get("advice", [])],
        curves=pictures.training_curves(
            lines,
            summary["best_epoch"],
            folder.other_starts(),
            parts=pictures.parts_of(config),
        ),
        pictures=drawn,
        usage=usage,
        settings=_settings(config),
        source=_source(data),
        machine=_machine(summary),
    )


def _source(data: Data) -> str:
    """Where the images are from, and what was understood of them."""
    return ": ".join(filter(None, [data.source, data.understood]))


def _lead(config: ResolvedConfig, summary: dict[str, Any]) -> str:
    chosen = "accuracy (of level epochs the bound)" if config.labels else "bound"
    return (
        f"{_length(config, summary)}, seed {config.seed}; the best validation {chosen}, epoch "
        f"{summary['best_epoch']}, chose the weights. {summary['seconds_per_epoch']:.2f} s an "
        "epoch (median)."
    )


def _length(config: ResolvedConfig, summary: dict[str, Any]) -> str:
    epochs = summary["epochs"]
    length = f"{epochs} epoch{'' if epochs == 1 else 's'}"
    if summary.get("stopped_early"):
        length = f"{epochs} of {config.epochs} epochs (no better one in the last {config.patience})"
    if not config.start_epochs:
        return length
    return f"the best of {config.starts} starts after {config.start_epochs} epochs, {length}"


def _results(summary: dict[str, Any], data: Data) -> list[Table]:
    metrics = {split: summary[split] for split in ("validation", "test")}
    tables = [results_table(summary)]
    if "confusion" in summary["test"]:
        assert isinstance(data, ImageData)
        tables.append(confusion_table("test", summary["test"]["confusion"], data.label_names))
    if "attributes" in summary["test"]:
        tables.append(attribute_table(metrics))
    if "scores" in summary["test"]:
        tables.append(score_table(summary, SHOWN))
    return tables


def _switched(model: AttributeVAE, data: AttributeData) -> Picture:
    names = data.attribute_names[: attribute_pictures.MOST_SWITCHED]
    grid = attribute_pictures.switched(model, data, ROWS, attributes=names, split="validation")
    title = f"Validation images with attributes on and off: {', '.join(names)}"
    return Picture("switched", title, SWITCHED, attribute_pictures.figure(grid))


def _reliability(summary: dict[str, Any]) -> list[Picture]:
    from directmax.tool.look.figures import drawn, png_file

    if not summary["test"].get("scores"):
        return []
    figure = reliability_figure(summary["test"]["scores"])
    note = "Points are means of the images in ten equally wide bins of the probability."
    return [Picture(figure.name, figure.title, note, png_file(drawn(figure)))]


def _images(
    config: ResolvedConfig, model: DiscreteVAE | MixedVAE, data: ImageData
) -> list[Picture]:
    """Codes, and reconstructions beside their images."""
    generator = torch.Generator().manual_seed(config.seed)
    images = split_images(config, data, "validation")[:NUM_RECONSTRUCTIONS]
    if isinstance(model, MixedVAE):
        decoded = pictures.analogies(model, 20, generator=generator)
        title = "A row a value, a column a Gaussian code, decoded"
    else:
        states = number_of_states(model.encoder.num_variables, model.encoder.num_values)
        count = MAX_CODES if states <= MAX_CODES else 60
        decoded = pictures.decoded_codes(model, count, generator=generator)
        words = f"All {len(decoded)}" if states <= MAX_CODES else f"{count} random"
        title = f"{words} codes, decoded"
    codes = pictures.tile(decoded, data.shape, columns=20)
    pairs = pictures.pairs(images, pictures.reconstructed(model, images), data.shape, columns=10)
    second = "Validation images and their reconstructions"
    return [
        Picture("codes", title, png=pictures.png(codes)),
        Picture("pairs", second, PAIRS, pictures.png(pairs)),
    ]


def _settings(config: ResolvedConfig) -> list[Table]:
    """What says which run this is, and what is as it is for any such model."""
    named = config.attributes if config.model == "attributes" else ()  # nobody else knows them
    plain = TrainConfig(
        data=config.data, model=config.model, encoder=config.encoder, attributes=named
    )
    standard = plain.resolve().to_dict()
    standard |= {"data": None, "model": None, "attributes": None, "encoder": "independent"}
    shown = config.to_dict() | {"likelihood": config.likelihood}  # files have a word for none
    standard["likelihood"] = plain.resolve().likelihood
    values = {name: value for name, value in shown.items() if value is not None and value != []}
    changed = [
        [name, _short(value)] for name, value in values.items() if value != standard.get(name)
    ]
    rest = [[name, _short(value)] for name, value in values.items() if value == standard.get(name)]
    return [
        Table("", ("setting", "value"), changed, words=(1,)),
        Table("Settings that are the default", ("setting", "value"), rest, words=(1,), folded=True),
    ]


def _machine(summary: dict[str, Any]) -> Table:
    rows = [
        [name, str(value)]
        for part in ("versions", "machine")
        for name, value in summary[part].items()
    ]
    rows.append(["git commit", str(summary["git_commit"])])
    return Table("", ("name", "value"), rows, words=(1,))


def _short(value: object) -> str:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
